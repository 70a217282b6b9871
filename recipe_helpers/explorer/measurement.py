"""What the explorer measures: size, latency and accuracy for one choice of model and machine.

No widgets here: `measure_choice` takes a frozen `Choice` and returns a frozen `Exploration`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..common import checks, settings
from ..common.errors import ArgumentError
from ..common.language import N_, Text, _, plural
from ..common.tables import Shown, Table, in_bytes, in_threads, microseconds
from ..recipe.accuracy import OutputComparison, PairedOutputs, compare_outputs, paired_outputs
from ..recipe.latency import LatencyComparison, compare_latency
from ..recipe.memory import MemoryComparison, compare_memory
from ..recipe.model import (
    BATCH_SIZE,
    LAYERS,
    SEQUENCE_LENGTH,
    WIDTH,
    Demonstration,
    demonstration,
    working_engine,
)
from ..recipe.quantize import quantize_dynamic, torch_ao_available
from ..recipe.size import SizeComparison, compare_size
from ..recipe.timing import FASTER, INCONCLUSIVE, SLOWER

PLAIN = "plain"
SWEEP_DIMENSIONS = (8, 16, 32, 64, 128, 256, 512)
# Short enough for a panel that answers while one looks at it; sections 4 and 5 take their time.
BUDGET_S = 0.1
# Some seconds of measuring on one core; a panel must not block the kernel for longer.
MOST_MULTIPLY_ADDS = 1_000_000_000
_SAMPLE = 300
# What quantizing brings, by whether the file is smaller and what became of the time of a call.
_VERDICTS = {
    (True, FASTER): N_(
        "In INT8 the file is {file:.2f} times smaller, a call is {call:.2f} times faster, and the "
        "outputs differ by {relative:.2%} on average."
    ),
    (True, SLOWER): N_(
        "In INT8 the file is {file:.2f} times smaller, a call is {call:.2f} times slower, and the "
        "outputs differ by {relative:.2%} on average."
    ),
    (True, INCONCLUSIVE): N_(
        "In INT8 the file is {file:.2f} times smaller, the time of a call does not differ by more "
        "than the noise, and the outputs differ by {relative:.2%} on average."
    ),
    (False, FASTER): N_(
        "In INT8 the file is {file:.2f} times larger, a call is {call:.2f} times faster, and the "
        "outputs differ by {relative:.2%} on average."
    ),
    (False, SLOWER): N_(
        "In INT8 the file is {file:.2f} times larger, a call is {call:.2f} times slower, and the "
        "outputs differ by {relative:.2%} on average."
    ),
    (False, INCONCLUSIVE): N_(
        "In INT8 the file is {file:.2f} times larger, the time of a call does not differ by more "
        "than the noise, and the outputs differ by {relative:.2%} on average."
    ),
}


@dataclass(frozen=True)
class Choice:
    """One position of the explorer's controls; the defaults are the recipe's model, one thread."""

    dimension: int = WIDTH
    layers: int = LAYERS
    batch_size: int = BATCH_SIZE
    sequence_length: int = SEQUENCE_LENGTH
    threads: int = 1
    engine: str | None = None  # an engine of torch.ao, "plain" for rh.Int8LSTM, None: what works

    @property
    def multiply_adds(self) -> int:
        """Products of one call: two matrices of (4 width, width) per layer, step and sequence."""
        return 8 * self.dimension**2 * self.layers * self.batch_size * self.sequence_length

    def __str__(self) -> str:
        said = _(
            "width {width}, {layers}, batch {batch}, {steps}, {threads}",
            width=self.dimension,
            layers=plural("{count} layer", "{count} layers", self.layers),
            batch=self.batch_size,
            steps=plural("{count} step", "{count} steps", self.sequence_length),
            threads=in_threads(self.threads),
        )
        return f"{said}, {self.engine}" if self.engine else said


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
        size, speed = self.size.ratio, self.latency.speedup.median
        message = _VERDICTS[size >= 1, self.latency.verdict]
        relative = self.accuracy.relative
        return _(message, file=max(size, 1 / size), call=max(speed, 1 / speed), relative=relative)

    def table(self) -> Table:
        """One row each for size, latency and accuracy."""
        size, latency, accuracy = self.size, self.latency, self.accuracy
        outcome = _(latency.verdict)
        if latency.verdict != INCONCLUSIVE:
            outcome = _("INT8 is {faster_or_slower}", faster_or_slower=outcome)
        rows = [
            (
                _("state dict"),
                in_bytes(size.reference_bytes),
                in_bytes(size.candidate_bytes),
                _("{ratio:.2f} to 1", ratio=size.ratio),
            ),
            (
                _("time of one call, median"),
                microseconds(latency.reference.median_us),
                microseconds(latency.candidate.median_us),
                _("{ratio:.2f} to 1, {what}", ratio=latency.speedup.median, what=outcome),
            ),
            (
                _("mean |output|"),
                f"{accuracy.reference_mean:.5f}",
                f"{accuracy.candidate_mean:.5f}",
                _(
                    "differ by {relative:.2%}, SQNR {sqnr:.1f} dB",
                    relative=accuracy.relative,
                    sqnr=accuracy.sqnr_db,
                ),
            ),
        ]
        headers = ("", "FP32", "INT8", _("FP32 against INT8"))
        return Table(headers, rows, str(self.choice), self.verdict)


def engines() -> tuple[str, ...]:
    """What can quantize here: torch.ao's engines, the one in use first, and "plain"."""
    found: list[str] = []
    if torch_ao_available():
        supported = [e for e in torch.backends.quantized.supported_engines if e != "none"]
        found = sorted(supported, key=lambda engine: (engine != working_engine(), engine))
    return (*found, PLAIN)


