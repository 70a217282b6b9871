"""What int8 modules store and how they travel: files, copies, dtypes, memory, export."""

import copy
import io
import os
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

import recipe_helpers as rh
from recipe_helpers.int8.arithmetic import Scheme
from recipe_helpers.int8.conversion import convert_modules


class Tagger(nn.Module):
    """An embedding-free model with both kinds of modules and every option that adds a tensor."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, 2, bidirectional=True, batch_first=True, proj_size=4)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


@pytest.fixture
def model():
    torch.manual_seed(29592)
    return Tagger().eval()


@pytest.fixture
def int8(model):
    return reference(convert_modules(model))


@pytest.fixture
def inputs(model):
    return torch.randn(2, 4, 5)


def reference(model):
    for part in model.modules():
        part.fast = False
    return model


def anew():
    """A converted model with other weights."""
    torch.manual_seed(1)
    return reference(convert_modules(Tagger().eval()))


def torch_save(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.mark.parametrize("container", ["torch", "safetensors"])
def test_the_state_round_trips_to_the_bit_into_a_model_built_anew(int8, inputs, container):
    state = int8.state_dict()
    if container == "torch":
        restored = torch.load(io.BytesIO(torch_save(state)), weights_only=True)
    else:
        restored = load(save(state))
    other = anew()
    assert not torch.equal(other(inputs), int8(inputs))
    other.load_state_dict(restored, strict=True)
    assert torch.equal(other(inputs), int8(inputs))
    for name, tensor in state.items():
        assert torch.equal(restored[name], tensor)
        assert restored[name].dtype == tensor.dtype


def test_a_module_built_by_its_constructor_takes_the_state(int8, inputs):
    made = rh.Int8LSTM(5, 6, 2, bidirectional=True, batch_first=True, proj_size=4, fast=False)
    made.load_state_dict(int8.lstm.state_dict())
    assert torch.equal(made(inputs)[0], int8.lstm(inputs)[0])
    head = rh.Int8Linear(8, 3, fast=False)
    prefixed = {f"model.{name}": tensor for name, tensor in int8.state_dict().items()}
    head.load_state_dict(
        {k.removeprefix("model.head."): v for k, v in prefixed.items() if ".head." in k}
    )
    assert torch.equal(head(inputs.new_ones(8)), int8.head(inputs.new_ones(8)))


def test_the_state_is_named_as_in_an_lstm(model, int8):
    names = set(int8.state_dict())
    assert set(model.state_dict()) <= names
    scales = names - set(model.state_dict())
    weights = [n for n in model.state_dict() if "weight" in n]
    assert scales == {f"{n}_{of}" for n in weights for of in ("scale", "columns")}
    for name, tensor in int8.state_dict().items():
        integer = "weight" in name and not name.endswith(("_scale", "_columns"))
        assert tensor.dtype == (torch.int8 if integer else torch.float32)
        assert tensor.is_contiguous()
    assert not list(int8.parameters())


def test_the_file_is_the_payload_and_little_more():
    width = 256
    int8 = rh.Int8LSTM.from_float(nn.LSTM(width, width))
    # Two matrices (4 d, d) in int8; two scales and two biases of 4 d float32 each; a scale for
    # each of their d columns.
    payload = 8 * width**2 + 4 * 4 * width * 4 + 2 * width * 4
    assert sum(t.nbytes for t in int8.state_dict().values()) == payload
    assert payload < len(save(int8.state_dict())) <= 1.03 * payload
    assert payload < len(torch_save(int8.state_dict())) <= 1.03 * payload


@pytest.mark.parametrize(
    "change",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: model.to("cpu"),
        lambda model: model.half(),
        lambda model: model.double(),
        lambda model: model.to(torch.bfloat16),
        lambda model: model.train(),
        lambda model: model.float().eval(),
    ],
    ids=["deepcopy", "pickle", "cpu", "half", "double", "bfloat16", "train", "float"],
)
def test_copies_and_dtypes_change_no_result(int8, inputs, change):
    expected = int8(inputs)
    state = {name: tensor.clone() for name, tensor in int8.state_dict().items()}
    changed = change(int8)
    assert torch.equal(changed(inputs), expected)
    for name, tensor in changed.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert tensor.dtype == state[name].dtype


def test_no_gradient_flows(int8, inputs):
    assert not int8(inputs.requires_grad_()).requires_grad


def test_from_float_leaves_the_float_module_as_it_was(model):
    before = copy.deepcopy(model.state_dict())
    int8 = convert_modules(model)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    own = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.untyped_storage().data_ptr() for t in int8.state_dict().values())


def test_the_scheme_reaches_every_module(model):
    int8 = convert_modules(model, scheme=Scheme("tensor", activation_bits=9))
    assert int8.lstm.activation_bits == int8.head.activation_bits == 9
    assert int8.lstm.weight_hr_l1_reverse_scale.shape == int8.head.weight_scale.shape == (1,)
    assert "activation_bits=9" in repr(int8)


def run_script(script, **environment):
    """Run Python code in a process of its own; it must succeed. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc of Linux")
def test_resident_memory_falls_to_about_a_quarter():
    """The process keeps neither the float weights nor the wide copies of the arithmetic."""
    float_bytes, before, converted, after = map(
        int,
        run_script(
            """
            import gc, os, pathlib
            import torch
            import recipe_helpers as rh
            from recipe_helpers.int8.conversion import convert_modules

            def resident():
                gc.collect()
                pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
                return pages * os.sysconf("SC_PAGE_SIZE")

            warm = rh.Int8LSTM.from_float(torch.nn.LSTM(64, 64), fast=False)
            warm(torch.randn(2, 1, 64))
            before = resident()
            model = torch.nn.LSTM(640, 640, 2)
            size = sum(p.numel() * 4 for p in model.parameters())
            int8 = convert_modules(model)
            del model
            converted = resident()
            int8.fast = False
            int8(torch.randn(2, 1, 640))
            print(size, before, converted, resident())
            """,
            MALLOC_MMAP_THRESHOLD_="65536",  # glibc gives back what is freed at once
        ).split(),
    )
    assert 0.2 * float_bytes < converted - before < 0.35 * float_bytes
    assert after - before < 0.35 * float_bytes


def test_everything_works_without_torch_ao_and_the_quantized_dtypes():
    printed = run_script(
        """
        import sys, warnings
        import torch

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
        try:
            import torch.ao.quantization
        except ImportError:
            print("blocked")

        import recipe_helpers as rh

        demo = rh.demonstration()
        plain = rh.quantize_dynamic(demo.model, backend="plain")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            default = rh.quantize_dynamic(demo.model)
            rh.quantize_dynamic(demo.model)
        print(*(str(w.message).split(";")[0] for w in caught))
        print(*(c.after for q in (plain, default) for c in
                rh.converted_modules(demo.model, q).converted))
        with torch.inference_mode():
            exact = demo.model(demo.inputs, demo.hidden)[0]
            got = plain(demo.inputs, demo.hidden)[0]
        print(float((got - exact).abs().mean() / exact.abs().mean()))
        """
    ).splitlines()
    assert printed[0] == "blocked"
    assert printed[1] == "this PyTorch has no working torch.ao.quantization"
    assert printed[2] == "Int8LSTM Int8LSTM"
    assert 0 < float(printed[3]) < 0.005
