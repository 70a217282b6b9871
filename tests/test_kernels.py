"""The compiled fast path against the plain reference, bit for bit, and its manners."""

import copy
import io
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from recipe_helpers import fused, integers, kernels
from recipe_helpers.errors import InputError
from recipe_helpers.fused_float import FusedFloatLSTM
from recipe_helpers.int8_linear import Int8Linear
from recipe_helpers.int8_lstm import Int8LSTM
from recipe_helpers.settings import threads_set

ROOT = Path(__file__).parents[1]


def rational_tanh(x):
    """The kernel's tanh, one float32 operation of PyTorch after the other."""
    x = x.clamp(-kernels._CLAMP.item(), kernels._CLAMP.item())
    square = x * x
    p, q = (torch.full_like(x, c[0].item()) for c in (kernels._P, kernels._Q))
    for coefficient in kernels._P[1:]:
        p = p * square + coefficient.item()
    for coefficient in kernels._Q[1:]:
        q = q * square + coefficient.item()
    return x * p / q


@pytest.fixture
def same_tanh(monkeypatch):
    """Let the reference compute tanh as the kernel does, so that nothing may differ any more."""
    monkeypatch.setattr(torch, "tanh", rational_tanh)


@pytest.fixture
def eager_threads(monkeypatch):
    """Share even the smallest layer among threads."""
    monkeypatch.setattr(fused, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(fused, "_WORTH_A_SHARE", 1)
    fused._spare_plans.cache_clear()
    yield
    fused._spare_plans.cache_clear()


def int8_pair(*sizes, seed=0, **options):
    """An Int8LSTM and the same one without the fast path."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fast = Int8LSTM.from_float(nn.LSTM(*sizes, **options).eval())
    plain = copy.deepcopy(fast)
    plain.fast = False
    return fast, plain


def random(*shape, seed=1, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def flat(result):
    output, (hidden, cell) = result
    return [output.data if isinstance(output, PackedSequence) else output, hidden, cell]


def assert_same_bits(one, other):
    for left, right in zip(flat(one), flat(other), strict=True):
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.equal(left.nan_to_num(), right.nan_to_num())


def assert_fast_path_ran(monkeypatch, call):
    def refuse(*arguments, **options):
        raise AssertionError("the reference ran")

    with monkeypatch.context() as patch:
        patch.setattr(integers, "run_layer", refuse)
        return call()


widths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 65, 80])
shapes = st.fixed_dictionaries(
    {
        "inputs": widths,
        "hidden": widths,
        "layers": st.integers(1, 2),
        "bias": st.booleans(),
        "bidirectional": st.booleans(),
        "projected": st.booleans(),
        "lengths": st.lists(st.integers(1, 7), min_size=1, max_size=6),
        "packed": st.booleans(),
        "given_state": st.booleans(),
        "scale": st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
        "seed": st.integers(0, 99),
    }
)


def example(case):
    """A pair of modules, an input and an initial state (or None) for a drawn case."""
    proj_size = max(case["hidden"] // 3, 1) if case["projected"] and case["hidden"] > 1 else 0
    pair = int8_pair(
        case["inputs"], case["hidden"], case["layers"], seed=case["seed"], bias=case["bias"],
        bidirectional=case["bidirectional"], proj_size=proj_size,
    )  # fmt: skip
    steps, batch = max(case["lengths"]), len(case["lengths"])
    data = random(steps, batch, case["inputs"], seed=case["seed"], scale=case["scale"])
    if case["packed"]:
        data = pack_padded_sequence(data, case["lengths"], enforce_sorted=False)
    state = None
    if case["given_state"]:
        count = case["layers"] * (2 if case["bidirectional"] else 1)
        rows = count, batch
        state = (
            random(*rows, proj_size or case["hidden"], seed=2),
            random(*rows, case["hidden"], seed=3),
        )
    return *pair, data, state


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=shapes)
def test_every_bit_is_that_of_the_reference(case):
    fast, plain, data, state = example(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tanh", rational_tanh)
        expected = plain(data, state)
    assert_same_bits(fast(data, state), expected)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(case=shapes)
def test_with_pytorchs_tanh_the_reference_agrees_to_1e_5(case):
    fast, plain, data, state = example(case)
    for left, right in zip(flat(fast(data, state)), flat(plain(data, state)), strict=True):
        # A cell state grows with its length and its start.
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [256, 520])
def test_wide_layers(width, same_tanh, monkeypatch):
    fast, plain = int8_pair(width, width)
    data = random(9, 5, width)
    assert_same_bits(assert_fast_path_ran(monkeypatch, lambda: fast(data)), plain(data))


def test_many_rows_are_taken_in_several_chunks(same_tanh):
    fast, plain = int8_pair(10, 12, bidirectional=True)
    data = random(50, 7, 10)
    assert_same_bits(fast(data), plain(data))


def test_nan_and_infinity_stay_in_their_row(same_tanh):
    fast, plain = int8_pair(9, 20)
    data = random(6, 4, 9)
    data[2, 1, 3], data[3, 2, 0] = torch.nan, -torch.inf
    result = fast(data)
    assert result[0][:, [0, 3]].isfinite().all()
    assert result[0][2:, 1].isnan().all()
    assert_same_bits(result, plain(data))


def test_zeros_and_subnormals(same_tanh):
    fast, plain = int8_pair(9, 20, bias=False)
    for data in (torch.zeros(3, 2, 9), torch.full((3, 2, 9), 1e-42), random(3, 2, 9, scale=1e-39)):
        assert_same_bits(fast(data), plain(data))


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (16, 4), (17, 33), (200, 130)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(inputs, outputs, bias, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fast = Int8Linear.from_float(nn.Linear(inputs, outputs, bias).eval())
    plain = copy.deepcopy(fast)
    plain.fast = False
    data = random(3, 67, inputs)
    data[0, 5, 0] = torch.nan
    expected = plain(data)
    monkeypatch.setattr(integers, "run_linear", None)
    assert torch.equal(fast(data).nan_to_num(nan=-7), expected.nan_to_num(nan=-7))


def test_tanh_is_accurate_far_below_a_quantization_step():
    x = np.concatenate([np.linspace(-12, 12, 200_001), np.geomspace(1e-30, 1e-2, 1001)])
    x = x.astype(np.float32)
    y = x.copy()
    kernels.tanh(y.ctypes.data, len(y))
    exact = np.tanh(x.astype(np.float64))
    assert np.abs(y - exact).max() < 4e-7
    assert (np.abs(y - exact) / np.maximum(np.abs(exact), 1e-31))[x != 0].max() < 1e-6
    special = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    kernels.tanh(special.ctypes.data, 4)
    assert np.isnan(special[0])
    assert special[1:].tolist() == pytest.approx([1, -1, 0], abs=4e-7)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
@pytest.mark.parametrize("sizes", [(8, 8), (3, 17), (40, 33)])
def test_float_weights_in_the_same_kernel(sizes, options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lstm = nn.LSTM(*sizes, **options).eval()
    data = random(70, 3, sizes[0])
    expected = lstm(data)
    for left, right in zip(
        flat(FusedFloatLSTM.from_float(lstm)(data)), flat(expected), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)
    weight_only = FusedFloatLSTM.from_float(lstm, weights="int8")
    for name, values in weight_only.named_buffers():
        if values.dtype == torch.int8:
            scale = getattr(weight_only, f"{name}_scale")
            getattr(lstm, name).data.copy_(values.float() * scale[:, None])
    for left, right in zip(flat(weight_only(data)), flat(lstm(data)), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_float_kernel_refuses_what_it_cannot_run():
    module = FusedFloatLSTM.from_float(nn.LSTM(4, 5))
    with pytest.raises(InputError, match=r"shape \(steps, batch, 4\)"):
        module(torch.zeros(3, 2, 7))


# --- buffers -------------------------------------------------------------------------------------


def test_nothing_is_written_between_the_working_buffers(monkeypatch, eager_threads):
    """Gaps between all working buffers keep their bytes, at odd sizes and on several threads."""
    plans, gap = [], 512

    def spread(sizes):
        ends = [0]
        for size in sizes:
            ends.append(ends[-1] + -(-size // 64) * 64 + gap)
        return tuple(ends)

    def watched(self, *arguments):
        original(self, *arguments)
        self.room[:] = 0x5A
        plans.append(self)

    original = fused._Plan.__init__
    monkeypatch.setattr(fused, "_ends", spread)
    monkeypatch.setattr(fused._Plan, "__init__", watched)
    for threads in (1, 2):
        for sizes, options in [((1, 1), {}), ((3, 17), {"proj_size": 5}), ((33, 31), {})]:
            fast, _ = int8_pair(*sizes, bidirectional=True, **options)
            with threads_set(threads):
                fast(random(9, 3, sizes[0]))
    assert len(plans) == 12
    for plan in plans:
        base = plan.room.ctypes.data
        starts = plan.task[kernels.Task._fields.index("padded_ih_at") :].tolist()
        for after in [*starts[1:], starts[0] + spread_end(plan, starts, gap)]:
            end = after - base
            assert (plan.room[end - gap : end] == 0x5A).all()


def spread_end(plan, starts, gap):
    """Where the last gap ends, counted from the first buffer: after the counters and claims."""
    return starts[-1] - starts[0] + -(-8 * (kernels.SYNC + plan.blocks) // 64) * 64 + gap


GUARDED = """
    import ctypes, mmap, torch
    from recipe_helpers.int8_lstm import Int8LSTM
    from recipe_helpers.int8_linear import Int8Linear

    libc, page, alive = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE, []

    def guarded(tensor, at_end):
        # A read-only copy that ends (or begins) where memory may not be touched.
        count = tensor.numel() * tensor.element_size()
        middle = -(-count // page) * page
        area = mmap.mmap(-1, middle + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        offset = page + (middle - count if at_end else 0)
        copy = torch.frombuffer(area, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
        copy = copy.view(tensor.shape)
        copy.copy_(tensor)
        for begin, length, access in (
            (0, page, 0), (page, middle, mmap.PROT_READ), (page + middle, page, 0)
        ):
            assert not libc.mprotect(ctypes.c_void_p(start + begin), length, access)
        alive.append(area)
        return copy

    torch.manual_seed(0)
    for inputs, hidden, proj in ((1, 1, 0), (3, 17, 5), (8, 8, 0), (17, 33, 0), (70, 31, 16)):
        lstm = Int8LSTM.from_float(torch.nn.LSTM(inputs, hidden, proj_size=proj).eval())
        linear = Int8Linear.from_float(torch.nn.Linear(inputs, hidden).eval())
        data = torch.randn(5, 5, inputs)
        state = torch.randn(1, 5, proj or hidden), torch.randn(1, 5, hidden)
        expected, line = lstm(data, state), linear(data)
        for at_end in (True, False):
            for module in (lstm, linear):
                for name, buffer in module.named_buffers():
                    module._buffers[name] = guarded(buffer, at_end)
            again = lstm(guarded(data, at_end), tuple(guarded(x, at_end) for x in state))
            assert torch.equal(again[0], expected[0])
            assert torch.equal(again[1][1], expected[1][1])
            assert torch.equal(linear(guarded(data, at_end)), line)
    print("untouched", flush=True)
    import os
    os._exit(0)
"""


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
def test_nothing_is_touched_outside_of_inputs_weights_and_states():
    """Each lies in read-only memory, against a page that ends the process when it is touched."""
    done = run_python(GUARDED)
    assert done.stdout == "untouched\n", (done.returncode, done.stderr)


def test_inputs_states_and_weights_need_not_be_contiguous():
    fast, _ = int8_pair(6, 10)
    data, hidden, cell = random(5, 12, 6)[:, ::3], random(1, 8, 10)[:, ::2], random(1, 10, 4).mT
    expected = fast(data.contiguous(), (hidden.contiguous(), cell.contiguous()))
    before = [x.clone() for x in (data, hidden, cell)]
    for name, buffer in fast.named_buffers():
        fast._buffers[name] = buffer.repeat_interleave(2, dim=-1)[..., ::2]
    assert not fast.weight_hh_l0.is_contiguous()
    assert not any(x.is_contiguous() for x in (data, hidden, cell))
    assert_same_bits(fast(data, (hidden, cell)), expected)
    for left, right in zip((data, hidden, cell), before, strict=True):
        assert torch.equal(left, right)


def test_results_are_not_overwritten_by_the_next_call():
    fast, _ = int8_pair(6, 10)
    first = fast(random(5, 2, 6))
    kept = [x.clone() for x in flat(first)]
    fast(random(5, 2, 6, seed=9))
    for left, right in zip(flat(first), kept, strict=True):
        assert torch.equal(left, right)


# --- threads -------------------------------------------------------------------------------------


def test_every_number_of_threads_gives_the_same_bits(eager_threads):
    fast, _ = int8_pair(20, 37, 2, bidirectional=True)
    data = random(15, 3, 20)
    with threads_set(1):
        expected = fast(data)
    for threads in (2, 3):
        with threads_set(threads):
            for _ in range(5):
                assert_same_bits(fast(data), expected)


def test_helpers_that_never_come_hold_nobody_up(eager_threads, monkeypatch):
    class Idle:
        def __init__(self):
            self.jobs = []

        def submit(self, *job):
            self.jobs.append(job)

    idle = Idle()
    monkeypatch.setattr(fused, "_helpers", lambda: idle)
    fast, _ = int8_pair(20, 37)
    data = random(15, 3, 20)
    with threads_set(1):
        expected = fast(data)
    with threads_set(3):
        late = fast(data)
    assert_same_bits(late, expected)
    assert len(idle.jobs) == 2
    for function, *arguments in idle.jobs:  # and what they do when they come at last is nothing
        function(*arguments)
    assert_same_bits(late, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_several_python_threads_at_once(threads, eager_threads):
    fast, _ = int8_pair(20, 37)
    inputs = [random(15, 3, 20, seed=seed) for seed in range(4)]
    with threads_set(threads), ThreadPoolExecutor(4) as pool:
        expected = [fast(data) for data in inputs]
        for _ in range(10):
            for one, other in zip(pool.map(fast, inputs), expected, strict=True):
                assert_same_bits(one, other)


def test_the_thread_count_of_pytorch_is_left_alone_and_numbas_threads_are_not_used():
    before = torch.get_num_threads()
    fast, _ = int8_pair(300, 300)
    fast(random(20, 1, 300))
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="not initialized"):
        numba.threading_layer()


# --- nothing outdated ----------------------------------------------------------------------------


def test_new_weights_are_used_at_once():
    fast, _ = int8_pair(8, 8)
    other, _ = int8_pair(8, 8, seed=5)
    data = random(4, 2, 8)
    old, new = fast(data), other(data)
    assert not torch.equal(old[0], new[0])
    copied, pickled = copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))
    fast.load_state_dict(other.state_dict())
    assert_same_bits(fast(data), new)
    fast.load_state_dict(copied.state_dict(), assign=True)
    assert_same_bits(fast(data), old)
    fast.bias_hh_l0 = other.bias_hh_l0.clone()
    assert not torch.equal(fast(data)[0], old[0])
    for twin in (copied, pickled):
        assert_same_bits(twin(data), old)
    file = io.BytesIO()
    torch.save(other.state_dict(), file)
    file.seek(0)
    copied.load_state_dict(torch.load(file, weights_only=True))
    assert_same_bits(copied(data), new)


def test_no_gradient_flows_and_inference_mode_works():
    fast, _ = int8_pair(4, 5)
    data = random(3, 2, 4).requires_grad_()
    state = tuple(random(1, 2, 5).requires_grad_() for _ in range(2))
    output, (hidden, cell) = fast(data, state)
    assert [x.requires_grad for x in (output, hidden, cell)] == [False] * 3
    with torch.inference_mode():
        assert torch.equal(fast(data.detach(), state)[0], output)


# --- with and without numba ----------------------------------------------------------------------

WITHOUT = """
    import sys, warnings
    {damage}
    import torch, recipe_helpers as rh
    from recipe_helpers.int8_lstm import Int8LSTM
    from recipe_helpers import integers
    torch.manual_seed(0)
    lstm = Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
    calls = []
    original = integers.run_layer
    integers.run_layer = lambda *given: calls.append(1) or original(*given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            lstm(torch.randn(3, 1, 4))
    assert len(calls) == 3
    for warning in caught:
        print(warning.category.__name__, warning.message)
"""


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("sys.modules['numba'] = None", 'pip install "recipe-helpers[fast]"'),
        (
            "import numba; numba.njit = lambda *a, **k: 1 / 0",
            "numba cannot compile here (ZeroDivisionError",
        ),
    ],
    ids=["no numba", "numba cannot compile"],
)
def test_the_reference_takes_over_and_says_so_once(damage, sentence):
    done = run_python(WITHOUT.format(damage=damage))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("FastPathWarning ")
    assert sentence in line


def test_numba_is_imported_when_it_is_needed_and_compiled_code_is_found_again():
    done = run_python(
        """
        import sys, warnings
        warnings.simplefilter("error")
        import torch, recipe_helpers as rh
        from recipe_helpers.int8_lstm import Int8LSTM
        lstm = Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
        print("numba" in sys.modules)
        lstm(torch.randn(3, 1, 4))
        from recipe_helpers import fused, kernels
        print("numba" in sys.modules, fused.fast_path().available)
        print(sum(kernels.run.stats.cache_hits.values()))
        """
    )
    assert (done.stdout.split(), done.stderr) == (["False", "True", "True", "1"], "")
