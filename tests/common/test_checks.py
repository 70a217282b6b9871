"""The checks: each fault is told in one clear sentence, and what is sound comes back."""

import math

import pytest
import torch
from torch import nn

import int8_rnn
import recipe_helpers as rh
from recipe_helpers.common import checks

NOT_POSITIVE = [0, -1, True, False, 1.0, 2.5, math.nan, math.inf, "3", None, [8]]


def linear(dtype=torch.float32):
    return nn.Sequential(nn.Linear(3, 2)).to(dtype).eval()


@pytest.mark.parametrize("value", NOT_POSITIVE)
def test_positive_int_refuses(refuses, value):
    with refuses(rh.ArgumentError, "width is", repr(value), "at least 1"):
        checks.positive_int("width", value)


def test_positive_int_passes_on_what_it_accepts(refuses):
    assert [checks.positive_int("width", value) for value in (1, 7, 10**6)] == [1, 7, 10**6]
    assert checks.positive_int("width", 7, most=7) == 7
    with refuses(rh.ArgumentError, "width is 8", "at least 1 and at most 7"):
        checks.positive_int("width", 8, most=7)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_whole_number_refuses(refuses, value):
    with refuses(rh.ArgumentError, "seed is", repr(value)):
        checks.whole_number("seed", value)


def test_whole_number_may_have_either_sign():
    assert [checks.whole_number("seed", value) for value in (-3, 0, 3)] == [-3, 0, 3]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "widths is empty"),
        ("8", "widths is '8'"),
        (8, "widths is 8"),
        (None, "widths is None"),
        ([8, 0], "widths[1] is 0"),
        ([8, -16], "widths[1] is -16"),
        ([True], "widths[0] is True"),
        ([8.0], "widths[0] is 8.0"),
        ([16, 8], "[16, 8]"),
        ([8, 8], "[8, 8]"),
    ],
)
def test_positive_ints_refuses(refuses, values, says):
    with refuses(rh.ArgumentError, says, "pass"):
        checks.positive_ints("widths", values)


def test_positive_ints_takes_any_iterable():
    assert checks.positive_ints("widths", iter([3])) == (3,)
    assert checks.positive_ints("widths", range(1, 10, 4)) == (1, 5, 9)


@pytest.mark.parametrize("value", ["c", None, 3, [], ["a"]])
def test_one_of_names_every_choice(refuses, value):
    assert checks.one_of("engine", "b", iter("ab")) == "b"
    with refuses(rh.ArgumentError, "engine is", repr(value), "'a', 'b'"):
        checks.one_of("engine", value, "ab")


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


@pytest.mark.parametrize("check", [checks.runnable_model, checks.float_model])
class TestModel:
    def test_a_good_model_comes_back(self, check):
        model = linear()
        assert check("model", model) is model

    def test_training_mode(self, check, refuses):
        model = linear().train()
        with refuses(rh.ModelError, "model is in training mode", "model.eval()"):
            check("model", model)

    def test_another_device(self, check, refuses):
        model = linear().to("meta")
        with refuses(rh.ModelError, "0.weight", "device meta", "model.cpu()"):
            check("model", model)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_a_parameter_that_is_not_finite(self, check, refuses, bad):
        model = linear()
        with torch.no_grad():
            model[0].bias[1] = bad
        with refuses(rh.ModelError, "model has NaN or infinity in 0.bias"):
            check("model", model)

    def test_a_buffer_that_is_not_finite(self, check, refuses):
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
        assert check("model", model) is model  # it holds a counter of int64 as well
        model[1].running_mean[0] = math.nan
        with refuses(rh.ModelError, "1.running_mean"):
            check("model", model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_only_the_float_model_must_be_fp32(refuses, dtype):
    model = linear(dtype)
    assert checks.runnable_model("model", model) is model
    with refuses(rh.ModelError, "0.weight", str(dtype), "model.float()"):
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
