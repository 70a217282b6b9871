"""Settings of the whole process that are changed for a while, and the watch that the tests keep."""

import random
import warnings

import numpy as np
import pytest
import torch

from recipe_helpers.common import settings

DEPRECATED = "torch.ao.quantization is deprecated and will be removed in 2.10."
QUANTIZED = "torch.quantize_per_tensor and friends are deprecated"


def stopped_inside(change, stop, action):
    """Do something while a setting is changed, and be stopped there."""
    with change:
        action()
        raise stop


SETTINGS = {
    "threads": (lambda: settings.threads_set(3), torch.get_num_threads, 3),
    "dtype": (
        lambda: settings.default_dtype_set(torch.float64),
        torch.get_default_dtype,
        torch.float64,
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("stop", [None, RuntimeError, KeyboardInterrupt])
def test_a_setting_holds_inside_and_is_put_back(untouched, name, stop):
    change, current, wanted = SETTINGS[name]
    before = current()
    assert before != wanted
    with untouched():
        if stop is None:
            with change():
                assert current() == wanted
        else:
            seen = []
            with pytest.raises(stop):
                stopped_inside(change(), stop, lambda: seen.append(current()))
            assert seen == [wanted]
    assert current() == before


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_every_engine_holds_inside_and_is_put_back(untouched, stop):
    engines = [e for e in torch.backends.quantized.supported_engines if e != "none"]
    assert engines
    for engine in engines:
        seen = []
        with untouched(), pytest.raises(stop):
            stopped_inside(
                settings.engine_set(engine),
                stop,
                lambda: seen.append(torch.backends.quantized.engine),  # noqa: B023
            )
        assert seen == [engine]


def test_threads_none_keeps_the_number_and_yields_it(untouched):
    with untouched(), settings.threads_set(2) as two, settings.threads_set(None) as same:
        assert (two, same, torch.get_num_threads()) == (2, 2, 2)


def test_threads_are_put_back_even_where_the_block_changed_them(untouched):
    with untouched(), settings.threads_set(None):
        torch.set_num_threads(2)


def test_seeded_draws_what_manual_seed_would(untouched):
    with untouched(), settings.seeded(7):
        drawn = torch.randn(5)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.randn(5))


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_seeded_puts_the_state_back_after_an_interruption(untouched, stop):
    with untouched(), pytest.raises(stop):
        stopped_inside(settings.seeded(7), stop, lambda: torch.randn(5))


def raised_by(category, message):
    """Whether a warning comes through as the error that it is in these tests."""
    try:
        warnings.warn(message, category, stacklevel=2)
    except category:
        return True
    return False


def test_exactly_two_warnings_are_silenced_and_only_inside(untouched):
    with untouched():
        with settings.deprecations_silenced():
            assert not raised_by(DeprecationWarning, DEPRECATED)
            assert not raised_by(UserWarning, QUANTIZED)
            assert raised_by(UserWarning, DEPRECATED)
            assert raised_by(DeprecationWarning, QUANTIZED)
            assert raised_by(DeprecationWarning, "torch.jit is deprecated")
            assert raised_by(UserWarning, "something else")
        assert raised_by(DeprecationWarning, DEPRECATED)
        assert raised_by(UserWarning, QUANTIZED)


def test_a_notebook_silences_them_for_good():
    with warnings.catch_warnings():
        settings.silence_deprecations()
        assert not raised_by(DeprecationWarning, DEPRECATED)
        assert not raised_by(UserWarning, QUANTIZED)
        assert raised_by(UserWarning, "something else")


@pytest.mark.parametrize(
    ("what", "change", "undo"),
    [
        ("thread count", lambda: torch.set_num_threads(2), lambda: torch.set_num_threads(1)),
        (
            "grad mode",
            lambda: torch.set_grad_enabled(False),
            lambda: torch.set_grad_enabled(True),
        ),
        (
            "default dtype",
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.set_default_dtype(torch.float32),
        ),
        ("torch's random state", lambda: torch.rand(1), lambda: None),
        ("numpy's random state", lambda: np.random.random(), lambda: None),
        ("random's state", random.random, lambda: None),
        (
            "warning filters",
            lambda: warnings.simplefilter("ignore", ImportWarning),
            lambda: None,
        ),
    ],
)
def test_the_watch_sees_each_change(untouched, what, change, undo):
    with pytest.raises(AssertionError, match=what), untouched():
        change()
    undo()


def test_the_watch_sees_a_new_file(untouched, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="working directory"), untouched():
        (tmp_path / "left.pt").touch()