def recipe_choice() -> Choice:
    """The recipe's model on one thread, with the engine in use here spelled out."""
    return Choice(engine=next(iter(engines()), None))


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
        return _compare(choice, *_made(choice), budget_s)


def measure_memory(choice: Choice) -> MemoryComparison:
    """The memory that both models of a choice take, on one thread; see `compare_memory`.

    Args:
        choice: what to build; its number of threads is not looked at.

    Raises:
        ArgumentError: as `measure_choice`.
        ConversionError: as `measure_choice`.
    """
    _check(choice)
    demo, quantized = _made(choice)
    return compare_memory(demo.model, quantized, *demo.arguments)


def sweep_choices(choice: Choice) -> tuple[Choice, ...]:
    """The same choice at each width of the sweep and at its own, as far as they can be measured."""
    dimensions = sorted({*SWEEP_DIMENSIONS, choice.dimension})
    choices = (replace(choice, dimension=dimension) for dimension in dimensions)
    return tuple(c for c in choices if c.multiply_adds <= MOST_MULTIPLY_ADDS)


def _made(choice: Choice) -> tuple[Demonstration, torch.nn.Module]:
    plain = choice.engine == PLAIN
    demo = demonstration(
        width=choice.dimension,
        layers=choice.layers,
        batch_size=choice.batch_size,
        sequence_length=choice.sequence_length,
    )
    quantized = quantize_dynamic(
        demo.model,
        backend=PLAIN if plain else "torch.ao",
        engine=None if plain else choice.engine,
    )
    return demo, quantized


def _compare(
    choice: Choice, demo: Demonstration, quantized: torch.nn.Module, budget_s: float
) -> Exploration:
    models = demo.model, quantized
    return Exploration(
        choice=choice,
        size=compare_size(*models),
        latency=compare_latency(
            *models, *demo.arguments, threads=choice.threads, budget_s=budget_s
        ),
        accuracy=compare_outputs(*models, *demo.arguments),
        outputs=_sample(paired_outputs(*models, *demo.arguments)),
    )


def _check(choice: Choice) -> None:
    for name in ("dimension", "layers", "batch_size", "sequence_length", "threads"):
        checks.positive_int(name, getattr(choice, name))
    if choice.engine is not None:
        checks.one_of("engine", choice.engine, engines())
    if choice.multiply_adds > MOST_MULTIPLY_ADDS:
        raise ArgumentError(
            Text(
                "One call with {choice} takes {billions:.1f} billion multiply-adds, and this panel "
                "measures at most {most:.0f} billion; choose a smaller width or batch, fewer "
                "layers or fewer steps.",
                choice=choice,
                billions=choice.multiply_adds / MOST_MULTIPLY_ADDS,
                most=MOST_MULTIPLY_ADDS / 1e9,
            )
        )


def _sample(pair: PairedOutputs) -> tuple[tuple[float, float], ...]:
    """At most `_SAMPLE` elements of both outputs, evenly spaced."""
    before, after = pair.reference.flatten(), pair.candidate.flatten()
    places = torch.linspace(0, len(before) - 1, min(len(before), _SAMPLE)).round().long()
    return tuple(zip(before[places].tolist(), after[places].tolist(), strict=True))
