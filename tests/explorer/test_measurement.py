"""What the explorer measures, and what it refuses to."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.explorer import measurement
from recipe_helpers.explorer.measurement import Choice, engines, measure_choice, sweep_choices
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER

from .made_up import exploration

QUICK_S = 0.01
OTHER = Choice(width=24, layers=2, batch_size=3, sequence_length=5)


@pytest.fixture(scope="module")
def other():
    return measure_choice(OTHER, budget_s=QUICK_S)


def demonstration(choice):
    return rh.demonstration(
        width=choice.width,
        layers=choice.layers,
        batch_size=choice.batch_size,
        sequence_length=choice.sequence_length,
    )


def test_every_size_reaches_the_model(other):
    """Four gates of two matrices and two biases per layer, four bytes each."""
    assert other.size.reference.payload_bytes == 4 * 2 * (4 * 24 * 24 * 2 + 4 * 24 * 2)
    assert other.size.candidate.int8_bytes == 2 * (4 * 24 * 24 * 2)
    assert len(other.outputs) == min(300, 5 * 3 * 24)


@pytest.mark.parametrize("field", ["batch_size", "sequence_length"])
def test_batch_and_steps_change_what_runs(monkeypatch, field):
    seen = []
    real = measurement.compare

    def spy(model, quantized, inputs, hidden, **options):
        seen.append((tuple(inputs.shape), tuple(hidden[0].shape)))
        return real(model, quantized, inputs, hidden, **options)

    monkeypatch.setattr(measurement, "compare", spy)
    measure_choice(Choice(**{field: 3}), budget_s=QUICK_S)
    batch, steps = (3, 20) if field == "batch_size" else (1, 3)
    assert seen == [((steps, batch, 8), (1, batch, 8))]


def test_agrees_with_the_helpers_called_directly(other):
    demo = demonstration(OTHER)
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

    def spy(**options):
        seen.append(torch.get_num_threads())
        return real(**options)

    monkeypatch.setattr(measurement, "make_pair", spy)
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


def test_a_choice_is_frozen_and_takes_the_old_name_of_the_width():
    with pytest.raises(FrozenInstanceError):
        Choice().width = 3
    assert hash(Choice(dimension=9)) == hash(Choice(9))
    assert (Choice(dimension=9), Choice(9).dimension) == (Choice(width=9), 9)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        *(
            (Choice(**{field: 0}), f"{field} is 0; pass a whole number")
            for field in ("width", "layers", "batch_size", "sequence_length", "threads")
        ),
        (Choice(engine="steam"), "engine is 'steam'; pass one of '"),
        (Choice(width=1024, batch_size=64), "width 1024, 1 layer, batch 64"),
        (Choice(width=1024, batch_size=64), "takes 10.7 billion multiply-adds, and this panel"),
        (Choice(width=1024, batch_size=64), "choose a smaller width or batch"),
    ],
)
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


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (exploration(8, 4e6, 2e6, 3.0), "file is 2.00 times smaller, a call is 3.00 times faster"),
        (exploration(8, 2e6, 4e6, 0.25, verdict=SLOWER), "2.00 times larger, a call is 4.00 times"),
        (
            exploration(8, speedup=1.01, verdict=INCONCLUSIVE),
            "as fast within the noise, and",
        ),
    ],
)
def test_the_verdict_says_how_many_times(found, words):
    assert words in found.verdict
    assert "the outputs differ by 3.00% on average." in found.verdict


def test_the_table_holds_both_models_of_all_three_measures():
    found = exploration(8, 4573, 3549, 3.0, verdict=FASTER)
    table = found.table()
    assert [row[1:] for row in table.rows] == [
        ("4,573 bytes", "3,549 bytes", "1.29 to 1"),
        ("21 ms", "7 ms", "3.00 to 1, INT8 is faster"),
        ("1.00000", "1.10000", "differ by 3.00%, SQNR 30.0 dB"),
    ]
    assert (table.caption, table.note) == (str(found.choice), found.verdict)


def test_a_choice_in_words():
    choice = Choice(width=16, layers=2, sequence_length=1, threads=2, engine="x86")
    assert str(choice) == "width 16, 2 layers, batch 1, 1 step, 2 threads, x86"


def test_the_sweep_has_the_same_choice_at_rising_widths_with_its_own():
    choice = Choice(width=100, batch_size=2)
    choices = sweep_choices(choice)
    assert [c.width for c in choices] == sorted({*measurement.SWEEP_WIDTHS, 100})
    assert {replace(c, width=100) for c in choices} == {choice}
