"""What the explorer measures: size, latency and accuracy for one choice of model and machine.

No widgets here: `measure_choice` takes a frozen `Choice` and returns a frozen `Exploration`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..common import checks, settings
from ..common.errors import ArgumentError
from ..common.language import _, plural
from ..common.tables import Shown, Table, in_threads
from ..recipe.accuracy import OutputComparison, PairedOutputs, paired_outputs
from ..recipe.compare import Comparison, compare
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison, compare_memory
from ..recipe.model import BATCH_SIZE, LAYERS, SEQUENCE_LENGTH, WIDTH, working_engine
from ..recipe.pair import Pair, make_pair
from ..recipe.quantize import torch_ao_available
from ..recipe.size import SizeComparison

PLAIN = "plain"
SWEEP_WIDTHS = (8, 16, 32, 64, 128, 256, 512)
# Short enough for a panel that answers while one looks at it; sections 4 and 5 take their time.
BUDGET_S = 0.1
# Some seconds of measuring on one core; a panel must not block the kernel for longer.
MOST_MULTIPLY_ADDS = 1_000_000_000
_BILLION = 1e9
_SAMPLE = 300


@dataclass(frozen=True)
class Choice:
    """One position of the explorer's controls; the defaults are the recipe's model, one thread."""

    width: int = WIDTH  # `dimension`, its name before, is taken as well
    layers: int = LAYERS
    batch_size: int = BATCH_SIZE
    sequence_length: int = SEQUENCE_LENGTH
    threads: int = 1
    engine: str | None = None  # an engine of torch.ao, "plain" for rh.Int8LSTM, None: what works

    @property
    def dimension(self) -> int:
        """The width, by its name in versions 1.0 and 2.0."""
        return self.width

    @property
    def multiply_adds(self) -> int:
        """Products of one call: two matrices of (4 width, width) per layer, step and sequence."""
        return 8 * self.width**2 * self.layers * self.batch_size * self.sequence_length

    def __str__(self) -> str:
        said = _(
            "width {width}, {layers}, batch {batch}, {steps}, {threads}",
            width=self.width,
            layers=plural("{count} layer", "{count} layers", self.layers),
            batch=self.batch_size,
            steps=plural("{count} step", "{count} steps", self.sequence_length),
            threads=in_threads(self.threads),
        )
        return f"{said}, {self.engine}" if self.engine else said


Choice.__init__ = checks.renamed(dimension="width")(Choice.__init__)  # type: ignore[method-assign]


@dataclass(frozen=True)
class Exploration(Shown):
    """What was measured for one choice."""

    choice: Choice
    size: SizeComparison
    latency: LatencyComparison
    accuracy: OutputComparison
    outputs: tuple[tuple[float, float], ...]  # FP32 and INT8, evenly spaced in the first output

    @property
    def verdict(self) -> str:
        """What quantizing brings for this choice, in words."""
        return self._compared.sentence

    def table(self) -> Table:
        """One row each for size, latency and accuracy."""
        return replace(self._compared.table(), caption=str(self.choice))

    @property
    def _compared(self) -> Comparison:
        return Comparison(self.size, self.latency, self.accuracy)


def engines() -> tuple[str, ...]:
    """What can quantize here: torch.ao's engines, the one in use first, and "plain"."""
    found: list[str] = []
    if torch_ao_available():
        supported = [e for e in torch.backends.quantized.supported_engines if e != "none"]
        found = sorted(supported, key=lambda engine: (engine != working_engine(), engine))
    return (*found, PLAIN)


def recipe_choice() -> Choice:
    """The recipe's model on one thread, with the engine in use here spelled out."""
    return Choice(engine=engines()[0])


def measure_choice(choice: Choice, *, budget_s: float = BUDGET_S) -> Exploration:
    """Build the recipe's LSTM as chosen, quantize it, and compare the two models.

    Everything runs on the chosen number of threads; the thread count is put back.

    Args:
        choice: what to build and how to run it.
        budget_s: about how long to time the two models, in seconds.

    Raises:
        ArgumentError: a size is not a whole number of at least 1, the engine is unknown, or the
            choice asks for more than `MOST_MULTIPLY_ADDS` in one call.
        ConversionError: the engine cannot convert the model.
    """
    _check(choice)
    with settings.threads_set(choice.threads):
        pair = _made(choice)
        found = compare(*pair.both, threads=choice.threads, budget_s=budget_s)
        sample = _sample(paired_outputs(*pair.both))
    return Exploration(choice, found.size, found.latency, found.outputs, sample)


def measure_memory(choice: Choice) -> MemoryComparison:
    """The memory that both models of a choice take, on one thread; see `compare_memory`.

    Args:
        choice: what to build; its number of threads is not looked at.

    Raises:
        ArgumentError: as `measure_choice`.
        ConversionError: as `measure_choice`.
    """
    _check(choice)
    return compare_memory(*_made(choice).both)


def sweep_choices(choice: Choice) -> tuple[Choice, ...]:
    """The same choice at each width of the sweep and at its own, as far as they can be measured."""
    choices = (replace(choice, width=width) for width in sorted({*SWEEP_WIDTHS, choice.width}))
    return tuple(c for c in choices if c.multiply_adds <= MOST_MULTIPLY_ADDS)


def _made(choice: Choice) -> Pair:
    plain = choice.engine == PLAIN
    return make_pair(
        backend=PLAIN if plain else "torch.ao",
        engine=None if plain else choice.engine,
        width=choice.width,
        layers=choice.layers,
        batch_size=choice.batch_size,
        sequence_length=choice.sequence_length,
    )


def _check(choice: Choice) -> None:
    for name in ("width", "layers", "batch_size", "sequence_length", "threads"):
        checks.positive_int(name, getattr(choice, name))
    if choice.engine is not None:
        checks.one_of("engine", choice.engine, engines())
    if choice.multiply_adds > MOST_MULTIPLY_ADDS:
        raise ArgumentError(
            "One call with {choice} takes {billions:.1f} billion multiply-adds, and this panel "
            "measures at most {most:.0f} billion; choose a smaller width or batch, fewer "
            "layers or fewer steps.",
            choice=choice,
            billions=choice.multiply_adds / _BILLION,
            most=MOST_MULTIPLY_ADDS / _BILLION,
        )


def _sample(pair: PairedOutputs) -> tuple[tuple[float, float], ...]:
    """At most `_SAMPLE` elements of both outputs, evenly spaced."""
    before, after = pair.reference.flatten(), pair.candidate.flatten()
    places = torch.linspace(0, len(before) - 1, min(len(before), _SAMPLE)).round().long()
    return tuple(zip(before[places].tolist(), after[places].tolist(), strict=True))
