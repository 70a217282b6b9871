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

from .made_up import Doubled, Shared, Weak, quickly, weak


def refuses(error, pattern, model, *inputs, **options):
    """The message is one sentence that names the fault."""
    with pytest.raises(error, match=pattern) as caught:
        quickly(model, *inputs, **options)
    assert "\n" not in str(caught.value)


class Changed(Weak):
    """Weak with another forward."""

    def __init__(self, forward):
        super().__init__()
        self._forward = forward
        self.eval()

    def forward(self, x):
        return self._forward(self, x, super().forward)


def counted(self):
    self.calls = getattr(self, "calls", 0) + 1
    return self.calls


# --- models ---------------------------------------------------------------------------------------


def in_part(model):
    model.bridge.train()
    return model


def holding_a_graph(model):
    model.cache = model(weak()[1])
    return model


def with_nan(model):
    with torch.no_grad():
        model.bridge.weight[0, 0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("change", "error", "pattern"),
    [
        (lambda model: 3, rh.ModelError, "of type int"),
        (nn.Module.train, rh.ModelError, r"training mode.*\.eval\(\)"),
        (in_part, rh.ModelError, r"model\.bridge is in training mode"),
        (nn.Module.half, rh.ModelError, r"torch.float16.*float\(\)"),
        (lambda model: model.to("meta"), rh.ModelError, "device meta"),
        (with_nan, rh.ModelError, r"bridge\.weight"),
        (holding_a_graph, rh.ModelError, "cannot be copied.*RuntimeError: .*history"),
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
    model, x = nn.Sequential(nn.Linear(64, 64)).eval(), torch.linspace(-1, 1, 128).view(2, 64)
    exported = torch.export.export(model, (x,))
    refuses(rh.ModelError, "of type ExportedProgram", exported, x)
    refuses(rh.ModelError, "training mode", exported.module(), x)
    assert quickly(torch.fx.symbolic_trace(model), x, backends=["plain"]).passed
    found = quickly(torch.compile(model, backend="eager"), x, backends=["torch.ao"])
    assert found.candidates[0].whole.relative > 0
    made = eval(found.verdict.code, {"rh": rh, "torch": torch, "model": model})
    assert type(made[0]) is not nn.Linear


# --- inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "options", "error", "pattern"),
    [
        ([torch.ones(9, 2, 3)], {}, rh.InputError, "inputs do not fit model"),
        ([torch.ones(9, 2, 24)] * 2, {}, rh.InputError, "inputs do not fit model"),
        ([torch.ones(9, 2, 24)], {"kwargs": {"nothing": 1}}, rh.InputError, "do not fit model"),
        ([torch.ones(9, 2, 24, device="meta")], {}, rh.InputError, "meta"),
        ([torch.full((9, 2, 24), float("inf"))], {}, rh.ModelError, "NaN or infinity in output"),
        ([], {}, rh.ArgumentError, "inputs are missing"),
        ([], {"input_sets": []}, rh.ArgumentError, "inputs are missing"),
        ([torch.ones(1)], {"input_sets": [1]}, rh.ArgumentError, "both given"),
        ([], {"input_sets": [torch.ones(9, 2, 24), 3]}, rh.ArgumentError, r"input_sets\[1\]"),
        ([], {"kwargs": [1]}, rh.ArgumentError, "kwargs is .*dict"),
        ([(x for x in "generators")], {}, rh.InputError, "cannot be copied.*TypeError"),
    ],
)
def test_inputs_that_cannot_be_used(inputs, options, error, pattern):
    refuses(error, pattern, weak()[0], *inputs, **options)


def test_sets_come_as_tensors_as_tuples_and_as_dicts_with_the_keywords_of_the_call():
    x, y = torch.ones(2), torch.zeros(3)
    found = as_input_sets((), {"scale": 2, "mask": x}, [x, (x, y), [y], {"x": y, "scale": 3}])
    assert [len(one.args) for one in found] == [1, 2, 1, 0]
    assert all(one.kwargs["scale"] == 2 for one in found[:3])
    assert found[3].kwargs["scale"] == 3  # the set's own
    assert all(torch.equal(one.kwargs["mask"], x) for one in found)
    assert [(name, str(what)) for name, what in found[0].describe()] == [
        ("", "float32 tensor of shape (2,)"),
        ("scale", "int"),
        ("mask", "float32 tensor of shape (2,)"),
    ]


def test_what_the_caller_has_written_gives_the_same_arguments_again():
    x, y = torch.ones(2), torch.zeros(3)
    given = {"kwargs": {"scale": 2}, "input_sets": [x, (x, y), {"x": y, "scale": 3}]}
    for kwargs in (given["kwargs"], None):
        for one in as_input_sets((), kwargs, given["input_sets"]):
            args = eval(one.args_code or "()", {**given, "kwargs": kwargs})
            keywords = eval(one.kwargs_code or "{}", {**given, "kwargs": kwargs})
            assert len(args) == len(one.args)
            assert all(map(torch.equal, args, one.args))
            assert {**keywords, "x": 0} == {**one.kwargs, "x": 0}
    (one,) = as_input_sets((x,), {"mask": y}, None)
    assert (one.args_code, one.kwargs_code) == ("inputs", "kwargs")


class Scaled(nn.Module):
    """Takes what it is called with as positions or as keywords."""

    def __init__(self):
        super().__init__()
        self.lstm, self.linear = nn.LSTM(8, 16), nn.Linear(16, 4)

    def forward(self, x, shift=None):
        y = self.linear(self.lstm(x)[0])
        return y if shift is None else y + shift


def steps(length, batch=1):
    return torch.linspace(-1, 1, length * batch * 8).view(length, batch, 8)


FIVE, SHIFT = steps(5), torch.ones(4)
# what the caller gives to the report -> inputs of other sizes that its graph then takes
ONNX_CALLS = {
    "positions": ({"inputs": (FIVE,)}, []),
    "both": ({"inputs": (FIVE,), "kwargs": {"shift": SHIFT}}, []),
    "keywords": ({"kwargs": {"x": FIVE, "shift": SHIFT}}, []),
    "tensors": ({"input_sets": [FIVE, steps(7)]}, [((steps(9),), {})]),
    "tuples": ({"input_sets": [(FIVE, SHIFT), (steps(7), SHIFT)]}, [((steps(9), SHIFT), {})]),
    "dicts": ({"input_sets": [{"x": FIVE}, {"x": steps(7)}]}, [((), {"x": steps(9)})]),
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
    model = Scaled().eval()
    inputs = as_input_sets(given.get("inputs", ()), given.get("kwargs"), given.get("input_sets"))
    made = eval(onnx_call(inputs), {"rh": rh, "model": model, **given})
    for args, kwargs in [*((one.args, one.kwargs) for one in inputs), *others]:
        expected = model(*args, **kwargs).detach()
        assert torch.allclose(made(*args, **kwargs), expected, atol=0.05)


def test_only_sets_that_free_a_size_are_exported_with():
    inputs = as_input_sets((), None, [FIVE, 2 * FIVE, steps(6), steps(7), steps(7, 2)])
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
    assert mine.args[0] is not x
    assert mine.args[0].grad_fn is None


# --- what a forward may not do --------------------------------------------------------------------

X = weak()[1]


@pytest.mark.parametrize(
    ("forward", "error", "pattern"),
    [
        (lambda self, x, run: run(x.mul_(2)), rh.ModelError, r"changes inputs\[0\] in place"),
        (lambda self, x, run: run(x) + torch.randn(()), rh.ModelError, "another answer.*differs"),
        (lambda self, x, run: run(x) * counted(self), rh.ModelError, "output differs by 100.00%"),
        (lambda self, x, run: run(x)[: counted(self)], rh.ModelError, "fails, or returns other"),
        (lambda self, x, run: run(x) * (1 + 2e-4 * counted(self)), rh.ModelError, "by 0.02%"),
        (lambda self, x, run: run(x) * float("nan"), rh.ModelError, "returns NaN"),
        (lambda self, x, run: None, rh.ModelError, "no tensor"),
        (lambda self, x, run: {"text": "none"}, rh.ModelError, "no tensor"),
    ],
)
def test_a_forward_gives_the_same_answer_twice(forward, error, pattern):
    before = X.clone()
    refuses(error, pattern, Changed(forward), X)
    assert torch.equal(X, before)


@pytest.mark.parametrize("place", [1, "mask"])
def test_no_input_is_changed_wherever_it_is_given(place):
    class Changes(nn.Module):
        def forward(self, x, other, mask):
            (other if place == 1 else mask).add_(1)
            return x

    given = InputSet((X, X.clone()), {"mask": X.clone()})
    with pytest.raises(rh.ModelError, match=rf"changes inputs\[{place!r}\] in place"):
        steady_outputs(Changes().eval(), given)


def test_a_difference_of_rounding_is_none():
    model = Changed(lambda self, x, run: run(x) * (1 + 5e-5 * counted(self)))
    assert steady_outputs(model, InputSet((X,))).shape == (9, 2, 9)


def test_a_buffer_that_is_returned_and_written_to_again_is_no_excuse():
    def forward(self, x, run):
        self.buffer = getattr(self, "buffer", torch.zeros(1))
        return self.buffer.add_(1)

    with pytest.raises(rh.ModelError, match="another answer"):
        steady_outputs(Changed(forward), InputSet((X,)))


# --- the caller's things --------------------------------------------------------------------------


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
    def forward(self, x, run):
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
    assert held_by(model) == before
    assert torch.equal(x, X)


# --- parts replaced, and the caller's metric ------------------------------------------------------


class Nested(nn.Module):
    """A module that is reached through a list of Python's as well."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)))
        self.order = [self.inner[1][0], self.inner[0]]

    def forward(self, x):
        for part in self.order:
            x = part(x)
        return x


def test_parts_are_replaced_wherever_they_are_and_the_rest_is_shared():
    model, x = Nested().eval(), torch.randn(3, 4)
    expected = model.inner[0](2 * model.inner[1][0](x))
    made = with_parts(model, {"inner.1.0": Doubled(model.inner[1][0])})
    assert torch.allclose(made(x), expected)
    assert made.inner[0] is model.inner[0]
    assert type(model.inner[1][0]) is nn.Linear
    assert model.order[0] is model.inner[1][0]
    linear = nn.Linear(4, 4)
    double = Doubled(linear)
    assert with_parts(linear, {"": double}) is double


def test_a_shared_part_is_replaced_under_all_its_names():
    model = Shared().eval()
    made = with_parts(model, {"a": Doubled(model.a)})
    assert type(made.b) is type(made.a) is type(made.sequence[0]) is Doubled
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
