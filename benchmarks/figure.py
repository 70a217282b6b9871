"""The figure of `peers.py`: time against width, and how far we are ahead."""

from __future__ import annotations

from collections.abc import Sequence

from contenders import EIGHT_BIT, ONNX_INT8, OURS, PEERS
from matplotlib.figure import Figure
from rows import Row

_BOLD = {OURS: "black", EIGHT_BIT: "0.45"}


def draw(rows: Sequence[Row]) -> Figure:
    """Two panels over the width, for one batch size on one thread, the smallest there is.

    Left: the time of one call per contender, and the least time that the arithmetic takes.
    Right: how many times as fast as the best peer the exact mode is, and as ONNX Runtime's INT8
    (or the best peer, where that did not take part) the 8-bit mode, with their 95 % intervals.
    """
    batch = min(row.case.batch for row in rows)
    threads = min(row.case.threads for row in rows)
    shown = [row for row in rows if (row.case.batch, row.case.threads) == (batch, threads)]
    widths = [row.case.width for row in shown]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    times, leads = figure.subplots(1, 2)
    for entry in shown[0].entries:
        ours = entry.name in _BOLD
        times.plot(
            widths, [row.entry(entry.name).median_us for row in shown],
            marker="o", label=entry.name, zorder=3 if ours else 2,
            linewidth=2.5 if ours else 1.2, color=_BOLD.get(entry.name),
        )  # fmt: skip
    limits = [row.limits.arithmetic_us(row.case.macs) for row in shown]
    times.plot(widths, limits, "--", color="gray", label="limit of int8 arithmetic")
    times.set(xscale="log", yscale="log", xlabel="width", ylabel="time of one call (µs)")
    times.legend(fontsize="small")
    rival = ONNX_INT8 if shown[0].some(ONNX_INT8) else PEERS
    for mode, names, label in (
        (OURS, PEERS, "exact, against the best peer"),
        (EIGHT_BIT, rival, "8-bit, against " + ("ONNX Runtime INT8" if rival is ONNX_INT8 else
                                                 "the best peer")),
    ):  # fmt: skip
        if not shown[0].has(mode):
            continue
        ratios = [row.lead(names, mode) for row in shown]
        middle = [ratio.median for ratio in ratios]
        spread = [[r.median - r.low for r in ratios], [r.high - r.median for r in ratios]]
        leads.errorbar(
            widths, middle, yerr=spread, marker="o", color=_BOLD[mode], capsize=3, label=label
        )
    leads.axhline(1, color="gray", linestyle="--")
    leads.set(xscale="log", xlabel="width", ylabel="time of the peer / our time")
    leads.legend(fontsize="small")
    for axes in (times, leads):
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
    steps = shown[0].case.steps
    figure.suptitle(f"One call on {steps} steps, batch {batch}, threads {threads}")
    return figure
