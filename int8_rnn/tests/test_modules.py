"""Int8 modules as modules: copies, changes that are seen, processes, memory."""

import copy
import io
import multiprocessing
import pickle
import sys

import numpy as np
import pytest
import torch
from int8_rnn.scheme import EIGHT_BIT
from made_up import (
    FLOATS,
    INT8,
    copied,
    equal_states,
    every_kind,
    every_recurrent,
    given,
    made,
    run_python,
    same,
    torch_loaded,
    torch_saved,
)
from safetensors.torch import save
from torch import nn

from int8_rnn import Int8GRU, Int8Linear, Int8LSTM, ModelError

CHANGES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": lambda module: torch.load(io.BytesIO(torch_saved(module)), weights_only=False),
    "cpu": lambda module: module.to("cpu"),
    "half": lambda module: module.half(),
    "double": lambda module: module.double(),
    "bfloat16": lambda module: module.to(torch.bfloat16),
    "train": lambda module: module.train(),
    "float": lambda module: module.float().eval(),
    "share_memory": lambda module: module.share_memory(),
}


@every_kind
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_and_dtypes_change_no_result(kind, change, fast):
    int8 = made(kind, fast=fast)
    expected, state = int8(given(kind)), copied(int8.state_dict())
    changed = change(int8)
    assert same(changed(given(kind)), expected)
    assert equal_states(changed.state_dict(), state)
    assert repr(changed) == repr(int8)


def ran(module):
    """A module after a call, so that anything that it keeps is there."""
    module(given("lstm"))
    return module


def loaded(module, other, **how):
    module.load_state_dict(other.state_dict(), **how)
    return module


def assigned(module, other):
    return loaded(module, other, assign=True)


def written_in_place(module, other):
    for name, tensor in module.named_buffers():
        tensor.copy_(dict(other.named_buffers())[name])
    return module


def replaced(module, other):
    for name, tensor in other.named_buffers():
        module.register_buffer(name, tensor.clone(), persistent=False)
    return module


def from_files(module, other):
    """What ended in a segmentation fault: memory without an allocator, then a write into it."""
    module.load_state_dict(torch_loaded(module.state_dict()), assign=True)
    ran(module).load_state_dict(torch_loaded(other.state_dict()))
    ran(module).load_state_dict(torch_loaded(other.state_dict()), assign=True)
    return module


WAYS = {
    "loaded": loaded,
    "assigned": assigned,
    "written in place": written_in_place,
    "replaced": replaced,
    "a copy": lambda module, other: loaded(ran(copy.deepcopy(module)), other),
    "a pickle": lambda module, other: assigned(ran(pickle.loads(pickle.dumps(module))), other),
    "a copy in place": lambda module, other: written_in_place(ran(copy.deepcopy(module)), other),
    "from files": from_files,
    "from meta": lambda module, other: assigned(module.to("meta"), other),
    "emptied": lambda module, other: loaded(module.to("meta").to_empty(device="cpu"), other),
}


@every_kind
@pytest.mark.parametrize("change", WAYS.values(), ids=WAYS)
def test_the_next_call_sees_the_new_weights(kind, change, fast):
    module, other = ran(made(kind, 1, fast)), made(kind, 2, fast)
    before = module(given(kind))
    changed = change(module, other)
    after = changed(given(kind))
    assert not same(before, after)
    assert same(after, other(given(kind)))
    assert changed is module or same(module(given(kind)), before), "a copy is one"


@every_kind
def test_a_residual_that_comes_or_goes_is_seen(kind, fast):
    loud, plain = made(kind, 1, fast), made(kind, 1, fast, loud=False)
    results = [loud(given(kind)), plain(given(kind))]
    states = [loud.state_dict(), plain.state_dict()]
    for module in (loud, plain):
        for number in (0, 1, 0):
            module.load_state_dict(states[number])
            assert same(module(given(kind)), results[number])


@pytest.mark.parametrize(
    ("kind", "module", "words"),
    [
        (Int8LSTM, nn.GRU(6, 7), "lstm is a GRU; pass a torch.nn.LSTM"),
        (Int8GRU, nn.LSTM(6, 7), "gru is a LSTM; pass a torch.nn.GRU"),
        (Int8Linear, 3, "linear is a int; pass a torch.nn.Linear"),
        (Int8Linear, nn.LazyLinear(3), "linear, a LazyLinear, has to stay in float: it is lazy"),
    ],
)
def test_a_module_of_another_kind_is_refused(kind, module, words, refuses):
    with refuses(ModelError, words):
        kind.from_float(module)


def test_input_weights_alone_have_residuals():
    lstm = nn.LSTM(6, 20, 2, bidirectional=True, proj_size=9)
    for name, weight in lstm.named_parameters():
        weight.data[::9] *= 50 if "weight" in name else 1
    made = Int8LSTM.from_float(lstm)
    with_one = [name for name, weight in made.int8_weights().items() if weight.residual]
    assert with_one == [name for name in made.int8_weights() if "weight_ih" in name]


@every_recurrent
def test_what_is_converted_keeps_arguments_mode_and_choices(kind):
    options = {"num_layers": 2, "bias": False, "batch_first": True, "bidirectional": True}
    module = FLOATS[kind](5, 6, dropout=0.25, **options)
    int8 = INT8[kind].from_float(module, scheme="8-bit", fast=False)
    for name in (*options, "dropout", "input_size", "hidden_size", "proj_size", "training"):
        assert getattr(int8, name) == getattr(module, name)
    assert (int8.scheme, int8.fast) == (EIGHT_BIT, False)
    assert INT8[kind].from_float(module.eval()).training is False
    assert INT8[kind].from_float(module).fast is None
    assert repr(int8) == repr(module).replace(")", ", activation_bits=8, hidden_bits=8)").replace(
        module._get_name(), int8._get_name()
    )


