"""What type checkers and editors see of the public names: `make lint` has mypy read this."""

from typing_extensions import assert_type

import recipe_helpers as rh
from recipe_helpers.recipe.model import Demonstration

assert_type(rh.demonstration(), Demonstration)
rh.demonstratoin()  # type: ignore[attr-defined]
