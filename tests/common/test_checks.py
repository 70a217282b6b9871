"""The checks: each fault is told in one clear sentence, and what is sound comes back."""

import math

import pytest
import torch
from torch import nn
from torch.ao.nn import quantized as static

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.common import checks

from ..korean import in_both

CHECKS = [  # check, what it refuses, what the sentence says; the library's are tested there
    *((checks.whole_number, value, f"{value!r}; pass a whole") for value in (True, 1.0, "1")),
    *((checks.seed, value, f"{value}; pass a whole number of at most 64 bits")
      for value in (-(2**63) - 1, 2**64)),
    *((checks.seeds, value, says) for value, says in (
        ("12", "'12'; pass a list"), (3, "3; pass a list"), ([], "empty"), ([1, 2.5], "2.5"))),
    *((checks.positive_ints, value, says) for value, says in (
        ([], "empty"), ("8", "'8'; pass a list"), (8, "8; pass a list"), ([16, 8], "[16, 8]"),
        ([8, 8], "[8, 8]; pass rising"), ([8, 0], "given[1] is 0"), ([8, True], "[1] is True"))),
    *((checks.numbers, value, says) for value, says in (
        ([1.0], "list; pass"), (torch.ones(1, 2), "a float32 tensor of shape (1, 2) on the device"),
        (torch.ones(2).double(), "float64"), (torch.ones(2, device="meta"), "device meta"),
        (torch.ones(0), "empty"), (torch.tensor([1, math.inf]), "a tensor with NaN or infinity"))),
    *((checks.module_types, value, "pass types of modules") for value in (nn.LSTM, [3], [int])),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value", "says"), CHECKS)
def test_arguments_that_are_refused(refuses, check, value, says):
    with refuses(rh.ArgumentError, "given", says):
        check("given", value)


def test_arguments_that_come_back():
    assert checks.seeds("given", iter([3, -(2**63), 2**64 - 1])) == (3, -(2**63), 2**64 - 1)
    assert checks.positive_ints("given", range(1, 10, 4)) == (1, 5, 9)
    assert checks.module_types("given", iter([nn.GRU, nn.LSTM])) == {nn.LSTM, nn.GRU}
    assert checks.numbers("given", torch.ones(2)).tolist() == [1, 1]


def test_a_name_of_before_keeps_working():
    @checks.renamed(old="new")
    def function(first, *, new=1):
        """Its own."""
        return first, new

    assert (function(0, old=2), function(0, new=3), function(0)) == ((0, 2), (0, 3), (0, 1))
    assert function.__doc__ == "Its own."
    with pytest.raises(TypeError, match="'old'"):
        function(0, old=2, new=3)


def test_a_description_speaks_when_it_is_shown():
    what = checks.describe((torch.ones(2, 3), [1, "a"], torch.zeros(1, dtype=torch.int8)))
    english, korean = in_both(lambda: str(what))
    assert english == "(float32 tensor of shape (2, 3), (int, str), int8 tensor of shape (1,))"
    assert korean.startswith("(shape이 (2, 3)인 float32 Tensor, (int, str), ")


def test_is_quantized_asks_what_a_module_is_and_not_where_it_comes_from():
    class Ours(int8_rnn.Int8Linear):
        """Somebody's own."""

    kinds = [nn.LSTM, nn.Linear, nn.GRU, nn.LSTMCell]
    stack = nn.Sequential(*(kind(2, 2) for kind in kinds)).eval()
    theirs = rh.quantize_dynamic(stack, modules=kinds)
    assert not any(map(checks.is_quantized, [*stack, theirs]))
    ours = int8_rnn.quantize(stack[:3])
    assert all(map(checks.is_quantized, [*theirs, *ours, static.Linear(2, 2), Ours(2, 2)]))
    for home in ("mine.quantized.layers", "torch.nn.quantized_later"):
        assert not checks.is_quantized(type("Layer", (nn.Linear,), {"__module__": home})(2, 2))


def linear(dtype=torch.float32):
    """A Linear, and a buffer that holds infinity, as a mask may."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(dtype).eval()
    model[1].running_var[0] = math.inf
    return model


def with_value(name, value):
    def change(model):
        model.state_dict()[name][1] = value
        return model

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nn.Module.train, ["model is in training mode", "model.eval()"]),
        (lambda model: model.to("meta"), ["0.weight", "device meta", "model.cpu()"]),
        *((with_value("0.bias", bad), ["model has NaN or infinity in 0.bias"])
          for bad in (math.nan, math.inf, -math.inf)),
        (with_value("1.running_mean", math.nan), ["NaN or infinity in 1.running_mean"]),
        (lambda model: nn.LSTM, ["model is of type type; pass a torch.nn.Module"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [checks.runnable_model, checks.float_model])
def test_models_that_cannot_run(refuses, check, change, says):
    model = linear()
    assert check("model", model) is model
    with refuses(rh.ModelError, *says):
        check("model", change(model))


def test_only_the_float_model_must_be_fp32_and_not_quantized(refuses, quantized):
    half, buffered = linear(torch.float16), linear()
    buffered.register_buffer("state", torch.ones(2, dtype=torch.float64))
    for model, says in ((half, "0.weight in torch.float16"), (buffered, "state in torch.float64")):
        assert checks.runnable_model("model", model) is model
        with refuses(rh.ModelError, says, "model.float()"):
            checks.float_model("model", model)
    assert checks.runnable_model("model", quantized) is quantized
    for model, says in ((quantized, "lstm is a LSTM"), (quantized.lstm, "the module itself is a")):
        with refuses(rh.AlreadyQuantizedError, "already quantized", says):
            checks.float_model("model", model)


def test_runs_returns_what_the_model_does_in_inference_mode(demo, untouched):
    with untouched():
        output, (_hidden, cell) = checks.runs("model", demo.model, demo.arguments)
    assert output.is_inference()
    expected = demo.model(*demo.arguments)
    torch.testing.assert_close((output, cell), (expected[0], expected[1][1]))


class Raises(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, *_):
        raise self.error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line;"),
        (AssertionError(), "AssertionError: AssertionError;"),
        (KeyError("mask"), "KeyError: 'mask';"),
        (IndexError("out of range"), "IndexError: out of range;"),
        (AttributeError("no such"), "AttributeError: no such;"),
    ],
)
def test_runs_says_what_came_and_the_first_line_of_the_reason(refuses, error, says):
    came = "called with (int, str, (int64 tensor of shape (2,))) and raised "
    with refuses(rh.InputError, f"inputs do not fit model: it was {came}{says}") as caught:
        checks.runs("model", Raises(error), (1, "a", [torch.zeros(2, dtype=torch.int64)]))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_runs_lets_through_what_is_no_fault_of_the_inputs(untouched, stop):
    with untouched(), pytest.raises(stop):
        checks.runs("model", Raises(stop()), ())
