"""Section 5: errors against numpy in float64, and the recipe's published figures to the digit."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import recipe_helpers as rh
from recipe_helpers.recipe.accuracy import SeedErrors, StepErrors, compare_recorded

SUPPORTED = torch.backends.quantized.supported_engines
PUBLISHED = {
    "x86": ("0.12887", "0.12912", "0.00156", "1.21%"),
    "fbgemm": ("0.12887", "0.12912", "0.00156", "1.21%"),
    "onednn": ("0.12887", "0.12912", "0.00156", "1.21%"),
    "qnnpack": ("0.12887", "0.12890", "0.00092", "0.72%"),
}


class Returns(nn.Module):
    """A model that returns what it was made with."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, *_):
        return self.value


def pair(before, after):
    return Returns(before).eval(), Returns(after).eval()


def by_hand(before, after):
    """Everything about two float32 tensors, in numpy's float64."""
    x, y = (t.numpy().astype(np.float64) for t in (before, after))
    error = y - x
    worst = np.unravel_index(np.abs(error).argmax(), error.shape)
    return {
        "reference_mean": np.abs(x).mean(),
        "candidate_mean": np.abs(y).mean(),
        "difference_mean": np.abs(error).mean(),
        "relative": np.abs(error).mean() / np.abs(x).mean(),
        "sqnr_db": 10 * np.log10((x**2).sum() / (error**2).sum()),
        "cosine": (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()),
    }, tuple(map(int, worst))


@pytest.mark.parametrize("engine", [e for e in PUBLISHED if e in SUPPORTED])
def test_the_published_figures(demo, engine, untouched):
    quantized = rh.quantize_dynamic(demo.model, engine=engine)
    with untouched():
        found = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    figures = (found.reference_mean, found.candidate_mean, found.difference_mean)
    shown = (*(f"{figure:.5f}" for figure in figures), f"{found.relative:.2%}")
    assert shown == PUBLISHED[engine]
    assert found.table().rows[0][1:5] == shown


def test_a_comparison_is_the_arithmetic_of_numpy(untouched):
    before = torch.randn(4, 2, 7) + 0.3
    after = before * 1.1 + 0.01 * torch.randn(4, 2, 7)
    with untouched():
        found = rh.compare_outputs(*pair(before, after))
    expected, worst = by_hand(before, after)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12), name
    assert found.name == "output"
    assert found.worst.index == worst
    assert found.worst.reference == float(before[worst])
    assert found.worst.candidate == float(after[worst])
    assert found.worst.difference == float(after[worst].double() - before[worst].double())


def test_the_worst_element_of_a_tensor_that_is_not_square():
    before = torch.zeros(2, 3, 5)
    after = before.clone()
    after[1, 0, 3] = -2.0
    after[0, 2, 4] = 1.0
    found = rh.compare_outputs(*pair(before, after)).worst
    assert (found.index, found.reference, found.candidate) == ((1, 0, 3), 0, -2)
    assert found.difference == -2


def test_figures_are_computed_in_float64():
    before = torch.full((1001,), 1e4)
    after = before + 1e-3 * torch.arange(1001)
    found = rh.compare_outputs(*pair(before, after))
    expected, _ = by_hand(before, after)
    assert found.difference_mean == pytest.approx(expected["difference_mean"], rel=1e-12)
    assert found.cosine == pytest.approx(expected["cosine"], abs=1e-13)


def test_equal_outputs():
    value = torch.tensor([1.0, -2.0])
    found = rh.compare_outputs(*pair(value, value.clone()))
    assert (found.relative, found.sqnr_db) == (0, math.inf)
    assert found.cosine == pytest.approx(1)
    assert found.worst.difference == 0


def test_outputs_without_a_signal():
    zeros, ones = torch.zeros(3), torch.ones(3)
    both = rh.compare_outputs(*pair(zeros, zeros))
    assert (both.relative, both.sqnr_db, both.cosine) == (0, math.inf, 1)
    lost = rh.compare_outputs(*pair(zeros, ones))
    assert (lost.relative, lost.sqnr_db, lost.cosine) == (math.inf, -math.inf, 0)


def test_an_output_without_elements():
    found = rh.compare_outputs(*pair(torch.zeros(0, 3), torch.zeros(0, 3)))
    assert found.worst is None
    assert (found.reference_mean, found.relative) == (0, 0)
    assert found.table().rows[0][-1] == ""


def test_every_tensor_is_compared_and_the_first_stands_for_all(demo, quantized):
    found = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert [t.name for t in found.tensors] == ["output[0]", "output[1][0]", "output[1][1]"]
    with torch.inference_mode():
        before, after = demo.model(*demo.arguments), quantized(*demo.arguments)
    tensors = zip((before[0], *before[1]), (after[0], *after[1]), strict=True)
    for comparison, (x, y) in zip(found.tensors, tensors, strict=True):
        expected, worst = by_hand(x, y)
        for name, value in expected.items():
            assert getattr(comparison, name) == pytest.approx(value, rel=1e-9), name
        assert comparison.worst.index == worst
    first = found.tensors[0]
    assert all(getattr(found, name) == value for name, value in vars(first).items())
    rows = found.table().rows
    assert [row[0] for row in rows] == [t.name for t in found.tensors]
    assert rows[2][5] == f"{found.tensors[2].sqnr_db:.1f} dB"
    assert rows[2][7] == f"{abs(found.tensors[2].worst.difference):.5f}"
    assert found.table().headers[1:4] == ("mean |FP32|", "mean |INT8|", "mean |difference|")


