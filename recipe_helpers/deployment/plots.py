"""The figure of the deployment notebook."""

from __future__ import annotations

from ..common.language import _
from ..common.plots import COLORS, RecipeFigure, drawn, new_figure
from .serving import Loads

_MARKS = ("o", "s", "^", "D")


@drawn
def loads(found: Loads) -> RecipeFigure:
    """How long clients wait, and how many answers there are, against the number of clients."""
    figure, (waits, answers) = new_figure(_("waiting times and answers under load"), columns=2)
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
            _(
                "{server}: {rate:.0f} answers a second with {clients} clients, p99 {late:.1f} ms",
                server=server,
                rate=mine[-1].throughput,
                clients=clients[-1],
                late=late[-1],
            )
        )
    numbers = sorted({load.clients for load in found.loads})
    for axes in (waits, answers):
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.minorticks_off()
        axes.set_xlabel(_("clients at once"))
        axes.legend()
    waits.set(title=_("how long a client waits"), yscale="log", ylabel=_("time of an answer (ms)"))
    waits.yaxis.set_major_formatter("{x:g}")
    answers.set(title=_("what the server gets done"), ylabel=_("answers per second"))
    answers.set_ylim(bottom=0)
    figure.alt = _(
        "Waiting times and throughput against clients. {servers}.", servers="; ".join(said)
    )
    return figure
