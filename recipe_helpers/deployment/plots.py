"""The figure of the deployment notebook."""

from __future__ import annotations

from ..common.plots import COLORS, RecipeFigure, drawn, new_figure
from .load import Loads

_MARKS = ("o", "s", "^", "D")


@drawn
def loads(found: Loads) -> RecipeFigure:
    """How long clients wait, and how many answers there are, against the number of clients."""
    figure, (waits, answers) = new_figure("waiting times and answers under load", columns=2)
    said = []
    for index, server in enumerate(found.servers):
        mine = [load for load in found.loads if load.server == server]
        clients = [load.clients for load in mine]
        style = {"color": COLORS[index % len(COLORS)], "marker": _MARKS[index % len(_MARKS)]}
        middle, late = (
            [load.percentile_us(percent) / 1e3 for load in mine] for percent in (50, 99)
        )
        waits.plot(clients, middle, **style, label=f"{server}, p50")
        waits.plot(clients, late, **style, linestyle=":", fillstyle="none", label=f"{server}, p99")
        answers.plot(clients, [load.throughput for load in mine], **style, label=server)
        said.append(
            f"{server}: {mine[-1].throughput:.0f} answers a second with {clients[-1]} clients, "
            f"p99 {late[-1]:.1f} ms"
        )
    numbers = sorted({load.clients for load in found.loads})
    for axes in (waits, answers):
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.minorticks_off()
        axes.set_xlabel("clients at once")
        axes.legend()
    waits.set(title="how long a client waits", yscale="log", ylabel="time of an answer (ms)")
    waits.yaxis.set_major_formatter("{x:g}")
    answers.set(title="what the server gets done", ylabel="answers per second")
    answers.set_ylim(bottom=0)
    figure.alt = f"Waiting times and throughput against clients. {'; '.join(said)}."
    return figure
