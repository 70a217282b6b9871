"""`rh.Int8GRU` as a drop-in: every option against nn.GRU, by hand, forms, errors, travel."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import recipe_helpers as rh
from recipe_helpers.common.settings import deprecations_silenced, engine_set
from recipe_helpers.int8 import arithmetic

OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "layers": {"num_layers": 3, "dropout": 0.5},
    "everything": {"num_layers": 2, "bidirectional": True, "bias": False},
}


def pair(*sizes, activation_bits=None, **options):
    gru = nn.GRU(*sizes, **options).eval()
    return gru, rh.Int8GRU.from_float(gru, activation_bits=activation_bits)


def state_for(gru, batch):
    return torch.randn(gru.num_layers * (1 + gru.bidirectional), batch, gru.hidden_size)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("bits", [None, 8])
def test_every_option_is_close_to_the_float_gru(options, bits):
    gru, int8 = pair(20, 24, activation_bits=bits, **options)
    x, state = torch.randn(9, 4, 20), state_for(gru, 4)
    with torch.inference_mode():
        exact = gru(x, state)
    for ours, theirs in zip(int8(x, state), exact, strict=True):
        relative = (ours - theirs).abs().mean() / theirs.abs().mean()
        assert 0 < float(relative) < (0.006 if bits is None else 0.012)


def test_one_layer_is_what_integers_by_hand_give():
    """Two steps with numpy's integers, the gates r, z, n in float64."""
    gru, int8 = pair(5, 6)
    x, h = torch.randn(2, 1, 5), torch.randn(1, 1, 6)

    def sums(part, row):
        w = getattr(int8, f"weight_{part}_l0").numpy().astype(np.int64)
        row = row * getattr(int8, f"weight_{part}_l0_columns").numpy()
        step = np.abs(row).max() / 32767
        scale = getattr(int8, f"weight_{part}_l0_scale").numpy().astype(np.float64)
        bias = getattr(int8, f"bias_{part}_l0").numpy()
        return (w @ np.rint(row / step).astype(np.int64)) * step * scale + bias

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    state = h[0, 0].numpy().astype(np.float64)
    for step in x[:, 0].numpy().astype(np.float64):
        (a, b, c), (d, e, f) = np.split(sums("ih", step), 3), np.split(sums("hh", state), 3)
        r, z = sigmoid(a + d), sigmoid(b + e)
        state = (1 - z) * np.tanh(c + r * f) + z * state
    ours = int8(x, h)[1][0, 0].numpy()
    assert np.abs(ours - state).max() < 5e-5
    assert np.abs(gru(x, h)[1][0, 0].detach().numpy() - state).max() > 5e-5


@pytest.mark.parametrize("layers", [1, 2])
def test_the_scheme_torch_ao_agrees_with_torch_ao(layers):
    from torch.ao.quantization import quantize_dynamic

    gru = nn.GRU(16, 24, layers, bidirectional=True).eval()
    x, state = torch.randn(11, 3, 16), state_for(gru, 3)
    with deprecations_silenced(), engine_set("fbgemm"), torch.inference_mode():
        theirs = quantize_dynamic(nn.Sequential(gru), {nn.GRU})[0](x, state)
    ours = rh.Int8GRU.from_float(gru, scheme="torch.ao")(x, state)
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).abs().max()) <= 1e-6


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_form_of_the_input_gives_the_same_bits(options):
    gru, int8 = pair(6, 7, **options)
    lengths = (2, 5, 1, 3)
    sequences, state = [torch.randn(n, 6) for n in lengths], state_for(gru, 4)
    alone = [int8(x, state[:, b]) for b, x in enumerate(sequences)]
    packed, hidden = int8(pack_sequence(sequences, enforce_sorted=False), state)
    padded, _ = pad_packed_sequence(packed)
    for b, (output, h) in enumerate(alone):
        assert torch.equal(padded[: lengths[b], b], output)
        assert torch.equal(hidden[:, b], h)
    first = nn.GRU(6, 7, batch_first=True, **options)
    first.load_state_dict(gru.state_dict())
    got, h = rh.Int8GRU.from_float(first)(sequences[1][None], state[:, 1:2])
    assert torch.equal(got[0], alone[1][0])
    assert torch.equal(h[:, 0], alone[1][1])


