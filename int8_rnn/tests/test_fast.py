"""The compiled kernels against the plain reference, bit for bit."""

import copy
import resource
import sys

import pytest
import torch
from hypothesis import given, settings, strategies as st
from int8_rnn.fast import calls, cells, threads, ways
from made_up import FLOATS, INT8, RECURRENT, SCHEMES, flat, same
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import int8_rnn

PAIRS = int8_rnn.Scheme(activation_bits=8, symmetric=False, pairs=True)
KINDS = {**SCHEMES, "pairs": PAIRS}
every_kind = pytest.mark.parametrize("kind", RECURRENT)
every_scheme = pytest.mark.parametrize("scheme", KINDS.values(), ids=KINDS)


def rational_tanh(x):
    """The kernels' tanh in PyTorch; float64 stands for the fused multiply-add, rounded once."""
    p, q = ([float(torch.tensor(c)) for c in part] for part in (cells.P, cells.Q))
    limit = float(torch.tensor(cells.CLAMP))
    x = x.clamp(-limit, limit)
    square = x * x
    above, below = (torch.full_like(x, part[0]) for part in (p, q))
    for coefficient in p[1:]:
        above = (above.double() * square.double() + coefficient).float()
    for coefficient in q[1:]:
        below = (below.double() * square.double() + coefficient).float()
    return x * above / below


@pytest.fixture(autouse=True)
def _same_tanh(monkeypatch):
    """Nothing may differ any more; and that it is the kernels that ran, `compare` makes sure."""
    monkeypatch.setattr(torch, "tanh", rational_tanh)
    assert int8_rnn.fast_path().available, int8_rnn.fast_path().reason


@pytest.fixture
def eager_threads(monkeypatch):
    """Share even the smallest layer among threads."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads, "WORTH_A_SHARE", 1)


def pair(kind, *sizes, scheme="default", loud=True, **options):
    """A module with columns of very different size and, if loud, residual rows at tile edges."""
    module = FLOATS[kind](*sizes, **options).eval()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "weight" in name:
                weight *= torch.exp(torch.randn(weight.shape[1]))
            if loud and "weight_hh" not in name and "weight_hr" not in name and "bias" not in name:
                weight[::15] *= 50
                weight[-1] *= 50
    fast = INT8[kind].from_float(module, scheme=scheme)
    plain = copy.deepcopy(fast)
    plain.fast = False
    return fast, plain


def compare(fast, plain, *given):
    """Both give the same bits, and the reference is not asked for the first's."""
    expected = plain(*given)
    with pytest.MonkeyPatch.context() as patch:
        for module in (sys.modules[type(fast).__module__],):
            for name in ("run_layer", "run_linear"):
                patch.setattr(module, name, None, raising=False)
        for _ in ("first", "again"):
            assert same(fast(*given), expected)
    return expected


shapes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(RECURRENT),
        "scheme": st.sampled_from([*KINDS]),
        "inputs": st.integers(1, 130),
        "hidden": st.integers(1, 130),
        "layers": st.integers(1, 2),
        "bias": st.booleans(),
        "bidirectional": st.booleans(),
        "projected": st.booleans(),
        "lengths": st.lists(st.integers(1, 7), min_size=1, max_size=20),
        "form": st.sampled_from(["padded", "packed", "one sequence", "batch first"]),
        "given_state": st.booleans(),
        "scale": st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
        "loud": st.booleans(),
        "threads": st.integers(1, 2),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=60)
