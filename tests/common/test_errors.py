"""The exceptions, and what says which extra brings a missing package."""

import pytest

import recipe_helpers as rh
from recipe_helpers.common.errors import MissingExtraError, extra

KINDS = {
    ValueError: [rh.ArgumentError, rh.ModelError, rh.InputError, rh.NothingQuantizedError],
    RuntimeError: [rh.ConversionError, rh.EngineError, rh.SurveyError],
    ImportError: [MissingExtraError],
}


def test_each_exception_can_be_caught_as_its_builtin_kind():
    for builtin, errors in KINDS.items():
        assert all(issubclass(error, builtin) for error in errors)
        assert all(issubclass(error, rh.RecipeError) for error in errors)
    assert issubclass(rh.AlreadyQuantizedError, rh.ModelError)


def test_a_missing_package_is_told_with_the_extra_that_brings_it(refuses):
    says = "no_such_package is not installed; it comes with the extra `dask`"
    with refuses(MissingExtraError, says, 'pip install "recipe-helpers[dask]".'), extra("dask"):
        import no_such_package  # noqa: F401
    with extra("dask"):
        import math  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"), extra("dask"):
        from math import no_such_name  # noqa: F401
