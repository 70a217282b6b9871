"""What the explorer measures, and what it refuses to."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.explorer import measurement
from recipe_helpers.explorer.measurement import Choice, engines, measure_choice, sweep_choices

from .made_up import exploration

QUICK_S = 0.01
OTHER = Choice(width=24, layers=2, batch_size=3, sequence_length=5)


@pytest.fixture(scope="module")
def other():
    return measure_choice(OTHER, budget_s=QUICK_S)


def test_agrees_with_the_helpers_called_directly(other):
    demo = rh.demonstration(width=24, layers=2, batch_size=3, sequence_length=5)
    assert demo.inputs.shape == (5, 3, 24)
    quantized = rh.quantize_dynamic(demo.model)
    assert other.size == rh.compare_size(demo.model, quantized)
    direct = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert other.accuracy.relative == pytest.approx(direct.relative, rel=1e-6)
    with torch.inference_mode():
        both = [model(*demo.arguments)[0].flatten() for model in (demo.model, quantized)]
    places = torch.linspace(0, 359, 300).round().long()
    for side, outputs in enumerate(both):
        sampled = torch.tensor([pair[side] for pair in other.outputs])
        assert torch.allclose(sampled, outputs[places], atol=1e-6)
    assert len({pair[0] - pair[1] for pair in other.outputs}) > 250


def test_runs_on_the_chosen_threads_and_puts_them_back(monkeypatch):
    seen = []
    real = measurement.make_pair
    monkeypatch.setattr(
        measurement,
        "make_pair",
        lambda **options: seen.append(torch.get_num_threads()) or real(**options),
    )
    before = torch.get_num_threads()
    threads = 1 if before > 1 else 2
    found = measure_choice(Choice(threads=threads), budget_s=QUICK_S)
    assert (seen, found.latency.threads) == ([threads], threads)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("engine", engines())
def test_every_engine_offered_works_and_is_used(engine):
    found = measure_choice(Choice(engine=engine), budget_s=QUICK_S)
    demo = rh.demonstration()
    options = {"backend": "plain"} if engine == "plain" else {"engine": engine}
    quantized = rh.quantize_dynamic(demo.model, **options)
    direct = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert found.accuracy.relative == pytest.approx(direct.relative, rel=1e-6)
    assert f", {engine}" in str(found.choice)


def test_the_models_of_the_choice_are_those_whose_memory_is_measured(monkeypatch):
    given = []
    monkeypatch.setattr(measurement, "compare_memory", lambda *given_: given.append(given_))
    measurement.measure_memory(Choice(width=16, layers=2, sequence_length=3, engine="plain"))
    ((model, quantized, inputs, _),) = given
    assert (model.lstm.hidden_size, model.lstm.num_layers) == (16, 2)
    assert isinstance(quantized.lstm, rh.Int8LSTM)
    assert inputs.shape == (3, 1, 16)


def test_a_choice_says_itself_is_frozen_and_takes_the_old_name_of_the_width():
    with pytest.raises(FrozenInstanceError):
        Choice().width = 3
    assert hash(Choice(dimension=9)) == hash(Choice(9))
    assert (Choice(dimension=9), Choice(9).dimension) == (Choice(width=9), 9)
    choice = Choice(width=16, layers=2, sequence_length=1, threads=2, engine="x86")
    assert str(choice) == "width 16, 2 layers, batch 1, 1 step, 2 threads, x86"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        *((Choice(**{field: 0}), f"{field} is 0; pass a whole number")
          for field in ("width", "layers", "batch_size", "sequence_length", "threads")),
        (Choice(engine="steam"), "engine is 'steam'; pass one of '"),
        (Choice(width=1024, batch_size=64),
         "batch 64, 20 steps, 1 thread takes 10.7 billion multiply-adds, and this panel"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_is_built(refuses, monkeypatch, choice, says):
    monkeypatch.setattr(measurement, "make_pair", lambda **_: pytest.fail("built"))
    for measure in (measure_choice, measurement.measure_memory):
        with refuses(rh.ArgumentError, says):
            measure(choice)


def test_the_most_work_is_measured_and_offered_and_one_product_more_is_not(monkeypatch, refuses):
    choice = Choice(width=16)
    monkeypatch.setattr(measurement, "MOST_MULTIPLY_ADDS", choice.multiply_adds)
    assert [c.width for c in sweep_choices(choice)] == [8, 16]
    assert measure_choice(choice, budget_s=QUICK_S).choice == choice
    monkeypatch.setattr(measurement, "MOST_MULTIPLY_ADDS", choice.multiply_adds - 1)
    assert [c.width for c in sweep_choices(choice)] == [8]
    with refuses(rh.ArgumentError, "takes 0.0 billion"):
        measure_choice(choice)


def test_billions_are_billions_whatever_the_most_is(monkeypatch, refuses):
    monkeypatch.setattr(measurement, "MOST_MULTIPLY_ADDS", 4_000_000_000)
    with refuses(rh.ArgumentError, "10.7 billion", "at most 4 billion"):
        measure_choice(Choice(width=1024, batch_size=64))


def test_the_engine_in_use_is_offered_first_and_plain_last():
    offered = engines()
    assert offered[0] == rh.working_engine() == measurement.recipe_choice().engine
    assert offered[-1] == "plain"
    assert list(offered[1:-1]) == sorted(offered[1:-1])


def test_work_counts_the_products_of_every_matrix():
    model = rh.demonstration(width=16, layers=3).model
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    choice = Choice(width=16, layers=3, batch_size=5, sequence_length=7)
    assert choice.multiply_adds == matrices * 5 * 7


def test_the_table_holds_both_models_of_all_three_measures_and_what_they_come_to():
    found = exploration(8, 4573, 3549, 3.0)
    assert "file is 1.29 times smaller, a call is 3.00 times faster" in found.verdict
    assert "the outputs differ by 3.00% on average." in found.verdict
    table = found.table()
    assert [row[1:] for row in table.rows] == [
        ("4,573 bytes", "3,549 bytes", "1.29 to 1"),
        ("21 ms", "7 ms", "3.00 to 1, INT8 is faster"),
        ("1.00000", "1.10000", "differ by 3.00%, SQNR 30.0 dB"),
    ]
    assert (table.caption, table.note) == (str(found.choice), found.verdict)


def test_the_sweep_has_the_same_choice_at_rising_widths_with_its_own():
    choice = Choice(width=100, batch_size=2)
    choices = sweep_choices(choice)
    assert [c.width for c in choices] == sorted({*measurement.SWEEP_WIDTHS, 100})
    assert {replace(c, width=100) for c in choices} == {choice}
