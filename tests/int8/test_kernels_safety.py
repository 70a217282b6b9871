"""The manners of the fast path: buffers, threads, new weights."""

import copy
import io
import itertools
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import pytest
import torch

from recipe_helpers.common.settings import threads_set
from recipe_helpers.int8.fast_path import packed_plans, plans, sharing

from .fast_path import (
    assert_same_bits,
    flat,
    int8_pair,
    random,
    row_by_row,
    run_python,
)

# --- buffers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "plan", "bits"),
    [(packed_plans, "PackedPlan", None), (packed_plans, "PackedPlan", 8), (plans, "Plan", None)],
    ids=["packed", "packed, 8 bits", "row by row"],
)
def test_nothing_is_written_between_the_working_buffers(
    where, plan, bits, monkeypatch, eager_threads
):
    """Gaps between all working buffers keep their bytes, at odd sizes and on several threads."""
    made, gap, sizes_seen = [], 512, []

    def spread(sizes):
        sizes_seen.append([*sizes])
        return tuple(itertools.accumulate((-(-size // 64) * 64 + gap for size in sizes), initial=0))

    def watched(self, *arguments):
        original(self, *arguments)
        ends = spread(sizes_seen.pop())
        base = -self.room.ctypes.data % 64
        gaps = [slice(base + end - gap, base + end) for end in ends[1:]]
        for between in gaps:
            self.room[between] = 0x5A
        made.append((self.room, gaps))

    kind = getattr(where, plan)
    original = kind.__init__
    monkeypatch.setattr(where, "ends_of", spread)
    monkeypatch.setattr(kind, "__init__", watched)
    row_by_row(monkeypatch, where is plans)
    for threads in (1, 2):
        for sizes, options in [((1, 1), {}), ((3, 17), {"proj_size": 5}), ((33, 31), {})]:
            fast, _ = int8_pair(*sizes, activation_bits=bits, bidirectional=True, **options)
            with threads_set(threads):
                fast(random(9, 3, sizes[0]))
    assert len(made) == 12
    for room, gaps in made:
        for between in gaps:
            assert (room[between] == 0x5A).all()


GUARDED = """
    import ctypes, mmap, torch
    from recipe_helpers.int8.lstm import Int8LSTM
    from recipe_helpers.int8.linear import Int8Linear

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
    monkeypatch.setattr(sharing, "helpers", lambda: idle)
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
