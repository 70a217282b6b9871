import math

import pytest
import torch
from torch import nn

from recipe_helpers.common.errors import ConversionError
from recipe_helpers.your_model.sensitivity import ModuleError, Sensitivity, leave_out, with_parts

from .report_models import Shared, weak


class Doubled(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return 2 * self.part(x)


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


def test_a_shared_part_is_replaced_under_all_its_names():
    model, x = Shared().eval(), torch.randn(3, 64)
    made = with_parts(model, {"a": Doubled(model.a)})
    assert type(made.b) is type(made.a) is type(made.sequence[0]) is Doubled
    assert not torch.allclose(made(x), model(x))


def test_nothing_replaced_gives_the_same_results_and_a_mode_of_its_own():
    model, x = weak()
    made = with_parts(model, {})
    made.train()
    assert not model.training
    assert torch.equal(made(x), model(x))
    assert made.decoder.weight is model.decoder.weight


def test_the_model_itself_may_be_the_part():
    linear = nn.Linear(4, 4)
    double = Doubled(linear)
    assert with_parts(linear, {"": double}) is double


def sensitivity(*relatives):
    modules = [
        ModuleError(f"m{i}", "Linear", relative, "broken" if math.isnan(relative) else None)
        for i, relative in enumerate(relatives)
    ]
    return Sensitivity(tuple(modules), 0)


@pytest.mark.parametrize("needed", [1, 2, 5, 7])
def test_the_worst_modules_are_left_out_until_the_error_is_in_the_limit(needed):
    found = sensitivity(*[1.0 / (i + 1) for i in range(9)])
    names = tuple(f"m{i}" for i in range(9))
    left = leave_out(found, names, lambda left: 0.9 if len(left) < needed else 0.1, 0.5)
    assert left == names[:needed]


def test_at_least_one_module_has_to_be_converted():
    names = ("m0", "m1", "m2")
    assert leave_out(sensitivity(3, 2, 1), names, lambda left: 1.0, 0.5) is None
    assert leave_out(sensitivity(3), ("m0",), lambda left: 0.0, 0.5) is None


def test_what_cannot_run_is_left_out_from_the_start():
    found, tried = sensitivity(math.nan, math.nan, 0.1, 0.0), []

    def error(left):
        tried.append(left)
        return 0.0

    assert leave_out(found, ("m0", "m1", "m2", "m3"), error, 0.5) == ("m0", "m1")
    assert tried == [("m0", "m1")]
    assert found.failing == ("m0", "m1")


def test_failures_are_told_in_the_table():
    from recipe_helpers.your_model.sensitivity import measure_sensitivity

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 40))

    def alone(name):
        if name == "0":
            raise ConversionError("no way")
        return model

    found = measure_sensitivity(("0", "1"), model, alone, lambda _: 0.25, lambda _: None)
    assert [(m.name, m.failure) for m in found.modules] == [("0", "no way"), ("1", None)]
    assert found.table().rows == [("0", "Linear", "no way"), ("1", "Linear", "25.000%")]
