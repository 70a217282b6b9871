"""Section 1, set up: the recipe's LSTM, its inputs, and the machine they run on."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..common import checks, settings
from ..common.checks import renamed
from ..common.errors import EngineError
from ..common.language import N_, _
from ..common.tables import Shown, Table

SEED = 29592
WIDTH = 8
LAYERS = 1
SEQUENCE_LENGTH = 20
BATCH_SIZE = 1

State = tuple[torch.Tensor, torch.Tensor]  # hidden and cell state, (layers, batch, width) each

_VNNI = {"with VNNI": N_("{used}, with VNNI"), "without VNNI": N_("{used}, without VNNI")}
_ENGINES = ("x86", "fbgemm", "qnnpack", "onednn")  # in the order of preference


class LSTMModel(nn.Module):
    """One `nn.LSTM` inside a module: `quantize_dynamic` replaces children, never the root."""

    @renamed(input_dimension="input_width", dimension="width")
    def __init__(self, input_width: int, width: int, layers: int = LAYERS) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_width, width, layers)

    def forward(
        self, inputs: torch.Tensor, hidden: State | None = None
    ) -> tuple[torch.Tensor, State]:
        """Run the LSTM.

        Args:
            inputs: (sequence, batch, input width).
            hidden: hidden and cell state, each (layers, batch, width); None stands for zeros.

        Returns:
            The outputs (sequence, batch, width) and the last hidden and cell state.
        """
        return self.lstm(inputs, hidden)


@dataclass(frozen=True)
class Demonstration:
    """A model with inputs and an initial state that fit it: `demo.model(*demo.arguments)`."""

    model: LSTMModel
    inputs: torch.Tensor  # (sequence, batch, width)
    hidden: State  # hidden and cell state, each (layers, batch, width)

    @property
    def arguments(self) -> tuple[torch.Tensor, State]:
        """What the model is called with: the inputs and the initial state."""
        return self.inputs, self.hidden


@renamed(dimension="width")
def demonstration(
    *,
    width: int = WIDTH,
    layers: int = LAYERS,
    sequence_length: int = SEQUENCE_LENGTH,
    batch_size: int = BATCH_SIZE,
    seed: int = SEED,
) -> Demonstration:
    """The recipe's model and inputs, in eval mode, drawn in the recipe's order.

    Inputs first, then the hidden state, the cell state and last the model, all from one seed;
    PyTorch's own random state is left as it was.

    Args:
        width: of the inputs and of the hidden state (`dimension` in versions 1.0 and 2.0).
        layers: number of LSTM layers.
        sequence_length: time steps in the inputs.
        batch_size: sequences in the inputs.
        seed: seed of the generator.

    Raises:
        ArgumentError: a size is not a whole number of at least 1.
    """
    sizes = ("width", width), ("layers", layers)
    for name, size in (*sizes, ("sequence_length", sequence_length), ("batch_size", batch_size)):
        checks.positive_int(name, size)
    checks.seed("seed", seed)
    with settings.seeded(seed):
        shapes = ((sequence_length, batch_size, width), *[(layers, batch_size, width)] * 2)
        inputs, hidden, cell = (torch.randn(shape, dtype=torch.float32) for shape in shapes)
        with settings.default_dtype_set(torch.float32):
            model = LSTMModel(width, width, layers)
    return Demonstration(model.eval(), inputs, (hidden, cell))


def working_engine(engine: str | None = None) -> str:
    """The quantized engine to use: the one asked for, PyTorch's current one, or one that works.

    PyTorch starts with the engine `none` on some platforms (macOS), where quantizing fails.

    Raises:
        ArgumentError: `engine` is not one of those that this build of PyTorch supports.
        EngineError: this build of PyTorch supports no engine at all.
    """
    supported = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    if engine is not None:
        return checks.one_of("engine", engine, supported)
    for name in (torch.backends.quantized.engine, *_ENGINES):
        if name in supported:
            return name
    raise EngineError(
        'PyTorch {version} supports no quantized engine on {machine}; use backend="plain", which '
        "needs none.",
        version=torch.__version__,
        machine=platform.machine(),
    )


@dataclass(frozen=True)
class Machine(Shown):
    """What the figures of this recipe depend on."""

    torch_version: str
    python_version: str
    system: str
    cpu: str
    vector_instructions: str  # in English; shown by `with_instructions`
    engine: str
    threads: int

    def table(self) -> Table:
        """One row per property."""
        rows = [
            ("PyTorch", self.torch_version),
            ("Python", self.python_version),
            (_("system"), self.system),
            ("CPU", self.cpu),
            (_("vector instructions"), with_instructions(self.vector_instructions)),
            (_("quantized engine"), self.engine),
            (_("threads"), str(self.threads)),
        ]
        return Table((_("this machine"), ""), rows)


def with_instructions(machine: str) -> str:
    """A machine whose vector instructions come last, written in English, as it is shown."""
    used, _comma, vnni = machine.rpartition(", ")
    return _(_VNNI[vnni], used=used) if vnni in _VNNI else machine


def machine() -> Machine:
    """Describe the machine: versions, CPU, vector instructions, quantized engine, threads."""
    try:
        engine = working_engine()
    except EngineError:
        engine = "none"
    return Machine(
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_name(),
        vector_instructions=_vector_instructions(),
        engine=engine,
        threads=torch.get_num_threads(),
    )


def _cpu_name() -> str:
    name = platform.processor()
    if platform.system() == "Linux":
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        name = (re.findall(r"^model name\s*:(.*)$", text, re.MULTILINE) or [""])[0]
    elif platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return name.strip() or platform.machine()


def _vector_instructions() -> str:
    """What PyTorch uses, and whether int8 products have an instruction of their own (VNNI)."""
    used = torch.backends.cpu.get_cpu_capability()
    # Absent before PyTorch 2.9 or so; then nothing is said about VNNI.
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    if not found or platform.machine().lower() not in {"x86_64", "amd64"}:
        return used
    # FBGEMM may be held to fewer instructions; "_E1" is its name for what came with VNNI.
    held_to = os.environ.get("FBGEMM_ENABLE_INSTRUCTIONS", "").upper()
    vnni = any(found.get(name) for name in ("avx_vnni", "avx512_vnni"))
    with_it = vnni and (not held_to or held_to.endswith("_E1"))
    return f"{used}, {'with' if with_it else 'without'} VNNI"
