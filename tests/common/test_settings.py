"""Settings of the whole process that are changed for a while, and the watch that the tests keep."""

import contextlib
import random
import warnings

import numpy as np
import pytest
import torch

from recipe_helpers.common import settings

DEPRECATED = "torch.ao.quantization is deprecated and will be removed in 2.10."
QUANTIZED = "torch.quantize_per_tensor and friends are deprecated"


def engine():
    return torch.backends.quantized.engine


ENGINES = [one for one in torch.backends.quantized.supported_engines if one != "none"]
CHANGES = [
    (settings.threads_set, torch.get_num_threads, 3),
    (settings.default_dtype_set, torch.get_default_dtype, torch.float64),
    *((settings.engine_set, engine, one) for one in ENGINES),
]


@pytest.mark.parametrize(("change", "current", "wanted"), CHANGES)
@pytest.mark.parametrize("stop", [None, RuntimeError, KeyboardInterrupt])
def test_a_setting_holds_inside_and_is_put_back(untouched, change, current, wanted, stop):
    seen = []
    with untouched(), contextlib.suppress(stop or KeyError), change(wanted) as yielded:
        seen += [current(), yielded]
        if stop is not None:
            raise stop
    assert seen == [wanted] * 2


def test_onednn_is_put_back(untouched):
    before = torch.backends.mkldnn.enabled
    with contextlib.suppress(KeyError), settings.without_onednn():
        assert not torch._C._get_mkldnn_enabled()
        raise KeyError
    assert torch.backends.mkldnn.enabled == before


@pytest.mark.parametrize(("share", "left"), [(None, 0.5), ("", 0.5), ("0.1", 0.05)])
def test_a_measurement_may_be_given_less_time(monkeypatch, share, left):
    monkeypatch.delenv("RECIPE_BUDGET", raising=False)
    if share is not None:
        monkeypatch.setenv("RECIPE_BUDGET", share)
    assert settings.time_to_measure(0.5) == pytest.approx(left)


def test_threads_none_keeps_the_number_and_yields_it(untouched):
    with untouched(), settings.threads_set(2) as two, settings.threads_set(None) as same:
        assert (two, same, torch.get_num_threads()) == (2, 2, 2)


def test_threads_are_put_back_even_where_the_block_changed_them(untouched):
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
    ("what", "change"),
    [
        ("thread count", lambda: torch.set_num_threads(2)),
        ("grad mode", lambda: torch.set_grad_enabled(False)),
        ("default dtype", lambda: torch.set_default_dtype(torch.float64)),
        ("torch's random state", lambda: torch.rand(1)),
        ("numpy's random state", lambda: np.random.random()),
        ("random's state", random.random),
        ("warning filters", lambda: warnings.simplefilter("ignore", ImportWarning)),
    ],
)
def test_the_watch_sees_each_change(untouched, what, change):
    with pytest.raises(AssertionError, match=what), untouched():
        change()
    torch.set_num_threads(1)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


def test_the_watch_sees_a_new_file(untouched, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="working directory"), untouched():
        (tmp_path / "left.pt").touch()
