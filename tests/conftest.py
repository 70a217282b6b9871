"""What the tests share: one thread, a fixed random state, a watch over what each test leaves.

No helper may change a setting of the whole process behind its caller's back. `untouched` says so
for one block, to the last bit of the random state; the fixture `steady` says it of every test.
"""

import os
import random
import re
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import scipy.stats  # noqa: F401  (its first import adds a warning filter, which is not ours)
import torch
from hypothesis import HealthCheck, settings

import recipe_helpers as rh
from recipe_helpers.common import language

# How fast examples are drawn says how busy the machine is, and nothing about the code.
# The library's tests, whose own profile may have been loaded before, take a fixture a parameter.
settings.register_profile(
    "any speed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any speed")

FORBID_SKIPS = "RECIPE_FORBID_SKIPS"  # set by .ci/run: there, every test must have run
RANDOM = ("torch's random state", "numpy's random state", "random's state")


def pytest_terminal_summary(terminalreporter):
    """Turn a run with skipped tests into a failed one where skips are forbidden."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get(FORBID_SKIPS):
        terminalreporter.section("skipped tests are forbidden here", red=True)
        for report in skipped:
            terminalreporter.line(report.nodeid)


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and os.environ.get(FORBID_SKIPS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def state():
    """Every setting of the process that a helper could change, under a name for a reader."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return {
        "thread count": torch.get_num_threads(),
        "quantized engine": torch.backends.quantized.engine,
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "warning filters": list(warnings.filters),
        "environment": environment,
        "working directory": files_here(),
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": repr(np.random.get_state()),
        "random's state": random.getstate(),
        "language": language.language(),
    }


def files_here():
    """The working directory and its entries, but for hidden ones and what `make run` writes."""
    here = Path.cwd()
    names = {entry.name for entry in here.iterdir() if not entry.name.startswith((".", "__"))}
    return here, names - {"build"}


def changes(before, after):
    return sorted(name for name in before if before[name] != after[name])


@contextmanager
def state_untouched():
    before = state()
    try:
        yield
    finally:
        after = state()
    assert changes(before, after) == []


@contextmanager
def refusal(error, *fragments):
    """The block raises exactly `error`, in one clear line with these words, and changes nothing."""
    with state_untouched(), pytest.raises(error) as caught:
        yield caught
    message = str(caught.value)
    assert caught.type is error
    assert isinstance(caught.value, rh.RecipeError)
    assert message.endswith(".")
    assert not re.search(r"\s\s|\n|\.\.$", message)
    for fragment in fragments:
        assert fragment in message


@pytest.fixture(autouse=True)
def steady():
    """One thread and a fixed random state for each test, which must leave the settings alone."""
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    numpy_state, random_state = np.random.get_state(), random.getstate()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = state()
    yield
    after = state()
    torch.set_num_threads(threads)
    torch.set_rng_state(generator)
    np.random.set_state(numpy_state)
    random.setstate(random_state)
    torch.backends.quantized.engine = before["quantized engine"]
    torch.set_grad_enabled(before["grad mode"])
    torch.set_default_dtype(before["default dtype"])
    language.use_language(before["language"])
    # A test may draw numbers of its own, and torch.export sets variables of the environment; the
    # filters are pytest's, a new list in every phase.
    free = {*RANDOM, "environment", "warning filters"}
    assert [name for name in changes(before, after) if name not in free] == []


@pytest.fixture
def untouched():
    return state_untouched


@pytest.fixture
def refuses():
    return refusal


@pytest.fixture
def demo():
    return rh.demonstration()


@pytest.fixture
def quantized(demo):
    return rh.quantize_dynamic(demo.model)
