"""The command line: `python -m recipe_helpers report package.module:factory`."""

import sys

from .common.errors import RecipeError


def run() -> int:
    """Run it and return its exit status: 2 also where RECIPE_LANGUAGE names no language."""
    try:
        from .your_model.command_line import main
    except RecipeError as error:
        print(f"python -m recipe_helpers: {error}", file=sys.stderr)
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(run())
