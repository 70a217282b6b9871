"""The command line: `python -m recipe_helpers report package.module:factory`."""

import sys

from .your_model.command_line import main

if __name__ == "__main__":
    sys.exit(main())
