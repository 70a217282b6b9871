"""The checks: each fault is told in one clear sentence, and what is sound comes back."""

import math

import pytest
import torch
from torch import nn

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.common import checks

from ..korean import in_both

CHECKS = [  # check, what it refuses, what the sentence says
    *((checks.positive_int, value, f"{value!r}; pass a whole number of at least 1")
      for value in (0, -1, True, False, 1.0, 2.5, math.nan, math.inf, "3", None, [8])),
    *((checks.whole_number, value, f"{value!r}; pass a whole") for value in (True, 1.0, "1")),
    *((checks.seed, value, f"{value}; pass a whole number of at most 64 bits")
      for value in (-(2**63) - 1, 2**64)),
    *((checks.seeds, value, says) for value, says in (
        ("12", "'12'; pass a list"), (3, "3; pass a list"), ([], "empty"), ([1, 2.5], "2.5"))),
    *((checks.positive_ints, value, says) for value, says in (
        ([], "empty"), ("8", "'8'; pass a list"), (8, "8; pass a list"), ([16, 8], "[16, 8]"),
        ([8, 8], "[8, 8]; pass rising"))),
    *((checks.numbers, value, says) for value, says in (
        ([1.0], "list; pass"), (torch.ones(1, 2), "a float32 tensor of shape (1, 2) on the device"),
        (torch.ones(2).double(), "float64"), (torch.ones(2, device="meta"), "device meta"),
        (torch.ones(0), "empty"), (torch.tensor([1, math.inf]), "a tensor with NaN or infinity"))),
    *((checks.module_types, value, "pass types of modules") for value in (nn.LSTM, [3], [int])),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value", "says"), CHECKS)
def test_arguments_that_are_refused(refuses, check, value, says):
    with refuses(rh.ArgumentError, "given is ", says):
        check("given", value)


def test_arguments_that_come_back():
    assert [checks.positive_int("given", value) for value in (1, 7, 10**6)] == [1, 7, 10**6]
    assert [checks.seed("given", value) for value in (-(2**63), 0, 2**64 - 1)] == [
        -(2**63), 0, 2**64 - 1
    ]  # fmt: skip
    assert checks.seeds("given", iter([3, -1, 3])) == (3, -1, 3)
    assert checks.positive_ints("given", range(1, 10, 4)) == (1, 5, 9)
    assert checks.module_types("given", iter([nn.GRU, nn.LSTM])) == {nn.LSTM, nn.GRU}
    assert checks.numbers("given", torch.ones(2)).tolist() == [1, 1]


@pytest.mark.parametrize("values", [[8, 0], [8, -16], [8, True], [8, 8.5]])
def test_the_one_that_is_wrong_is_named(refuses, values):
    with refuses(rh.ArgumentError, f"widths[1] is {values[1]}"):
        checks.positive_ints("widths", values)
    with refuses(rh.ArgumentError, "width is 8", "at least 1 and at most 7"):
        checks.positive_int("width", 8, most=7)
    assert checks.positive_int("width", 7, most=7) == 7


@pytest.mark.parametrize("value", ["c", None, 3, [], ["a"]])
def test_one_of_names_every_choice(refuses, value):
    assert checks.one_of("engine", "b", iter("ab")) == "b"
    with refuses(rh.ArgumentError, "engine is", repr(value), "'a', 'b'"):
        checks.one_of("engine", value, "ab")


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


def test_is_quantized_knows_each_kind(quantized):
    stack = nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 2), nn.GRU(2, 2), nn.LSTMCell(2, 2)).eval()
    converted = rh.quantize_dynamic(stack, modules=[nn.LSTM, nn.Linear, nn.GRU, nn.LSTMCell])
    assert [checks.is_quantized(part) for part in stack] == [False] * 4
    assert [checks.is_quantized(part) for part in converted] == [True] * 4
    assert checks.is_quantized(quantized.lstm)
    assert not checks.is_quantized(quantized)


