"""What a report refuses, in one sentence, and what it leaves as it was."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.your_model import measurement
from recipe_helpers.your_model.preparation import (
    InputSet,
    as_input_sets,
    metric_of,
    onnx_call,
    steady_outputs,
    with_parts,
)

from .made_up import quickly
from .models import Model, Weak, linear, shared, weak

X = weak()[1]


def refuses(error, pattern, model, *inputs, **options):
    """The message is one sentence that names the fault."""
    with pytest.raises(error, match=pattern) as caught:
        quickly(model, *inputs, **options)
    assert "\n" not in str(caught.value)


class Changed(Weak):
    """Weak with another forward, which counts its calls from 1."""

    def __init__(self, forward):
        super().__init__()
        self._forward, self.calls = forward, 0
        self.eval()

    def forward(self, x):
        self.calls += 1
        return self._forward(self, x, super().forward)


# --- models and inputs ----------------------------------------------------------------------------


def after(change):
    """What changes a model and returns it."""
    return lambda model: (change(model), model)[1]


@pytest.mark.parametrize(
    ("change", "error", "pattern"),
    [
        (lambda model: 3, rh.ModelError, "of type int"),
        (nn.Module.train, rh.ModelError, r"training mode.*\.eval\(\)"),
        (after(lambda model: model.bridge.train()), rh.ModelError, r"model\.bridge is in training"),
        (nn.Module.half, rh.ModelError, r"torch.float16.*float\(\)"),
        (lambda model: model.to("meta"), rh.ModelError, "device meta"),
        (after(lambda model: model.bridge.weight.data.fill_(math.nan)), rh.ModelError,
         r"bridge\.weight"),
        (after(lambda model: vars(model).update(cache=model.bridge.weight * 2)), rh.ModelError,
         "cannot be copied.*RuntimeError: .*history"),
        (lambda model: nn.Sequential(nn.LazyLinear(3)).eval(), rh.ModelError,
         "cannot be copied.*ValueError: .*uninitialized.*run once"),
        (lambda model: nn.Conv1d(2, 3, 1).eval(), rh.NothingQuantizedError, "Conv1d"),
        (rh.quantize_dynamic, rh.AlreadyQuantizedError, "encoder is a"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_measured(change, error, pattern):
    model, x = weak()
    refuses(error, pattern, change(model), x)


def test_models_of_other_kinds_are_tried_and_say_why():
    model, x = linear()
    exported = torch.export.export(model, (x,))
    refuses(rh.ModelError, "of type ExportedProgram", exported, x)
    refuses(rh.ModelError, "training mode", exported.module(), x)
    assert quickly(torch.fx.symbolic_trace(model), x, backends=["plain"]).passed
    found = quickly(torch.compile(model, backend="eager"), x, backends=["torch.ao"])
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert type(made[0]) is not nn.Linear


@pytest.mark.parametrize(
    ("inputs", "options", "error", "pattern"),
    [
        ([torch.ones(9, 2, 3)], {}, rh.InputError, "inputs do not fit model"),
        ([X], {"kwargs": {"nothing": 1}}, rh.InputError, "inputs do not fit model"),
        ([X.to("meta")], {}, rh.InputError, "meta"),
        ([X * math.inf], {}, rh.ModelError, "NaN or infinity in output"),
        ([], {}, rh.ArgumentError, "inputs are missing"),
        ([], {"input_sets": []}, rh.ArgumentError, "inputs are missing"),
        ([X], {"input_sets": [1]}, rh.ArgumentError, "both given"),
        ([], {"input_sets": [X, 3]}, rh.ArgumentError, r"input_sets\[1\]"),
        ([], {"kwargs": [1]}, rh.ArgumentError, "kwargs is .*dict"),
        ([(x for x in "generators")], {}, rh.InputError, "cannot be copied.*TypeError"),
    ],
)
def test_inputs_that_cannot_be_used(inputs, options, error, pattern):
    refuses(error, pattern, weak()[0], *inputs, **options)


def test_sets_come_as_tensors_as_tuples_and_as_dicts_and_the_callers_code_gives_them_again():
    x, y = torch.ones(2), torch.zeros(3)
    sets = [x, (x, y), [y], {"x": y, "scale": 3}]
    for keywords in ({"scale": 2, "mask": x}, {}):
        found = as_input_sets((), keywords, sets)
        assert [len(one.args) for one in found] == [1, 2, 1, 0]
        for one, scale in zip(found, [keywords.get("scale")] * 3 + [3], strict=True):
            assert one.kwargs.get("scale") == scale, "the set's own, if it has one"
            given = {"kwargs": keywords, "input_sets": sets}
            assert all(map(torch.equal, one.args, eval(one.args_code or "()", given)))
            again = eval(one.kwargs_code or "{}", given)
            assert again.keys() == one.kwargs.keys()
            assert [again.get("scale"), again.get("x", y) is y] == [scale, True]
    (one,) = as_input_sets((x,), {"mask": y, "scale": 2}, None)
    assert (one.args_code, one.kwargs_code) == ("inputs", "kwargs")
    assert [(name, str(what)) for name, what in one.describe()] == [
        ("", "float32 tensor of shape (2,)"),
        ("mask", "float32 tensor of shape (3,)"),
        ("scale", "int"),
    ]


def shifted(model, x, shift=None):
    y = model.linear(model.lstm(x)[0])
    return y if shift is None else y + shift


def steps(length, batch=1):
    return torch.linspace(-1, 1, length * batch * 8).view(length, batch, 8)


FIVE, SHIFT = steps(5), torch.ones(4)
# what the caller gives to the report -> inputs of other sizes that its graph then takes
ONNX_CALLS = {
    "keywords": ({"kwargs": {"x": FIVE, "shift": SHIFT}}, []),
    "tensors": ({"input_sets": [FIVE, steps(7)]}, [((steps(9),), {})]),
    "tuples": ({"input_sets": [(FIVE, SHIFT), (steps(7), SHIFT)]}, [((steps(9), SHIFT), {})]),
    "keywords of all": (
        {"kwargs": {"shift": SHIFT}, "input_sets": [{"x": FIVE}, {"x": steps(7)}]},
        [((), {"x": steps(9), "shift": SHIFT})],
    ),
    "tuples with keywords": (
        {"kwargs": {"shift": SHIFT}, "input_sets": [(FIVE,), (steps(5, 3),), (steps(7),)]},
        [((steps(9, 2),), {"shift": SHIFT})],
    ),
}


@pytest.mark.parametrize("case", ONNX_CALLS)
def test_the_line_for_onnx_takes_what_the_report_has_measured(case):
    given, others = ONNX_CALLS[case]
    model = Model(shifted, lstm=nn.LSTM(8, 16), linear=nn.Linear(16, 4))
    inputs = as_input_sets(given.get("inputs", ()), given.get("kwargs"), given.get("input_sets"))
    made = eval(onnx_call(inputs), {"rh": rh, "model": model, **given})
    for args, kwargs in [*((one.args, one.kwargs) for one in inputs), *others]:
        expected = model(*args, **kwargs).detach()
        assert torch.allclose(made(*args, **kwargs), expected, atol=0.05)


def test_only_sets_that_free_a_size_are_exported_with():
    inputs = as_input_sets((), None, [FIVE, 2 * FIVE, steps(4), steps(7), steps(7, 2)])
    assert onnx_call(inputs) == (
        "rh.quantize_onnx(model, *(input_sets[0],), "
        "others=[((input_sets[2],), {}), ((input_sets[4],), {})])"
    )


def test_inputs_with_a_gradient_are_fine_and_stay_the_callers():
    model, x = weak()
    x = (x.requires_grad_() * 1.0).contiguous()
    assert quickly(model, x, backends=["plain"]).passed
    assert x.grad_fn is not None
    (mine,) = as_input_sets((x,), None, None)
    assert mine.args[0].grad_fn is None
    assert mine.args[0].data_ptr() != x.data_ptr()


# --- what a forward may not do --------------------------------------------------------------------


def writing_again(model, x, run):
    """Returns a buffer that the next call writes to."""
    model.buffer = getattr(model, "buffer", torch.zeros(1))
    return model.buffer.add_(1)


@pytest.mark.parametrize(
    ("forward", "pattern"),
    [
        (lambda model, x, run: run(x.mul_(2)), r"changes inputs\[0\] in place"),
        (lambda model, x, run: run(x) + torch.randn(()), "another answer.*differs"),
        (lambda model, x, run: run(x) * model.calls, "output differs by 100.00%"),
        (lambda model, x, run: run(x)[: model.calls], "fails, or returns other"),
        (lambda model, x, run: run(x) * (1 + 2e-4 * model.calls), "by 0.02%"),
        (writing_again, "another answer"),
        (lambda model, x, run: run(x) * math.nan, "returns NaN"),
        (lambda model, x, run: {"text": "none"}, "no tensor"),
    ],
)
def test_a_forward_gives_the_same_answer_twice(forward, pattern):
    before = X.clone()
    refuses(rh.ModelError, pattern, Changed(forward), X)
    assert torch.equal(X, before)


@pytest.mark.parametrize("place", [1, "mask"])
def test_no_input_is_changed_wherever_it_is_given(place):
    def forward(model, x, other, mask):
        (other if place == 1 else mask).add_(1)
        return x

    given = InputSet((X, X.clone()), {"mask": X.clone()})
    with pytest.raises(rh.ModelError, match=rf"changes inputs\[{place!r}\] in place"):
        steady_outputs(Model(forward), given)


def test_a_difference_of_rounding_is_none():
    steady_outputs(Changed(lambda model, x, run: run(x) * (1 + 5e-5 * model.calls)), InputSet((X,)))


def held_by(model):
    """Everything that a report could change in its caller's model."""
    return (
        {name: (id(part), type(part), part.training, sorted(vars(part)))
         for name, part in model.named_modules()},
        [(p.requires_grad, p.data_ptr(), p._version) for p in model.parameters()],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "place", "grad"),
    [
        (None, "", True),
        (RuntimeError, "_errors", False),
        (KeyboardInterrupt, "_timed", True),
        (KeyboardInterrupt, "_sensitivity", False),
    ],
)
def test_nothing_of_the_caller_changes(monkeypatch, untouched, error, place, grad):
    def forward(model, x, run):
        random.random(), np.random.random(), torch.rand(())
        return run(x)

    def interrupt(*_args, **_options):
        raise error("stop here")

    model, x = Changed(forward), X.clone()
    before = held_by(model)
    with torch.set_grad_enabled(grad), untouched():
        if error is None:
            quickly(model, x, threads=2)
        else:
            monkeypatch.setattr(measurement.Bench, place, interrupt)
            with pytest.raises(error, match="stop here"):
                quickly(model, x, threads=2)
    assert (held_by(model), model.calls) == (before, 0)
    assert torch.equal(x, X)