@given(case=shapes)
def test_every_bit_is_that_of_the_reference(case):
    kind, hidden, form, lengths = case["kind"], case["hidden"], case["form"], case["lengths"]
    torch.manual_seed(case["seed"])
    options = {"bias": case["bias"], "bidirectional": case["bidirectional"]}
    if case["projected"] and kind == "lstm" and hidden > 2:
        options["proj_size"] = hidden // 3
    fast, plain = pair(
        kind, case["inputs"], hidden, case["layers"], scheme=KINDS[case["scheme"]],
        loud=case["loud"], batch_first=form == "batch first", **options,
    )  # fmt: skip
    data = case["scale"] * torch.randn(max(lengths), len(lengths), case["inputs"])
    count = case["layers"] * (1 + case["bidirectional"])
    state = tuple(torch.randn(count, len(lengths), width) for width in fast._widths())
    if form == "packed":
        data = pack_padded_sequence(data, lengths, enforce_sorted=False)
    elif form == "one sequence":
        data, state = data[:, 0], tuple(part[:, 0] for part in state)
    elif form == "batch first":
        data = data.transpose(0, 1)
    state = (state if kind == "lstm" else state[0]) if case["given_state"] else None
    torch.set_num_threads(case["threads"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "WORTH_A_THREAD", 0)
        patch.setattr(threads, "WORTH_A_SHARE", 1)
        compare(fast, plain, data, state)


@every_kind
@every_scheme
@pytest.mark.parametrize(
    ("sizes", "steps", "batch"),
    [((1, 1), 3, 1), ((16, 16), 70, 1), ((256, 256), 3, 9), ((33, 520), 2, 5), ((8, 40), 3, 150)],
    ids=str,
)
def test_sizes_at_the_edges_of_tiles_and_chunks(kind, scheme, sizes, steps, batch):
    compare(*pair(kind, *sizes, scheme=scheme), torch.randn(steps, batch, sizes[0]))


@every_kind
@every_scheme
def test_a_long_narrow_layer_on_two_threads(kind, scheme, eager_threads):
    """Several chunks, residual rows in the first and the last tile; every number of threads."""
    fast, plain = pair(kind, 20, 37, 2, scheme=scheme, bidirectional=True)
    data = torch.randn(150, 3, 20)
    expected = compare(fast, plain, data)
    for count in (2, 3):
        torch.set_num_threads(count)
        assert same(compare(fast, plain, data), expected)


@every_kind
def test_helpers_that_never_come_hold_nobody_up(kind, eager_threads, monkeypatch):
    jobs = []

    class Idle:
        def submit(self, *job):
            jobs.append(job)

    monkeypatch.setattr(threads, "_helpers", Idle)
    fast, plain = pair(kind, 20, 37)
    torch.set_num_threads(3)
    late = compare(fast, plain, torch.randn(15, 3, 20))
    assert len(jobs) == 4
    before = [part.clone() for part in flat(late)]
    for function, *arguments in jobs:  # what they do when they come at last is nothing
        function(*arguments)
    assert all(map(torch.equal, flat(late), before))


@every_kind
@every_scheme
def test_rows_of_extremes(kind, scheme):
    """NaN and infinity, zeros, subnormals, all in one batch: each row is as by itself."""
    fast, plain = pair(kind, 9, 20, scheme=scheme, loud=False)
    data = torch.randn(6, 6, 9)
    data[2, 1, 3], data[3, 2, 0], data[:, 3], data[:, 4] = torch.nan, -torch.inf, 0, 1e-42
    data[:, 5] *= 1e-39
    output, _ = compare(fast, plain, data)
    assert bool(output[:, [0, 3, 4, 5]].isfinite().all())
    assert bool(output[2:, 1].isnan().all())


@pytest.mark.parametrize("opposite", [False, True])
@pytest.mark.parametrize(("scheme", "width"), [("exact", 516), ("8-bit", 2048)])
def test_sums_of_the_largest_integers_are_exact(scheme, width, opposite):
    """Nothing saturates where it may not: every product as large as it gets, of either sign."""
    linear = int8_rnn.Int8Linear(width, 64, bias=False, scheme=scheme)
    weight = torch.full((64, width), 127, dtype=torch.int8)
    weight[::2] = -127 if scheme == "exact" else -128
    linear.load_state_dict({"weight": weight}, strict=False)
    plain = copy.deepcopy(linear)
    plain.fast = False
    data = torch.ones(3, width)
    data[1] = -1 if opposite else torch.tensor([1.0, -1.0]).repeat(width // 2)
    output = compare(linear, plain, data)
    most = 2**15 - 1 if scheme == "exact" else 255
    assert float(output[0, 1]) == pytest.approx(127 * width, rel=1e-3)
    assert most * 127 * width < 2**31


@every_kind
def test_stacks_wider_than_258_in_two_directions_have_fewer_bits(kind):
    """Their second layer reads 518 numbers, whose sums would overflow with 16 bits."""
    fast, plain = pair(kind, 4, 259, 2, scheme="exact", bidirectional=True, loud=False)
    assert fast.activation_bits == 15
    state = fast.state_dict()
    key = "weight_ih_l1"
    fast.load_state_dict({**state, key: torch.full_like(state[key], 127)})
    plain.load_state_dict(fast.state_dict())
    compare(fast, plain, torch.ones(3, 2, 4))


@pytest.mark.parametrize("scheme", ["exact", "8-bit", PAIRS], ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (16, 64), (17, 33), (200, 130)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(inputs, outputs, bias, scheme):
    fast, plain = pair("linear", inputs, outputs, bias, scheme=scheme)
    data = torch.randn(3, 67, inputs)
    data[0, 5, 0] = torch.nan
    compare(fast, plain, data)


def test_residual_rows_that_no_weight_has_are_left_out():
    """Whatever a damaged buffer says, nothing is written beside the results."""
    fast, _ = pair("linear", 8, 70)
    expected = fast(torch.ones(2, 8))
    rows = fast._buffers["weight_residual_rows"]
    rows[0], rows[-1] = -1, 1 << 40
    found = fast(torch.ones(2, 8))
    assert torch.equal(found[:, 1:-1], expected[:, 1:-1])


@every_kind
def test_new_buffers_are_seen_and_old_ones_are_not_read(kind):
    """Another tensor, another place, another scheme: records are made anew; copies have none."""
    fast, plain = pair(kind, 8, 24, scheme=PAIRS)  # which others may break, in place
    other, _ = pair(kind, 8, 24, scheme="8-bit", loud=False)
    data = torch.randn(4, 2, 8)
    for assign in (True, False):
        for state in (other.state_dict(), plain.state_dict()):
            for module in (fast, plain):
                fast(data)
                module.load_state_dict(copy.deepcopy(state), assign=assign)
            compare(fast, plain, data)
    saturating = plain.state_dict()
    saturating["weight_ih_l0"] = torch.full_like(saturating["weight_ih_l0"], 127)
    for module in (fast, plain):
        module.load_state_dict(saturating)
    compare(fast, plain, torch.ones(4, 2, 8))
    records = vars(fast)[calls.KEPT].records
    assert vars(copy.deepcopy(fast)).get(calls.KEPT) is None
    tiles = fast._buffers["weight_hh_l0_tiles"]
    old = tiles.data
    tiles.data = old.clone()
    old.zero_()
    compare(fast, plain, data)
    assert vars(fast)[calls.KEPT].records is not records


def test_other_schemes_are_for_the_reference():
    for change in ({"activations": "step"}, {"weights": "tensor"}, {"smallest_scale": 1e-5}):
        scheme = int8_rnn.Scheme(residual=False, **change)
        lstm = int8_rnn.Int8LSTM.from_float(nn.LSTM(4, 5), scheme=scheme)
        assert calls.run_usual(lstm, torch.ones(3, 1, 4), None) is None
    many = int8_rnn.Scheme(activation_bits=12, symmetric=False, residual=False)
    lstm = int8_rnn.Int8LSTM.from_float(nn.LSTM(4, 5), scheme=many)
    assert calls.run_usual(lstm, torch.ones(3, 1, 4), None) is None


@pytest.mark.skipif(sys.platform == "win32", reason="asks for resident memory by resource")
def test_ever_new_lengths_take_no_memory():
    fast, _ = pair("lstm", 64, 64)

    def grown(lengths):
        for length in lengths:
            fast(torch.zeros(length, 16, 64))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = grown(range(300, 0, -1))
    assert grown(range(300, 0, -1)) - before < 8  # MiB; each length would keep 1 to 5


class Floats(int8_rnn.Int8LSTM):
    """Activations stay floats."""

    def bits_of(self, name):
        return 32, True


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_floats_in_the_same_kernels(weights, options, monkeypatch):
    module = nn.LSTM(19, 33, **options).eval()
    scheme = int8_rnn.Scheme(columns=False, residual=False)
    fused = Floats.from_float(module, scheme=scheme)
    for name in fused._sizes:
        if weights == "float32":
            values = getattr(module, name).detach()
            fused._buffers[f"{name}_tiles"] = ways.float_tiles(values, 4)
            fused._buffers[f"{name}_terms"].view(torch.float32)[0] = 1
        else:
            values, scale, *_ = fused.int8_weights()[name]
            getattr(module, name).data.copy_(values.float() * scale[:, None])
    data = torch.randn(70, 3, 19)
    for left, right in zip(flat(fused(data)), flat(module(data)), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_what_memory_held_before_does_not_meet_float_weights(weights):
    """The working buffers of 20 inputs, all of them NaN, are taken again for 17 and padding."""

    def made(inputs):
        module = nn.LSTM(inputs, 16)
        fused = Floats.from_float(module, scheme=int8_rnn.Scheme(columns=False, residual=False))
        for name in fused._sizes if weights == "float32" else ():
            values = getattr(module, name).detach()
            fused._buffers[f"{name}_tiles"] = ways.float_tiles(values, 4)
        return fused

    before, after = made(20), made(17)
    for _ in range(3):
        before(torch.full((6, 3, 20), torch.nan))
        assert not after(torch.ones(6, 3, 17))[0].isnan().any()


@every_kind
def test_weights_and_input_may_lie_at_any_address(kind):
    fast, plain = pair(kind, 20, 37)
    compare(fast, plain, torch.randn(3, 5, 20))
    for name, buffer in fast._buffers.items():
        if buffer is not None:
            moved = torch.cat([buffer.new_empty(4), buffer.flatten()])[4:]
            fast._buffers[name] = moved.view(buffer.shape)
    compare(fast, plain, torch.randn(3 * 5 * 20 + 1)[1:].view(3, 5, 20))


def test_wide_units_that_are_projected_to_few_outputs():
    """A row of them is longer than all other rows that are quantized."""
    fast, plain = pair("lstm", 1, 400, proj_size=1, bidirectional=True)
    compare(fast, plain, torch.randn(4, 3, 1))


def test_each_way_to_multiply_gives_the_product():
    weights = torch.randint(-64, 65, (192, 32)).to(torch.int8)
    integers = torch.randint(-(2**15), 2**15, (5, 32)).to(torch.int16)
    moved = integers.int() + 2**15
    planes = torch.cat([moved >> 8, moved & 255], 1).to(torch.uint8)
    given = {ways.PLANES: planes, ways.ONE_PLANE: planes[:, :32]}
    assert set(ways.ways()) >= {ways.ROWS, ways.TILES}
    for way in ways.ways():
        run, sums = ways.product(way, weights, given.get(way, integers))
        run()
        run()
        if way != ways.ROWS:
            sums = sums.unflatten(1, (-1, 4, 16)).transpose(1, 2).flatten(1)
        factors = {ways.PLANES: moved, ways.ONE_PLANE: moved >> 8}.get(way, integers)
        assert torch.equal(sums.long(), (factors.double() @ weights.double().T).long())


def test_tanh_of_the_reference_differs_far_less_than_a_quantization_step():
    x = torch.linspace(-12, 12, 200_001)
    assert float((rational_tanh(x) - x.double().tanh()).abs().max()) < 4e-7
    assert rational_tanh(torch.tensor(torch.nan)).isnan()