def test_tensors_are_named_by_their_place():
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    packed = pack_sequence([torch.ones(3, 1), torch.ones(2, 1)])
    value = {"logits": one, "state": [two, (three, "word", None)], 3: packed}
    named = dict(rh.named_tensors(value))
    assert list(named) == [
        "output['logits']",
        "output['state'][0]",
        "output['state'][1][0]",
        "output[3].data",
    ]
    assert named["output['state'][1][0]"] is three
    assert named["output[3].data"] is packed.data
    assert dict(rh.named_tensors(one, "hidden")) == {"hidden": one}
    assert list(rh.named_tensors("words")) == []


def test_paired_outputs_are_the_first_tensors(demo, quantized, untouched):
    with untouched():
        found = rh.paired_outputs(demo.model, quantized, *demo.arguments)
    with torch.inference_mode():
        before, after = demo.model(*demo.arguments)[0], quantized(*demo.arguments)[0]
    assert torch.allclose(found.reference, before.double(), atol=1e-6)
    assert torch.equal(found.candidate, after.double())
    assert not torch.equal(found.reference, found.candidate)


def test_the_hidden_state_matters(demo, quantized):
    given = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    zeros = rh.compare_outputs(demo.model, quantized, demo.inputs)
    assert given.reference_mean != pytest.approx(zeros.reference_mean, rel=1e-3)


def test_errors_along_the_steps(untouched):
    before = torch.randn(5, 2, 3)
    after = before + torch.randn(5, 2, 3) * torch.arange(1, 6)[:, None, None] / 100
    with untouched():
        found = rh.error_over_steps(*pair((before, torch.ones(1)), (after, torch.ones(1))))
    expected = [by_hand(x, y)[0]["relative"] for x, y in zip(before, after, strict=True)]
    assert found.relatives == pytest.approx(expected)
    assert found.first_half == pytest.approx(np.mean(expected[:2]))
    assert found.second_half == pytest.approx(np.mean(expected[2:]))


def test_the_halves_as_a_table():
    table = StepErrors((0.01, 0.03, 0.05, 0.07)).table()
    assert table.headers == ("first half of the steps", "second half")
    assert table.rows == [("2.00%", "6.00%")]


@pytest.mark.parametrize("engine", [None, "qnnpack"])
def test_each_seed_draws_the_recipe_anew(engine, untouched):
    seeds = [3, 29592, -1]
    torch.set_num_threads(2)
    with untouched():
        found = rh.error_over_seeds(iter(seeds), engine=engine)
    torch.set_num_threads(1)
    assert found.seeds == tuple(seeds)
    for seed, relative in zip(seeds, found.relatives, strict=True):
        demo = rh.demonstration(seed=seed)
        quantized = rh.quantize_dynamic(demo.model, engine=engine)
        with torch.inference_mode():
            outputs = demo.model(*demo.arguments)[0], quantized(*demo.arguments)[0]
        assert relative == pytest.approx(by_hand(*outputs)[0]["relative"], rel=1e-6)
    if engine == "qnnpack" or torch.backends.quantized.engine != "qnnpack":
        assert f"{found.relatives[1]:.2%}" == ("0.72%" if engine else "1.21%")


def test_seeds_summarized():
    found = SeedErrors(tuple(range(5)), (0.05, 0.01, 0.03, 0.02, 0.04))
    assert found.share_below(0.03) == 0.4
    assert found.share_below(1) == 1
    table = found.table()
    assert table.caption == "relative error over 5 seeds"
    assert table.headers == ("smallest", "first quartile", "median", "third quartile", "largest")
    assert table.rows == [["1.00%", "2.00%", "3.00%", "4.00%", "5.00%"]]


def test_threads_are_put_back_after_an_interrupt(monkeypatch, untouched):
    from recipe_helpers.recipe import pair as recipe_pair

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    torch.set_num_threads(2)
    monkeypatch.setattr(recipe_pair, "quantize_dynamic", interrupted)
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.error_over_seeds([1])
    torch.set_num_threads(1)


COMPARISONS = [rh.compare_outputs, rh.paired_outputs, rh.error_over_steps]


def test_recorded_outputs_are_compared_without_a_model(demo, quantized):
    with torch.inference_mode():
        before, after = demo.model(*demo.arguments), quantized(*demo.arguments)
    expected = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert compare_recorded(before, after) == expected
    assert compare_recorded(after, before).reference_mean == expected.candidate_mean