@pytest.mark.parametrize(
    ("inputs", "state", "message"),
    [
        (torch.zeros(5, 4, 3), None, "input is a float32 tensor of shape (5, 4, 3); pass"),
        (torch.zeros(0, 4, 6), None, "a sequence of no steps"),
        (torch.zeros(5, 4, 6), torch.zeros(1, 3, 7), "pass a float32 tensor of shape (1, 4, 7)"),
        (torch.zeros(5, 4, 6), (torch.zeros(1, 4, 7),) * 2, "hx is"),
        (torch.zeros(5, 6), torch.zeros(1, 1, 7), "of shape (1, 7)"),
    ],
)
def test_what_does_not_fit_is_refused(inputs, state, message, refuses):
    _, int8 = pair(6, 7)
    with refuses(rh.InputError, message):
        int8(inputs, state)


def test_other_modules_and_sizes_are_refused(refuses):
    lstm = nn.LSTM(6, 7)
    with refuses(rh.ModelError, "gru is a LSTM; pass a torch.nn.GRU"):
        rh.Int8GRU.from_float(lstm)
    with refuses(rh.ArgumentError, "hidden_size is 0"):
        rh.Int8GRU(6, 0)


def test_nan_stays_in_its_sequence():
    _, int8 = pair(6, 7)
    x = torch.randn(5, 3, 6)
    clean = int8(x)[0]
    x[2, 1, 0] = torch.nan
    dirty = int8(x)[0]
    assert torch.equal(dirty[:, [0, 2]], clean[:, [0, 2]])
    assert torch.equal(dirty[:2, 1], clean[:2, 1])
    assert bool(dirty[2:, 1].isnan().all())


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(5, 6, 2, bidirectional=True), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.gru(x)[0])


def test_both_backends_convert_it_by_default_and_the_plain_one_saves_it(tmp_path):
    model, x = Tagger().eval(), torch.randn(4, 2, 5)
    plain = rh.quantize_dynamic(model, backend="plain")
    changed = {c.name: c.after for c in rh.converted_modules(model, plain).converted}
    assert changed == {"gru": "Int8GRU", "head": "Int8Linear"}
    theirs = rh.converted_modules(model, rh.quantize_dynamic(model)).converted
    assert {c.name: c.after for c in theirs}["gru"] == "DynamicQuantizedGRU"
    rh.save_int8(plain, tmp_path / "file")
    loaded = rh.load_int8(tmp_path / "file", Tagger())
    assert torch.equal(loaded(x), plain(x))
    made = rh.Int8GRU(5, 6, 2, bidirectional=True)
    made.load_state_dict(plain.gru.state_dict())
    for other in (made, copy.deepcopy(plain.gru)):
        assert torch.equal(other(x)[0], plain.gru(x)[0])


def test_export_unrolls_it():
    _, int8 = pair(3, 4, bidirectional=True)
    x = torch.randn(2, 2, 3)
    exported = torch.export.export(int8, (x,)).module()
    int8.fast = False
    assert torch.equal(exported(3 * x)[0], int8(3 * x)[0])


def test_the_order_of_operations_of_the_new_state(monkeypatch):
    """What faster code has to follow to the bit: h = n + z (h - n)."""
    monkeypatch.setattr(arithmetic, "_sigmoid", lambda x: torch.full_like(x, 0.3))
    _, int8 = pair(2, 3)
    int8.fast = False
    h = torch.randn(1, 1, 3)
    before = int8(torch.zeros(1, 1, 2), h)[1]
    n = torch.tanh(
        int8.bias_ih_l0[6:]
        + torch.tensor(0.3)
        * arithmetic.run_linear(h[0], int8._weight("weight_hh_l0"), int8.bias_hh_l0, 16)[0, 6:]
    )
    assert torch.equal(before[0, 0], n + 0.3 * (h[0, 0] - n))
