"""The exceptions, and what says which extra brings a missing package."""

import pytest

import recipe_helpers as rh
from recipe_helpers.common.errors import MissingExtraError, extra


@pytest.mark.parametrize(
    ("error", "base", "builtin"),
    [
        (rh.ArgumentError, rh.RecipeError, ValueError),
        (rh.ModelError, rh.RecipeError, ValueError),
        (rh.AlreadyQuantizedError, rh.ModelError, ValueError),
        (rh.NothingQuantizedError, rh.ModelError, ValueError),
        (rh.InputError, rh.RecipeError, ValueError),
        (rh.ConversionError, rh.RecipeError, RuntimeError),
        (rh.EngineError, rh.RecipeError, RuntimeError),
        (rh.SurveyError, rh.RecipeError, RuntimeError),
        (MissingExtraError, rh.RecipeError, ImportError),
    ],
)
def test_each_exception_can_be_caught_as_its_builtin_kind(error, base, builtin):
    assert issubclass(error, base)
    assert issubclass(error, builtin)


def test_a_missing_package_is_told_with_the_extra_that_brings_it(refuses):
    says = "no_such_package is not installed; it comes with the extra `dask`"
    with refuses(MissingExtraError, says, 'pip install "recipe-helpers[dask]".'), extra("dask"):
        import no_such_package  # noqa: F401
    with extra("dask"):
        import math  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"), extra("dask"):
        from math import no_such_name  # noqa: F401
