"""What the functions of this room refuse: one clear sentence each, and nothing changed."""

import functools

import pytest
import torch
from int8_rnn.scheme import EXACT
from torch import nn

import recipe_helpers as rh
from int8_rnn import FastPath
from recipe_helpers.under_the_hood import causes_of_speed, planes_and_tiles, schemes

LSTM = nn.LSTM(2, 3).eval()
BYTES, WEIGHTS = torch.zeros(2, 3).byte(), torch.zeros(4, 3, dtype=torch.int8)
ENDS = torch.tensor([[0, 255, 7]], dtype=torch.uint8)
INTEGERS = torch.arange(4).to(torch.int16)


def by_hand(outputs=None, **changes):
    sizes = {"seeds": [1], **({} if "dimensions" in changes else {"widths": [8]}), **changes}
    return lambda: rh.compare_by_hand(lambda *_: outputs, **sizes)


def gains(**changes):
    return lambda: rh.compare_gains(**changes)


def products(**changes):
    return lambda: rh.compare_products(**changes)


@functools.cache
def fused():
    return rh.FusedFloatLSTM.from_float(LSTM)


def engine(*ends):
    return lambda: rh.engine_product(torch.tensor([[*ends, 7]], dtype=torch.uint8), WEIGHTS)


REFUSED = [
    (by_hand(torch.zeros(3)), rh.InputError, "shape (3,); it must", "of shape (20, 1, 8)."),
    (by_hand(), rh.InputError, "by_hand returned a NoneType"),
    (by_hand(seeds=[]), rh.ArgumentError, "seeds is empty"),
    (by_hand(dimensions=[8, 4]), rh.ArgumentError, "widths is"),
    (by_hand(batch_sizes=[0]), rh.ArgumentError, "batch_sizes[0] is 0"),
    (lambda: rh.relative_error(torch.zeros(2), torch.zeros(2, 1)), rh.InputError,
     "(2,) and expected a", "(2, 1)"),
    *((lambda call=call, a=a, w=w: call(a, w), rh.InputError, says)
      for call in (rh.saturating_product, rh.saturated_share, rh.engine_product)
      for a, w, says in (
        (BYTES.float(), WEIGHTS, "activations is a float32"),
        (BYTES, WEIGHTS.byte(), "weights is a uint8"),
        (BYTES, WEIGHTS[0], "weights is a int8 tensor of shape (3,)"),
        (BYTES, WEIGHTS[None], "weights is a int8 tensor of shape (1, 4, 3)"),
        (BYTES, WEIGHTS[:, :2], "shape (2, 3) and weights a int8 tensor of shape (4, 2)"),
        (BYTES[0, 0], WEIGHTS, "activations is a uint8 tensor of shape ()"),
        ([[1]], WEIGHTS, "activations is"),
    )),
    (engine(0, 254), rh.InputError, "0 to 255"),
    (engine(1, 255), rh.InputError, "0 to 255"),
    (lambda: rh.engine_product(ENDS, WEIGHTS, engine="x87"), rh.ArgumentError, "'x87'"),
    (gains(widths=[8, 8]), rh.ArgumentError, "widths is"),
    (gains(sequence_length=0), rh.ArgumentError, "sequence_length is 0"),
    (gains(threads=0), rh.ArgumentError, "threads is 0"),
    (gains(budget_s=0.001), rh.ArgumentError, "budget_s is 0.001"),
    (lambda: rh.FusedFloatLSTM.from_float(LSTM, weights="int4"), rh.ArgumentError,
     "weights is 'int4'"),
    *((lambda x=x: fused()(x), rh.InputError,
       "input is a float32 tensor", "shape") for x in (torch.ones(4, 1, 5), torch.empty(4, 0, 2))),
    (lambda: rh.byte_planes(torch.zeros(3)), rh.InputError, "integers is a float32 tensor"),
    (lambda: rh.product_by_planes([1, 2, 3], WEIGHTS), rh.InputError, "integers is a"),
    (lambda: rh.product_by_planes(INTEGERS[:3], WEIGHTS.float()), rh.InputError, "weights is a"),
    (lambda: rh.product_by_planes(INTEGERS, WEIGHTS), rh.InputError, "(4,) and weights a"),
    *((lambda depth=depth: rh.tile_layout(depth), rh.ArgumentError, f"depth is {depth}")
      for depth in (20, 128)),
    (products(widths=[32, 16]), rh.ArgumentError, "widths is"),
    (products(dimensions=[20]), rh.ArgumentError, "width is 20"),
    (products(rows=0), rh.ArgumentError, "rows is 0"),
    (products(budget_s=0.001), rh.ArgumentError, "budget_s is 0.001"),
    (lambda: rh.compare_schemes("question", {}), rh.ArgumentError, "schemes is empty"),
    (lambda: rh.compare_schemes("?", {"a": EXACT}, seeds=[]), rh.ArgumentError, "seeds is empty"),
    (lambda: rh.compare_schemes("?", {"a": EXACT}, seeds=[1.5]), rh.ArgumentError, "seeds is 1.5"),
    (lambda: schemes.draw_case("odd", 1), rh.ArgumentError, "kind is 'odd'"),
    (lambda: schemes.draw_stress("odd", 1), rh.ArgumentError, "case is 'odd'"),
    (lambda: rh.stress_test(seeds=[]), rh.ArgumentError, "seeds is empty"),
    (lambda: rh.stress_test(layers=0), rh.ArgumentError, "layers is 0"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [(c, e, w) for c, e, *w in REFUSED])
def test_it_is_refused(call, error, words, refuses):
    fused()  # the kernel's first use loads libraries
    with refuses(error, *words):
        call()


@pytest.mark.parametrize(
    "call", [products(widths=[16]), lambda: rh.FusedFloatLSTM.from_float(LSTM)]
)
def test_without_a_compiled_kernel_it_says_so(call, monkeypatch):
    for module in (planes_and_tiles, causes_of_speed):
        monkeypatch.setattr(module, "fast_path", lambda: FastPath(False, "no numba", 0.0))
    with pytest.raises(rh.EngineError, match="no numba"):
        call()
