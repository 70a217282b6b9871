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
from .comparison import ClassComparison

_MARKS = "osD^vP"
_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@drawn
def speedups(compared: ClassComparison) -> RecipeFigure:
    """FP32 / INT8 against width, a line for each machine."""
    figure, axes = new_figure(_("speed of INT8 against width, by machine"), height=3.8)
    measured = [ledger for ledger in compared.ledgers if ledger.widths]
    for number, ledger in enumerate(measured):
        mark, color = _MARKS[number % len(_MARKS)], COLORS[number % len(COLORS)]
        axes.plot(ledger.widths, ledger.speedups, f"{mark}-", color=color, label=ledger.name)
    draw_equal(axes)
    axes.set(title=_("above 1 INT8 is faster"), ylabel=_("FP32 time / INT8 time"), yscale="log")
    plain_ticks(axes, _TICKS)
    width_axis(axes, tuple(sorted({width for ledger in measured for width in ledger.widths})))
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
    """The width from which INT8 is faster, against the CPU's vector instructions."""
    figure, axes = new_figure(_("crossover against vector instructions"), height=3.0)
    measured = [ledger for ledger in compared.ledgers if ledger.widths]
    kinds = sorted({ledger.vector_instructions for ledger in measured})
    found = [ledger for ledger in measured if ledger.crossover_width is not None]
    never = [ledger for ledger in measured if ledger.crossover_width is None]
    marks = ((found, "o", _("crossover")), (never, "^", _("none up to here")))
    for ledgers, mark, label in marks:
        widths = [ledger.crossover_width or ledger.widths[-1] for ledger in ledgers]
        rows = [kinds.index(ledger.vector_instructions) for ledger in ledgers]
        if ledgers:
            axes.plot(widths, rows, mark, color=COLORS[0], alpha=0.7, label=label)
    width_axis(axes, tuple(sorted({width for ledger in measured for width in ledger.widths})))
    axes.set(title=_("the width from which INT8 is faster"), ylabel=_("vector instructions"))
    axes.set_yticks(range(len(kinds)), list(map(str, kinds)))
    axes.set_ylim(-0.5, len(kinds) - 0.5)
    axes.legend()
    said = (f"{ledger.vector_instructions}: {_(ledger.crossover)}" for ledger in measured)
    figure.alt = _(
        "Width from which INT8 is faster, by vector instructions: {machines}.",
        machines="; ".join(said),
    )
    return figure