# -- processes and memory --------------------------------------------------------------------


def _load_and_answer(module, state, answers):
    module.load_state_dict(state)
    answers.put(module(given("lstm"))[0].tolist())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_what_a_forked_process_loads_into_shared_memory_is_seen_here(fast):
    module, other = made("lstm", 1, fast).share_memory(), made("lstm", 2, fast)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_load_and_answer, args=(module, other.state_dict(), answers))
    child.start()
    theirs = answers.get(timeout=60)
    child.join(60)
    expected = other(given("lstm"))[0]
    assert child.exitcode == 0
    assert theirs == expected.tolist()
    assert torch.equal(module(given("lstm"))[0], expected)


def kept_bytes(module):
    """Bytes of all tensors and buffers that a module keeps alive, however it refers to them."""
    seen, found, queue = set(), {}, [vars(module)]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(one, np.ndarray | bytes | bytearray | memoryview):
            found[id(one)] = memoryview(one).nbytes
        elif isinstance(one, dict | list | tuple | set):
            queue += [*one, *one.values()] if isinstance(one, dict) else one
        elif hasattr(one, "__dict__") and type(one).__module__.startswith("int8_rnn"):
            queue.append(vars(one))
    return sum(found.values())


@every_kind
def test_what_is_kept_after_a_thousand_calls_is_the_state_and_padding(kind, fast):
    sizes = {"lstm": (80, 96, 2), "gru": (80, 96, 2), "linear": (80, 96)}[kind]
    module = INT8[kind](*sizes, fast=fast)
    weights = module.int8_weights()
    before = kept_bytes(module)
    x = torch.randn(2, 3, 80)
    for length in [1, 2] * 500 if fast is None else [1, 2] * 5:
        module(x[:length])
    state = sum(tensor.nbytes for tensor in module.state_dict().values())
    # No padding at these sizes, but for the 64 rows of the linear layer's tiles; a sum of four
    # bytes for each row, and a bias of zeros where there is none.
    rows = sum(len(weight.values) for weight in weights.values())
    padding = 32 * (80 + 2 * 4 + 4) if kind == "linear" else 0
    assert before == state + 4 * rows + padding
    assert before <= kept_bytes(module) <= before + (8192 if fast is None else 0)


RESIDENT = """
    import gc, os, pathlib, torch, int8_rnn

    def resident():
        gc.collect()
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    warm = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(64, 64))
    warm(torch.randn(2, 1, 64))
    before = resident()
    model = torch.nn.LSTM(640, 640, 2)
    size = sum(p.numel() * 4 for p in model.parameters())
    int8 = int8_rnn.quantize(model)
    del model
    converted = resident()
    for _ in range(1000):
        int8(torch.randn(2, 1, 640))
    print(size, before, converted, resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc of Linux")
def test_resident_memory_falls_to_about_a_quarter():
    """The process keeps neither the float weights nor a second copy of the integers."""
    # glibc gives back what is freed at once
    printed = run_python(RESIDENT, MALLOC_MMAP_THRESHOLD_="65536")
    float_bytes, before, converted, after = map(int, printed.split())
    assert 0.2 * float_bytes < converted - before < 0.35 * float_bytes
    assert after - before < 0.35 * float_bytes


WITHOUT_AO = """
    import sys, torch
    for name in [n for n in sys.modules if n.startswith("torch.ao.quantization")]:
        del sys.modules[name]
    sys.modules["torch.ao.quantization"] = None  # importing it raises ImportError
    for name in ("qint8", "quint8", "qint32", "quint4x2", "quint2x4"):
        delattr(torch, name)

    def blocked(*arguments, **options):
        raise AssertionError("a quantized tensor was asked for")

    for name in dir(torch):
        if "quantize" in name and callable(getattr(torch, name)):
            setattr(torch, name, blocked)
    import int8_rnn
    model = torch.nn.Sequential(torch.nn.LSTM(8, 8))
    exact, x = model[0], torch.randn(20, 1, 8)
    int8_rnn.save(int8_rnn.quantize(model), sys.argv[1])
    got = int8_rnn.load(sys.argv[1], model)[0](x)[0]
    print(float((got - exact(x)[0]).abs().mean() / exact(x)[0].abs().mean()))
    print({"recipe_helpers", "matplotlib", "IPython"} & {*sys.modules} or "nothing else")
"""


def test_everything_works_without_torch_ao_and_the_quantized_dtypes(tmp_path):
    error, imported = run_python(WITHOUT_AO, str(tmp_path / "file")).splitlines()
    assert 0 < float(error) < 0.005
    assert imported == "nothing else"


def test_the_file_is_the_payload_and_little_more():
    width = 256
    int8 = Int8LSTM.from_float(nn.LSTM(width, width))
    # Two matrices (4 d, d) in int8; two scales and two biases of 4 d float32 each; a scale for
    # each of their d columns.
    payload = 8 * width**2 + 4 * 4 * width * 4 + 2 * width * 4
    assert sum(t.nbytes for t in int8.state_dict().values()) == payload
    assert payload < len(save(int8.state_dict())) <= 1.03 * payload
    assert payload < len(torch_saved(int8.state_dict())) <= 1.03 * payload