def doubled(part):
    return Model(lambda model, x: 2 * model.part(x), part=part)


def test_parts_are_replaced_wherever_they_are_and_the_rest_is_shared():
    def forward(model, x):
        for part in model.order:
            x = part(x)
        return x

    inner = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)))
    model, x = Model(forward, inner=inner), torch.randn(3, 4)
    model.order = [inner[1][0], inner[0]]  # reached through a list of Python's as well
    made = with_parts(model, {"inner.1.0": doubled(inner[1][0])})
    assert torch.allclose(made(x), inner[0](2 * inner[1][0](x)))
    assert made.inner[0] is inner[0]
    assert model.order[0] is model.inner[1][0]
    assert type(model.inner[1][0]) is nn.Linear
    double = doubled(inner[0])
    assert with_parts(inner[0], {"": double}) is double
    model = shared()
    made = with_parts(model, {"a": doubled(model.a)})
    assert type(made.b) is type(made.a) is type(made.sequence[0]) is Model, "all its names"
    assert type(model.b) is nn.Linear


@pytest.mark.parametrize(
    ("metric", "pattern"),
    [
        (lambda model: 1 / 0, "metric raised ZeroDivisionError: division by zero;"),
        (lambda model: "high", "metric raised ValueError"),
        (lambda model: math.inf, "metric returned inf"),
    ],
)
def test_a_metric_that_is_no_number(metric, pattern):
    with pytest.raises(rh.ArgumentError, match=pattern):
        metric_of(metric, nn.Linear(1, 1))
