"""How one conversion shows itself: rows, tables, what broke."""

import itertools
import math
from dataclasses import replace

import pytest

from recipe_helpers.your_model.candidates import Candidate, Measured, ModuleError, Sensitivity

from .made_up import candidate, filled, measured


def test_a_row_for_the_whole_and_one_for_the_mended():
    whole, mended = measured(0.2, 1.5, 1.7), measured(0.0123, 1.2, 1.3, size_ratio=2.0)
    made = candidate("plain", replace(whole, memory=None), mended, left=("a", "b"))
    first, second = made.rows()
    assert first == (
        "plain", f"{whole.size.ratio:.2f}", "", "1.60 (95 % interval 1.50 to 1.70)", "20.00%",
        "not nearly the same output",
    )  # fmt: skip
    assert second[0] == "plain, 2 left FP32"
    assert second[2].count("->") == 1
    assert second[3:] == ("1.25 (95 % interval 1.20 to 1.30)", "1.23%", "within the limits")
    assert (made.best, replace(made, partly=None).best) == (mended, made.whole)


def test_a_failure_is_a_row_as_well():
    made = replace(candidate("plain", None, measured(0.01, 1.5, 1.7)), failure="is ill")
    assert next(made.rows()) == ("plain", "", "", "", "", "fails: is ill")
    assert [row[0] for row in made.rows()] == ["plain", "plain, 0 left FP32"]
    assert list(Candidate("plain").rows()) == []


def test_every_table_is_there_and_every_promise_in_the_first():
    found = filled(Measured, itertools.count(1))
    tables = list(found.tables())
    assert [row[2] for row in tables[0].rows] == [p.sentence for p in found.promises]
    assert tables[0].note == found.meaning
    assert [table.caption for table in tables[-3:]] == [
        f"outputs, input set {place}" for place in (1, 2, 3)
    ]
    assert len(tables) == 1 + 4 + len(found.latencies) + 3
    without = list(replace(found, memory=None, outputs=found.outputs[:1]).tables())
    assert (without[-1].caption, len(without)) == ("outputs", len(tables) - 3)
    made = candidate("plain", found)
    assert len(made.tables()) == len(tables) + 1
    assert replace(made, whole=None).tables()[0].headers[0] == "converted alone"
    assert Candidate("plain").tables() == []


def test_what_broke_and_whether_the_output_is_close():
    far, slow, fine = measured(0.2, 1, 1), measured(0.01, 0.5, 0.6), measured(0.01, 1.5, 1.6)
    assert ([p.name for p in far.broken], far.close) == (["nearly the same output"], False)
    assert ([p.name for p in slow.broken], slow.close) == (["faster"], True)
    assert (fine.broken, fine.close) == ((), True)
    assert fine.promise("faster").measured == pytest.approx(1.55)


def test_failures_of_modules_are_told_in_the_table_and_counted():
    modules = (ModuleError("", "GRU", math.nan, "no way"), ModuleError("1", "LSTM", 0.25, None))
    found = Sensitivity(modules, 0)
    assert found.table().rows == [("(the model)", "GRU", "no way"), ("1", "LSTM", "25.000%")]
    assert (found.failing, found.worst, found.table().note) == (("",), modules[0], "")
    assert Sensitivity((), 3).worst is None
    assert Sensitivity((), 3).table().note.startswith("3 smaller modules were not measured alone")
    assert [one.left_float for one in modules] == [
        "left FP32: fails when converted: no way",
        "left FP32: alone it costs a relative error of 25.00%",
    ]


def sensitivity(*relatives):
    modules = [
        ModuleError(f"m{i}", "Linear", one, "broken" if math.isnan(one) else None)
        for i, one in enumerate(relatives)
    ]
    return Sensitivity(tuple(modules), 0)


@pytest.mark.parametrize(
    ("relatives", "count", "tried"),
    [
        ((3, 2, 1), 3, [1, 2]),  # at least one module is converted
        ((3,), 1, []),
        ((3, 2), 9, [1, 2]),  # the others were not measured alone
        ((math.nan, math.nan, 0.1, 0.0), 4, [2, 3]),  # what cannot run is out from the start
        ((*range(24, 0, -1),), 40, [1, 2, 3, 4, 5, 6, 7, 8, 12, 18]),
    ],
)
def test_ever_more_of_the_worst_modules_are_left_out(relatives, count, tried):
    lefts = list(sensitivity(*relatives).left_out(count))
    assert [len(left) for left in lefts] == tried
    assert all(left == tuple(f"m{i}" for i in range(len(left))) for left in lefts)
