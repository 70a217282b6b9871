"""Section 5: errors against numpy in float64, and the recipe's published figures to the digit."""

import math

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import recipe_helpers as rh
from recipe_helpers.recipe import pair
from recipe_helpers.recipe.accuracy import SeedErrors, StepErrors, compare_recorded

from .made_up import returns

PUBLISHED = {
    **dict.fromkeys(("x86", "fbgemm", "onednn"), ("0.12887", "0.12912", "0.00156", "1.21%")),
    "qnnpack": ("0.12887", "0.12890", "0.00092", "0.72%"),
}
ENGINES = [e for e in PUBLISHED if e in torch.backends.quantized.supported_engines]


def assert_is(found, before, after):
    """Everything about two tensors, in numpy's float64."""
    x, y = (tensor.numpy().astype(np.float64) for tensor in (before, after))
    error = y - x
    for name, value in {
        "reference_mean": np.abs(x).mean(),
        "candidate_mean": np.abs(y).mean(),
        "difference_mean": np.abs(error).mean(),
        "relative": np.abs(error).mean() / np.abs(x).mean(),
        "sqnr_db": 10 * np.log10((x**2).sum() / (error**2).sum()),
        "cosine": (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()),
    }.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-11), name
    worst = tuple(map(int, np.unravel_index(np.abs(error).argmax(), error.shape)))
    assert (found.worst.index, found.worst.difference) == (worst, error[worst])
    assert (found.worst.reference, found.worst.candidate) == (x[worst], y[worst])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_published_figures(demo, engine, untouched):
    quantized = rh.quantize_dynamic(demo.model, engine=engine)
    with untouched():
        found = rh.compare_outputs(demo.model, quantized, *demo.arguments)
    assert found.table().rows[0][1:5] == PUBLISHED[engine]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_comparison_is_the_arithmetic_of_numpy(sign):
    before = 1e4 * torch.randn(4, 2, 7) + 0.3
    after = before * 1.001 + torch.randn(4, 2, 7)
    after[1, 0, 3] = sign * 5e4
    assert_is(rh.compare_outputs(*returns(before, after)), before, after)


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
def test_equal_silent_empty_and_complex_outputs(before, after, relative, sqnr_db, cosine):
    found = rh.compare_outputs(*returns(torch.tensor(before), torch.tensor(after)))
    assert found.relative == pytest.approx(relative)
    assert (found.sqnr_db, found.cosine) == pytest.approx((sqnr_db, cosine))
    assert (found.worst is None) == (found.table().rows[0][-1] == "") == (before == [])


def test_every_tensor_is_compared_and_the_first_stands_for_all(demo, quantized, untouched):
    with torch.inference_mode():
        before, after = demo.model(*demo.arguments), quantized(*demo.arguments)
    with untouched():
        found = rh.compare_outputs(demo.model, quantized, *demo.arguments)
        first = rh.paired_outputs(demo.model, quantized, *demo.arguments)
    assert [t.name for t in found.tensors] == ["output[0]", "output[1][0]", "output[1][1]"]
    tensors = zip((before[0], *before[1]), (after[0], *after[1]), strict=True)
    for comparison, pair_ in zip(found.tensors, tensors, strict=True):
        assert_is(comparison, *pair_)
    assert vars(found.tensors[0]).items() <= vars(found).items()
    assert torch.equal(first.reference, before[0].double())
    assert torch.equal(first.candidate, after[0].double())
    assert compare_recorded(before, after) == found, "without a model"
    assert compare_recorded(after, before).reference_mean == found.candidate_mean
    third, row = found.tensors[2], found.table().rows[2]
    assert row[:4] == (
        third.name, f"{third.reference_mean:.5f}", f"{third.candidate_mean:.5f}",
        f"{third.difference_mean:.5f}",
    )  # fmt: skip
    assert (row[5], row[7]) == (f"{third.sqnr_db:.1f} dB", f"{abs(third.worst.difference):.5f}")


def test_tensors_are_named_by_their_place():
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    packed = pack_sequence([torch.ones(3, 1), torch.ones(2, 1)])
    of_two = rh.paired_outputs(*returns(one, one))  # a dataclass
    value = {"logits": one, "state": [two, (three, "word", None)], 3: packed, "pair": of_two}
    named = dict(rh.named_tensors(value))
    assert list(named) == [
        "output['logits']", "output['state'][0]", "output['state'][1][0]", "output[3].data",
        "output['pair'].reference", "output['pair'].candidate",
    ]  # fmt: skip
    assert named["output['state'][1][0]"] is three
    assert named["output[3].data"] is packed.data
    assert dict(rh.named_tensors(one, "hidden")) == {"hidden": one}
    assert list(rh.named_tensors("words")) == []


def test_errors_along_the_steps(untouched):
    before = torch.ones(5, 2, 3)
    after = before + torch.arange(1, 6)[:, None, None] / 100
    with untouched():
        found = rh.error_over_steps(*returns((before, torch.ones(1)), (after, torch.ones(1))))
    assert found.relatives == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05], rel=1e-5)
    assert (found.first_half, found.second_half) == pytest.approx((0.015, 0.04), rel=1e-5)
    table = StepErrors((0.01, 0.03, 0.05, 0.07)).table()
    assert table.headers == ("first half of the steps", "second half")
    assert table.rows == [("2.00%", "6.00%")]


@pytest.mark.parametrize("options", [{"backend": "plain"}, *({"engine": e} for e in ENGINES)])
def test_each_seed_draws_the_recipe_anew_on_one_thread(options, untouched, monkeypatch):
    seeds, expected, threads = [3, 29592, -1], [], []
    for demo in (rh.demonstration(seed=seed) for seed in seeds):
        quantized = rh.quantize_dynamic(demo.model, **options)
        expected.append(rh.compare_outputs(demo.model, quantized, *demo.arguments).relative)
    real = pair.quantize_dynamic

    def quantize(model, **given):
        threads.append(torch.get_num_threads())
        return real(model, **given)

    monkeypatch.setattr(pair, "quantize_dynamic", quantize)
    torch.set_num_threads(2)
    with untouched():
        found = rh.error_over_seeds(iter(seeds), **options)
    torch.set_num_threads(1)
    assert (found.seeds, threads) == (tuple(seeds), [1, 1, 1])
    assert found.relatives == pytest.approx(expected, rel=1e-6)


def test_seeds_summarized():
    found = SeedErrors(tuple(range(5)), (0.05, 0.01, 0.03, 0.02, 0.04))
    assert (found.share_below(0.03), found.share_below(1)) == (0.4, 1)
    table = found.table()
    assert table.caption == "relative error over 5 seeds"
    assert table.headers == ("smallest", "first quartile", "median", "third quartile", "largest")
    assert table.rows == [["1.00%", "2.00%", "3.00%", "4.00%", "5.00%"]]
