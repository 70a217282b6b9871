"""What the tests of the library share: one thread, a fixed random state, each way to compute."""

import pytest
import torch
from hypothesis import HealthCheck, settings
from made_up import Weak, reference

import int8_rnn

# How fast examples are drawn says how busy the machine is, and nothing about the code.
settings.register_profile(
    "any speed",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any speed")


def pytest_configure(config):
    config.addinivalue_line("markers", "fbgemm: compares with an engine that only x86 has")


def pytest_collection_modifyitems(config, items):
    """Only what belongs to one kind of CPU is left out elsewhere."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        gone = [item for item in items if item.get_closest_marker("fbgemm")]
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=gone)


@pytest.fixture(autouse=True)
def _steady():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(29592)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[False, None], ids=["reference", "compiled"])
def fast(request):
    """What a module's `fast` is: the reference, or compiled code where there is any."""
    return request.param


class Refusal:
    """A block that raises exactly this error, one clear line with these words."""

    def __init__(self, error, *fragments):
        self.error, self.fragments = error, fragments

    def __enter__(self):
        return self

    def __exit__(self, kind, caught, traceback):
        assert kind is self.error, caught
        assert isinstance(caught, int8_rnn.Int8Error)
        message = str(caught)
        assert message.endswith(".")
        assert "\n" not in message
        for fragment in self.fragments:
            assert fragment in message
        return True


@pytest.fixture
def refuses():
    return Refusal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    int8 = reference(int8_rnn.quantize(Weak().eval()))
    int8_rnn.save(int8, path)
    return int8
