"""Section 5: errors against numpy in float64, and the recipe's published figures to the digit."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import recipe_helpers as rh
from recipe_helpers.recipe.accuracy import SeedErrors, StepErrors, compare_recorded

from .made_up import returns

SUPPORTED = torch.backends.quantized.supported_engines
PUBLISHED = {
    **dict.fromkeys(("x86", "fbgemm", "onednn"), ("0.12887", "0.12912", "0.00156", "1.21%")),
    "qnnpack": ("0.12887", "0.12890", "0.00092", "0.72%"),
}


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


def assert_is(found, before, after):
    expected, worst = by_hand(before, after)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name
    assert found.worst.index == worst
    assert found.worst.reference == float(before[worst])
    assert found.worst.candidate == float(after[worst])
    assert found.worst.difference == float(after[worst].double() - before[worst].double())


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
        found = rh.compare_outputs(*returns(before, after))
    assert_is(found, before, after)
    assert found.name == "output"
    after = before.clone()
    after[1, 0, 3], after[0, 1, 6] = -20.0, 10.0  # the larger error is a negative one
    assert rh.compare_outputs(*returns(before, after)).worst.index == (1, 0, 3)


def test_figures_are_computed_in_float64():
    before = torch.full((1001,), 1e4)
    after = before + 1e-3 * torch.arange(1001)
    found = rh.compare_outputs(*returns(before, after))
    expected, _ = by_hand(before, after)
    assert found.difference_mean == pytest.approx(expected["difference_mean"], rel=1e-12)
    assert found.cosine == pytest.approx(expected["cosine"], abs=1e-13)


@pytest.mark.parametrize(
    ("before", "after", "relative", "sqnr_db", "cosine"),
    [
        ([1.0, -2.0], [1.0, -2.0], 0, math.inf, 1),
        ([0.0, 0.0], [0.0, 0.0], 0, math.inf, 1),
        ([0.0, 0.0], [1.0, 1.0], math.inf, -math.inf, 0),
        ([1.0, 1.0], [0.0, 0.0], 1, 0, 0),
        ([], [], 0, math.inf, 1),
        ([3 + 4j], [3 + 5j], 0.5 / 3.5, 10 * math.log10(25), 29 / math.sqrt(25 * 34)),
    ],
)
def test_edges(before, after, relative, sqnr_db, cosine):
    """Equal outputs, outputs without a signal, without elements, and of complex numbers."""
    found = rh.compare_outputs(*returns(torch.tensor(before), torch.tensor(after)))
    assert found.relative == pytest.approx(relative)
    assert (found.sqnr_db, found.cosine) == pytest.approx((sqnr_db, cosine))
    assert (found.worst is None) == (found.table().rows[0][-1] == "") == (before == [])


def test_every_tensor_is_compared_and_the_first_stands_for_all(demo, quantized):
    found = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert [t.name for t in found.tensors] == ["output[0]", "output[1][0]", "output[1][1]"]
    with torch.inference_mode():
        before, after = demo.model(*demo.arguments), quantized(*demo.arguments)
    tensors = zip((before[0], *before[1]), (after[0], *after[1]), strict=True)
    for comparison, pair in zip(found.tensors, tensors, strict=True):
        assert_is(comparison, *pair)
    first, third = found.tensors[0], found.tensors[2]
    assert all(getattr(found, name) == value for name, value in vars(first).items())
    table = found.table()
    assert [row[0] for row in table.rows] == [t.name for t in found.tensors]
    assert table.rows[2][5] == f"{third.sqnr_db:.1f} dB"
    assert table.rows[2][7] == f"{abs(third.worst.difference):.5f}"
    assert table.headers[1:4] == ("mean |FP32|", "mean |INT8|", "mean |difference|")
    assert compare_recorded(before, after) == found, "without a model"
    assert compare_recorded(after, before).reference_mean == found.candidate_mean
    zeros = rh.compare_outputs(demo.model, quantized, demo.inputs)
    assert found.reference_mean != pytest.approx(zeros.reference_mean, rel=1e-3)


def test_tensors_are_named_by_their_place():
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    packed = pack_sequence([torch.ones(3, 1), torch.ones(2, 1)])
    steps = rh.paired_outputs(*returns(one, two * 0 + 1)[:1] * 2)  # a dataclass of two tensors
    value = {"logits": one, "state": [two, (three, "word", None)], 3: packed, "pair": steps}
    named = dict(rh.named_tensors(value))
    assert list(named) == [
        "output['logits']",
        "output['state'][0]",
        "output['state'][1][0]",
        "output[3].data",
        "output['pair'].reference",
        "output['pair'].candidate",
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
    assert torch.equal(found.reference, before.double())
    assert torch.equal(found.candidate, after.double())
    assert not torch.equal(found.reference, found.candidate)


def test_errors_along_the_steps(untouched):
    before = torch.randn(5, 2, 3)
    after = before + torch.randn(5, 2, 3) * torch.arange(1, 6)[:, None, None] / 100
    with untouched():
        found = rh.error_over_steps(*returns((before, torch.ones(1)), (after, torch.ones(1))))
    expected = [by_hand(x, y)[0]["relative"] for x, y in zip(before, after, strict=True)]
    assert found.relatives == pytest.approx(expected)
    assert found.first_half == pytest.approx(np.mean(expected[:2]))
    assert found.second_half == pytest.approx(np.mean(expected[2:]))
    table = StepErrors((0.01, 0.03, 0.05, 0.07)).table()
    assert table.headers == ("first half of the steps", "second half")
    assert table.rows == [("2.00%", "6.00%")]


@pytest.mark.parametrize(
    ("options", "second"),
    [({"engine": "qnnpack"}, "0.72%"), ({"engine": "x86"}, "1.21%"), ({"backend": "plain"}, None)],
)
def test_each_seed_draws_the_recipe_anew(options, second, untouched, monkeypatch):
    if options.get("engine") not in (*SUPPORTED, None):
        options, second = {}, None
    seeds, expected, threads = [3, 29592, -1], [], []
    for demo in (rh.demonstration(seed=seed) for seed in seeds):
        quantized = rh.quantize_dynamic(demo.model, **options)
        expected.append(rh.compare_outputs(demo.model, quantized, *demo.arguments).relative)
    forward = nn.LSTM.forward
    monkeypatch.setattr(
        nn.LSTM, "forward", lambda *a: threads.append(torch.get_num_threads()) or forward(*a)
    )
    torch.set_num_threads(2)
    with untouched():
        found = rh.error_over_seeds(iter(seeds), **options)
    torch.set_num_threads(1)
    assert (found.seeds, {*threads}) == (tuple(seeds), {1})
    assert found.relatives == pytest.approx(expected, rel=1e-6)
    assert second in (f"{found.relatives[1]:.2%}", None)


def test_seeds_summarized():
    found = SeedErrors(tuple(range(5)), (0.05, 0.01, 0.03, 0.02, 0.04))
    assert (found.share_below(0.03), found.share_below(1)) == (0.4, 1)
    table = found.table()
    assert table.caption == "relative error over 5 seeds"
    assert table.headers == ("smallest", "first quartile", "median", "third quartile", "largest")
    assert table.rows == [["1.00%", "2.00%", "3.00%", "4.00%", "5.00%"]]


def test_threads_are_put_back_after_an_interrupt(monkeypatch, untouched):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    torch.set_num_threads(2)
    monkeypatch.setattr("recipe_helpers.recipe.pair.quantize_dynamic", interrupted)
    with untouched(), pytest.raises(KeyboardInterrupt):
        rh.error_over_seeds([1])
    torch.set_num_threads(1)
