"""The figure of `peers.py`: time against width, and how far we are ahead."""

from __future__ import annotations

from collections.abc import Sequence

from contenders import ONNX, OURS, TORCH
from matplotlib.figure import Figure


def draw(rows: Sequence) -> Figure:
    """Two panels over the width, for batches of one sequence on one thread.

    Left: the time of one call per contender, and the least time that the arithmetic takes.
    Right: the best peer's time over ours, with its 95 % interval.
    """
    shown = [r for r in rows if (r.case.batch, r.case.threads, r.case.layers) == (1, 1, 1)]
    widths = [row.case.width for row in shown]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    times, leads = figure.subplots(1, 2)
    for entry in shown[0].entries:
        ours = entry.name == OURS
        times.plot(
            widths, [row.entry(entry.name).median_us for row in shown],
            marker="o", label=entry.name, zorder=3 if ours else 2,
            linewidth=2.5 if ours else 1.2, color="black" if ours else None,
        )  # fmt: skip
    limits = [row.limits.arithmetic_us(row.case.macs) for row in shown]
    times.plot(widths, limits, "--", color="gray", label="limit of int8 arithmetic")
    times.set(xscale="log", yscale="log", xlabel="width", ylabel="time of one call (µs)")
    times.legend(fontsize="small")
    ratios = [row.lead((*TORCH, *ONNX)) for row in shown]
    middle = [ratio.median for ratio in ratios]
    spread = [
        [ratio.median - ratio.low for ratio in ratios],
        [ratio.high - ratio.median for ratio in ratios],
    ]
    leads.errorbar(widths, middle, yerr=spread, marker="o", color="black", capsize=3)
    leads.axhline(1, color="gray", linestyle="--")
    leads.set(xscale="log", xlabel="width", ylabel="time of the best peer / time of Int8LSTM")
    for axes in (times, leads):
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
    figure.suptitle("One call on 20 steps, batch 1, one thread")
    return figure
