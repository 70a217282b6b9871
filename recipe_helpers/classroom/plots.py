"""Figures of `class_comparison.ipynb`."""

from __future__ import annotations

from ..common.language import _
from ..common.plots import (
    COLORS,
    RecipeFigure,
    draw_equal,
    drawn,
    new_figure,
    plain_ticks,
    width_axis,
)
from ..recipe.model import with_instructions
from .comparison import ClassComparison, MachineLedger

_MARKS = "osD^vPX*"
_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@drawn
def speedups(compared: ClassComparison) -> RecipeFigure:
    """FP32 / INT8 against width, a line for each machine, machines of one CPU in one colour."""
    figure, axes = new_figure(_("speed of INT8 against width, by machine"), height=3.8)
    measured, cpus, widths = _measured(compared)
    for number, ledger in enumerate(measured):
        mark, color = _MARKS[number % len(_MARKS)], COLORS[cpus.index(ledger.cpu) % len(COLORS)]
        axes.plot(ledger.widths, ledger.speedups, f"{mark}-", color=color, label=ledger.name)
    draw_equal(axes)
    axes.set(title=_("above 1 INT8 is faster"), ylabel=_("FP32 time / INT8 time"), yscale="log")
    plain_ticks(axes, _TICKS)
    width_axis(axes, widths)
    axes.legend()
    said = (
        _(
            "{name} from {least:.2f} to {most:.2f}",
            name=ledger.name,
            least=min(ledger.speedups),
            most=max(ledger.speedups),
        )
        for ledger in measured
    )
    figure.alt = _(
        "FP32 time over INT8 time against the width of the LSTM: {machines}.",
        machines="; ".join(said),
    )
    return figure


@drawn
def crossovers(compared: ClassComparison) -> RecipeFigure:
    """Where INT8 catches up, against the CPU's vector instructions, a line for each machine.

    A bar leads from the last width at which INT8 was not faster to the first at which it was; the
    mark on it is where both would take the same time.
    """
    figure, axes = new_figure(_("crossover against vector instructions"), height=3.4)
    measured, cpus, widths = _measured(compared)
    kinds = sorted({ledger.vector_instructions for ledger in measured})
    for ledger in measured:
        alike = [x for x in measured if x.vector_instructions == ledger.vector_instructions]
        among = (alike.index(ledger) + 1) / (len(alike) + 1)  # between 0 and 1
        row = kinds.index(ledger.vector_instructions) + 0.5 * (among - 0.5)
        number = cpus.index(ledger.cpu)
        mark, color = _MARKS[number % len(_MARKS)], COLORS[number % len(COLORS)]
        if ledger.crossover_width is None:
            axes.plot(ledger.widths[-1], row, "^", color=color, label=_("none up to here"))
            continue
        around = ledger.widths[ledger.bracket]
        axes.plot(around, [row] * len(around), "-", color=color, linewidth=1)
        axes.plot(ledger.level_width, row, mark, color=color, label=ledger.cpu)
    width_axis(axes, widths)
    axes.set(title=_("the width from which INT8 is faster"), ylabel=_("vector instructions"))
    axes.set_yticks(range(len(kinds)), [with_instructions(kind) for kind in kinds])
    axes.set_ylim(-0.5, len(kinds) - 0.5)
    shown = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    axes.legend(list(shown.values()), list(shown))
    figure.alt = _(
        "Width from which INT8 is faster, and where both take the same time, by vector "
        "instructions: {machines}.",
        machines="; ".join(map(_crossover, measured)),
    )
    return figure


def _measured(
    compared: ClassComparison,
) -> tuple[list[MachineLedger], list[str], tuple[int, ...]]:
    """The ledgers that hold a sweep, their CPUs, each once, and all widths, rising."""
    measured = [ledger for ledger in compared.ledgers if ledger.widths]
    widths = sorted({width for ledger in measured for width in ledger.widths})
    return measured, list(dict.fromkeys(ledger.cpu for ledger in measured)), tuple(widths)


def _crossover(ledger: MachineLedger) -> str:
    level = f" ({ledger.level_width:.0f})" if ledger.level_width else ""
    machine = f"{ledger.name}, {with_instructions(ledger.vector_instructions)}"
    return f"{machine}: {_(ledger.crossover)}{level}"
