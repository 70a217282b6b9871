"""Settings of the whole process that are changed for a while, and the watch that the tests keep."""

import contextlib
import random
import warnings

import numpy as np
import pytest
import torch

from recipe_helpers.common import settings

DEPRECATED = DeprecationWarning, "torch.ao.quantization is deprecated and will be removed in 2.10."
QUANTIZED = UserWarning, "torch.quantize_per_tensor and friends are deprecated"


def engine():
    return torch.backends.quantized.engine


def onednn():
    return torch._C._get_mkldnn_enabled()


ENGINES = [one for one in torch.backends.quantized.supported_engines if one != "none"]
CHANGES = [
    (lambda: settings.threads_set(3), torch.get_num_threads, 3),
    (lambda: settings.default_dtype_set(torch.float64), torch.get_default_dtype, torch.float64),
    (settings.without_onednn, onednn, False),
    *((lambda one=one: settings.engine_set(one), engine, one) for one in ENGINES),
]


@pytest.mark.parametrize(("change", "current", "wanted"), CHANGES)
@pytest.mark.parametrize("stop", [None, RuntimeError, KeyboardInterrupt])
def test_a_setting_holds_inside_and_is_put_back(untouched, change, current, wanted, stop):
    before, seen = current(), []
    with untouched(), contextlib.suppress(stop or KeyError), change() as yielded:
        seen += [current(), wanted if yielded is None else yielded]
        if stop is not None:
            raise stop
    assert seen == [wanted] * 2
    assert current() == before


@pytest.mark.parametrize(("share", "left"), [(None, 0.5), ("", 0.5), ("0.1", 0.05)])
def test_a_measurement_may_be_given_less_time(monkeypatch, share, left):
    monkeypatch.delenv("RECIPE_BUDGET", raising=False)
    if share is not None:
        monkeypatch.setenv("RECIPE_BUDGET", share)
    assert settings.time_to_measure(0.5) == pytest.approx(left)


def test_threads_none_keeps_the_number_and_puts_it_back(untouched):
    with untouched(), settings.threads_set(2), settings.threads_set(None) as same:
        assert (same, torch.get_num_threads()) == (2, 2)
    with untouched(), settings.threads_set(None):
        torch.set_num_threads(2)


def test_seeded_draws_what_manual_seed_would(untouched):
    with untouched(), contextlib.suppress(KeyError), settings.seeded(7):
        drawn = torch.randn(5)
        raise KeyError
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.randn(5))


def raised_by(category, message):
    """Whether a warning comes through as the error that it is in these tests."""
    try:
        warnings.warn(message, category, stacklevel=2)
    except category:
        return True
    return False


def silenced():
    """Which of the two warnings, and of others like them, are not heard."""
    others = [
        (DEPRECATED[1], QUANTIZED[0]), (QUANTIZED[1], DEPRECATED[0]),
        ("torch.jit is deprecated", DeprecationWarning), ("something else", UserWarning),
    ]  # fmt: skip
    assert all(raised_by(category, message) for message, category in others)
    return [not raised_by(*DEPRECATED), not raised_by(*QUANTIZED)]


def test_exactly_two_warnings_are_silenced_for_a_while_or_for_good(untouched):
    with untouched(), settings.deprecations_silenced():
        assert silenced() == [True, True]
    assert silenced() == [False, False]
    with warnings.catch_warnings():
        settings.silence_deprecations()
        assert silenced() == [True, True]


WATCHED = {
    "thread count": lambda: torch.set_num_threads(2),
    "grad mode": lambda: torch.set_grad_enabled(False),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's random state": lambda: torch.rand(1),
    "numpy's random state": lambda: np.random.random(),
    "random's state": random.random,
    "warning filters": lambda: warnings.simplefilter("ignore", ImportWarning),
}


@pytest.mark.parametrize("what", WATCHED)
def test_the_watch_sees_each_change(untouched, what):
    with pytest.raises(AssertionError, match=what), untouched():
        WATCHED[what]()
    torch.set_num_threads(1)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


def test_the_watch_sees_a_new_file(untouched, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="working directory"), untouched():
        (tmp_path / "left.pt").touch()