def test_is_quantized_asks_what_a_module_is_and_not_where_it_comes_from():
    from torch.ao.nn import quantized

    class Ours(int8_rnn.Int8Linear):
        """Somebody's own."""

    plain = nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 2)).eval()
    converted = int8_rnn.quantize(plain)
    assert [checks.is_quantized(part) for part in converted] == [True, True]
    assert checks.is_quantized(quantized.Linear(2, 2)), "statically quantized"
    assert checks.is_quantized(Ours(2, 2))
    for home in ("mine.quantized.layers", "torch.nn.quantized_later"):
        assert not checks.is_quantized(type("Layer", (nn.Linear,), {"__module__": home})(2, 2))


@pytest.mark.parametrize("check", [checks.module, checks.runnable_model, checks.float_model])
@pytest.mark.parametrize("value", [None, 3, "model", nn.LSTM])
def test_what_is_no_module_is_refused(refuses, check, value):
    with refuses(rh.ModelError, f"reference is of type {type(value).__name__}", "nn.Module"):
        check("reference", value)


def linear(dtype=torch.float32):
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(dtype).eval()


def with_value(tensor, value):
    def change(model):
        with torch.no_grad():
            model.get_parameter(tensor)[1] = value
        return model

    return change


def with_nan_in_a_buffer(model):
    model[1].running_mean[0] = math.nan
    return model


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nn.Module.train, ["model is in training mode", "model.eval()"]),
        (lambda model: model.to("meta"), ["0.weight", "device meta", "model.cpu()"]),
        *((with_value("0.bias", bad), ["model has NaN or infinity in 0.bias"])
          for bad in (math.nan, math.inf, -math.inf)),
        (with_nan_in_a_buffer, ["NaN or infinity in 1.running_mean"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [checks.runnable_model, checks.float_model])
def test_models_that_cannot_run(refuses, check, change, says):
    model = linear()
    model[1].running_var[0] = math.inf  # a mask may hold it
    assert check("model", model) is model
    with refuses(rh.ModelError, *says):
        check("model", change(model))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_only_the_float_model_must_be_fp32(refuses, dtype):
    model = linear(dtype)
    assert checks.runnable_model("model", model) is model
    with refuses(rh.ModelError, "0.weight", str(dtype), "model.float()"):
        checks.float_model("model", model)
    model = linear()
    model.register_buffer("state", torch.ones(2, dtype=dtype))
    with refuses(rh.ModelError, "model has state in", str(dtype)):
        checks.float_model("model", model)


def test_only_the_float_model_must_not_be_quantized(refuses, quantized):
    assert checks.runnable_model("model", quantized) is quantized
    with refuses(rh.AlreadyQuantizedError, "already quantized", "lstm is a LSTM"):
        checks.float_model("model", quantized)
    with refuses(rh.AlreadyQuantizedError, "the module itself is a LSTM"):
        checks.float_model("model", quantized.lstm)


def test_runs_returns_what_the_model_does_in_inference_mode(demo, untouched):
    with untouched():
        output, (hidden, cell) = checks.runs("model", demo.model, demo.arguments)
    assert output.is_inference()
    expected = demo.model(*demo.arguments)
    for found, wanted in zip((output, hidden, cell), (expected[0], *expected[1]), strict=True):
        assert torch.allclose(found, wanted, rtol=0, atol=1e-6)


def test_runs_says_what_came(refuses, demo):
    wrong = (demo.inputs[..., :5].double(), demo.hidden)
    came = "(float64 tensor of shape (20, 1, 5), (float32 tensor of shape (1, 1, 8), float32 "
    with refuses(rh.InputError, "inputs do not fit model", came, "ValueError", "model.forward"):
        checks.runs("model", demo.model, wrong)


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
        (NotImplementedError("no kernel"), "NotImplementedError: no kernel;"),
    ],
)
def test_runs_quotes_the_first_line_of_the_reason(refuses, error, says):
    with refuses(rh.InputError, says) as caught:
        checks.runs("model", Raises(error), (1, "a", [torch.zeros(2, dtype=torch.int64)]))
    assert caught.value.__cause__ is error
    assert "(int, str, (int64 tensor of shape (2,)))" in str(caught.value)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_runs_lets_through_what_is_no_fault_of_the_inputs(untouched, stop):
    with untouched(), pytest.raises(stop):
        checks.runs("model", Raises(stop()), ())
