"""What a report refuses, in one sentence, and what it leaves as it was."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model import measurement

from .report_models import Weak, quickly, weak


@pytest.fixture
def model_and_inputs():
    return weak()


def refuses(error, pattern, model, *inputs, **options):
    """The message is one sentence that names the fault."""
    with pytest.raises(error, match=pattern) as caught:
        quickly(model, *inputs, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Changed(Weak):
    """Weak with another forward."""

    def __init__(self, forward):
        super().__init__()
        self._forward = forward
        self.eval()

    def forward(self, x):
        return self._forward(self, x, super().forward)


def test_not_a_module(model_and_inputs):
    refuses(rh.ModelError, "of type int", 3, model_and_inputs[1])


def test_training_mode(model_and_inputs):
    model, x = model_and_inputs
    refuses(rh.ModelError, r"training mode.*\.eval\(\)", model.train(), x)


def test_a_part_in_training_mode(model_and_inputs):
    model, x = model_and_inputs
    model.bridge.train()
    refuses(rh.ModelError, r"model\.bridge is in training mode", model, x)


def test_nothing_to_convert():
    refuses(rh.NothingQuantizedError, "Conv1d", nn.Conv1d(3, 3, 1).eval(), torch.ones(1, 3, 5))


def test_a_bare_lstm_is_told_to_be_wrapped():
    lstm, x = nn.LSTM(64, 64).eval(), torch.randn(5, 2, 64)
    refuses(rh.NothingQuantizedError, "wrap it", lstm, x, backends=["torch.ao"])
    found = quickly(lstm, x)
    assert found.verdict.candidate == "plain"
    assert "wrap it" in found.candidate("torch.ao").failure


@pytest.mark.parametrize("backend", ["torch.ao", "plain"])
def test_already_quantized(model_and_inputs, backend):
    model, x = model_and_inputs
    quantized = rh.quantize_dynamic(model, backend=backend)
    refuses(rh.AlreadyQuantizedError, "encoder is a", quantized, x)


def test_scripted(model_and_inputs):
    x = model_and_inputs[1]
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(24, 4)).eval())
    refuses(rh.ModelError, "scripted", scripted, x)


def test_exported():
    model, x = nn.Sequential(nn.Linear(4, 4)).eval(), torch.ones(2, 4)
    exported = torch.export.export(model, (x,))
    refuses(rh.ModelError, "exported program", exported, x)
    refuses(rh.ModelError, "exported graph", exported.module(), x)


def test_traced_by_fx_is_as_good_as_the_module():
    model, x = nn.Sequential(nn.Linear(64, 64)).eval(), torch.ones(2, 64)
    traced = torch.fx.symbolic_trace(model)
    assert quickly(traced, x, backends=["plain"]).passed


def test_compiled():
    model, x = nn.Sequential(nn.Linear(4, 4)).eval(), torch.ones(2, 4)
    refuses(rh.ModelError, "model is compiled", torch.compile(model, backend="eager"), x)
    holder = nn.Sequential(torch.compile(model, backend="eager")).eval()
    refuses(rh.ModelError, r"model\.0 is compiled", holder, x)
    model.compile(backend="eager")
    refuses(rh.ModelError, "model is compiled", model, x)


def test_another_device(model_and_inputs):
    model, x = model_and_inputs
    refuses(rh.ModelError, "device meta", model.to("meta"), x)
    refuses(rh.InputError, r"inputs\[0\] is on the device meta", weak()[0], x.to("meta"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_dtype(model_and_inputs, dtype):
    model, x = model_and_inputs
    refuses(rh.ModelError, f"{dtype}.*float()", model.to(dtype), x.to(dtype))
    refuses(rh.InputError, "inputs do not fit", weak()[0], x.to(dtype))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_and_outputs_that_are_not_finite(model_and_inputs, value):
    model, x = model_and_inputs
    refuses(rh.ModelError, "returns NaN or infinity in output", model, torch.full_like(x, value))
    with torch.no_grad():
        model.bridge.weight[0, 0] = value
    refuses(rh.ModelError, r"bridge\.weight", model, x)


def test_a_model_without_weights_yet():
    lazy = nn.Sequential(nn.LazyLinear(3)).eval()
    refuses(rh.ModelError, "not seen an input", lazy, torch.ones(2, 3))


def test_a_model_that_cannot_be_copied(model_and_inputs):
    model, x = model_and_inputs
    model.cache = model(x)  # a tensor with a gradient's history
    refuses(rh.ModelError, "cannot be copied", model, x)


def test_inputs_that_do_not_fit(model_and_inputs):
    model, x = model_and_inputs
    refuses(rh.InputError, "inputs do not fit model", model, x[..., :3])
    refuses(rh.InputError, "inputs do not fit model", model, x, x)
    refuses(rh.InputError, "inputs do not fit model", model, x, kwargs={"nothing": 1})
    refuses(rh.ArgumentError, "inputs are missing", model)
    refuses(rh.ArgumentError, "both given", model, x, input_sets=[(x,)])
    refuses(rh.ArgumentError, "input_sets is empty", model, input_sets=[])
    refuses(rh.ArgumentError, r"input_sets\[1\]", model, input_sets=[(x,), 3])
    assert quickly(model, input_sets=[x, (x,)], backends=["plain"]).inputs[0].startswith("float32")


def test_a_forward_that_changes_its_input():
    def forward(self, x, run):
        return run(x.mul_(2))

    model, x = Changed(forward), weak()[1]
    before = x.clone()
    refuses(rh.ModelError, r"changes inputs\[0\] in place", model, x)
    assert torch.equal(x, before)


def test_random_numbers_in_forward():
    model, x = Changed(lambda self, x, run: run(x) + torch.randn(())), weak()[1]
    refuses(rh.ModelError, "draws random numbers", model, x)


def test_a_state_kept_between_calls():
    def forward(self, x, run):
        self.calls = getattr(self, "calls", 0) + 1
        return run(x) * self.calls

    refuses(rh.ModelError, "keeps a state", Changed(forward), weak()[1])


def test_a_length_that_changes_from_call_to_call():
    def forward(self, x, run):
        self.calls = getattr(self, "calls", 0) + 1
        return run(x)[: self.calls]

    refuses(rh.ModelError, "another answer", Changed(forward), weak()[1])


@pytest.mark.parametrize("output", [None, 3.0, {"text": "none"}, ()])
def test_an_output_without_tensors(output):
    refuses(rh.ModelError, "no tensor", Changed(lambda self, x, run: output), weak()[1])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("options", [{"bias": False}, {"proj_size": 16}])
def test_what_one_backend_cannot_run_is_told_and_the_others_are_judged(options):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(24, 32, **options)
            self.out = nn.Linear(options.get("proj_size", 32), 256)

        def forward(self, x):
            return self.out(self.rnn(x)[0])

    found = quickly(Head().eval(), weak()[1])
    for name in ("torch.ao", "torch.ao-per-channel"):
        candidate = found.candidate(name)
        assert next(iter(options)) in candidate.failure
        assert candidate.whole is None
        assert candidate.left_float == ("rnn",)
        assert candidate.partly.conversion.converted[0].name == "out"
    assert found.candidate("plain").failure is None
    assert found.candidate("plain").whole.close
    assert "fails: torch.ao cannot run rnn" in re.sub(r"\s+", " ", str(found))


def test_only_a_backend_that_fails_keeps_fp32():
    found = quickly(nn.Sequential(Only()).eval(), weak()[1], backends=["torch.ao"])
    assert not found.passed
    assert "bias=False" in found.verdict.reason
    assert found.to_html().count("<img") == 0
    assert found.to_dict()["candidates"][0]["whole"] is None


class Only(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(24, 32, bias=False)

    def forward(self, x):
        return self.rnn(x)[0]


def test_many_modules_are_not_all_measured_alone():
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(300)]).eval()
    found = quickly(model, torch.ones(1, 4), backends=["plain"], min_size_ratio=0)
    sensitivity = found.candidates[0].sensitivity
    assert (len(sensitivity.modules), sensitivity.not_measured) == (24, 276)
    assert "276 smaller modules were not measured alone" in str(found)
    assert len(found.candidates[0].whole.modules.modules) == 12


def state_of_everything(model, *tensors):
    return {
        "weights": {k: v.clone() for k, v in model.state_dict().items()},
        "tensors": [tensor.clone() for tensor in tensors],
        "kinds": [(name, type(part), part.training) for name, part in model.named_modules()],
        "attributes": [sorted(vars(part)) for part in model.modules()],
        "gradients": [p.requires_grad for p in model.parameters()],
        "threads": torch.get_num_threads(),
        "engine": torch.backends.quantized.engine,
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "dtype": torch.get_default_dtype(),
        "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
    }


def same(before, after):
    torch.testing.assert_close(before, after, rtol=0, atol=0) if isinstance(
        before, torch.Tensor
    ) else None
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return True if isinstance(before, torch.Tensor) else before == after


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["differences", "timed", "_sensitivity"])
def test_nothing_of_the_caller_changes(model_and_inputs, monkeypatch, grad, error, place):
    def forward(self, x, run):
        random.random(), np.random.random(), torch.rand(())
        return run(x)

    model, x = Changed(forward), model_and_inputs[1]
    if error is not None:

        def interrupt(*_args, **_options):
            raise error("stop here")

        monkeypatch.setattr(measurement.Bench, place, interrupt)
    with torch.set_grad_enabled(grad):
        before = state_of_everything(model, x)
        if error is None:
            quickly(model, x, threads=1)
        else:
            with pytest.raises(error, match="stop here"):
                quickly(model, x, threads=1)
        assert same(before, state_of_everything(model, x))


def test_an_interrupt_during_a_run_of_the_model_stops_the_report(model_and_inputs):
    calls = []

    def forward(self, x, run):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return run(x)

    model, x = Changed(forward), model_and_inputs[1]
    before = state_of_everything(model, x)
    with pytest.raises(KeyboardInterrupt):
        quickly(model, x, threads=1)
    assert same(before, state_of_everything(model, x))


def test_inputs_with_a_gradient_are_fine(model_and_inputs):
    model, x = model_and_inputs
    x = (x.requires_grad_() * 1.0).contiguous()
    assert quickly(model, x, backends=["plain"]).passed
    assert x.grad_fn is not None
