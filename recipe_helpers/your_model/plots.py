"""The figure of a report on the reader's own model."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..common.language import _
from ..common.plots import COLORS, NEUTRAL_COLOR, Axes, RecipeFigure, drawn, new_figure
from ..common.tables import in_threads
from .candidates import Candidate, Measured
from .report import Report

_SMALLEST, _LARGEST = 1e-6, 1e6  # the errors, in percent, that an axis can show
_MOST_MODULES = 12


class _Row(NamedTuple):
    """One conversion as the figure shows it: whole, or with some modules left FP32."""

    candidate: str
    label: str
    found: Measured


@drawn
def plot_report(report: Report) -> RecipeFigure:
    """Size, time and error of each conversion against the limits, and the error of each module.

    Args:
        report: what `rh.report` returned.
    """
    shown = _shown(report)
    sensitive = [c for c in report.candidates if c.sensitivity and c.sensitivity.modules]
    names = _modules(sensitive)
    rows = 1 + bool(names)
    height = 1.1 + 0.32 * max(len(shown), 2) + (0.7 + 0.27 * len(names)) * bool(names)
    figure, axes = new_figure(
        _("what quantization does to the model"), rows=rows, width=8.2, height=height
    )
    if names:
        ratios = (1.1 + 0.32 * max(len(shown), 2), 0.7 + 0.27 * len(names))
        axes[0].get_gridspec().set_height_ratios(ratios)
        _sensitivities(axes[1], sensitive, names, report.error_limit)
    top = axes[0] if names else axes
    grid = top.get_subplotspec().subgridspec(1, 3)
    top.remove()
    panels = [figure.add_subplot(cell) for cell in grid]
    labels = [row.label for row in shown]
    for panel in panels:
        panel.set_ylim(len(shown) - 0.5, -0.5)
        panel.grid(axis="y", visible=False)
        panel.set_yticks(range(len(shown)), labels if panel is panels[0] else [""] * len(shown))
    _sizes(panels[0], shown, report.limits.min_size_ratio)
    _speedups(panels[1], shown, report.limits.min_speedup)
    _errors(panels[2], shown, report.error_limit)
    figure.alt = _description(report, shown, sensitive)
    return figure


def _shown(report: Report) -> list[_Row]:
    found = []
    for candidate in report.candidates:
        if candidate.whole is not None:
            found.append(_Row(candidate.name, candidate.name, candidate.whole))
        if candidate.partly is not None:
            label = _(
                "{name},\n{count} left FP32", name=candidate.name, count=len(candidate.left_float)
            )
            found.append(_Row(candidate.name, label, candidate.partly))
    return found


def _sizes(axes: Axes, shown: list[_Row], limit: float) -> None:
    ratios = [row.found.size.ratio for row in shown]
    axes.barh(range(len(shown)), ratios, height=0.55, color=_colors(shown))
    axes.set(title=_("size"), xlabel=_("FP32 / INT8 bytes"), xlim=(0, None))
    _line(axes, limit)


def _speedups(axes: Axes, shown: list[_Row], limit: float) -> None:
    """Two marks per conversion: full for the caller's threads, hollow for one."""
    for row, ((*_name, found), color) in enumerate(zip(shown, _colors(shown), strict=True)):
        offsets = (0.0,) if len(found.latencies) == 1 else (-0.16, 0.16)
        for offset, latency in zip(offsets, found.latencies, strict=True):
            ratio, first = latency.speedup, latency is found.latencies[0]
            errors = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
            axes.errorbar(
                ratio.median,
                row + offset,
                xerr=errors,
                color=color,
                marker="o",
                capsize=3,
                markerfacecolor=color if first else "white",
                label=in_threads(latency.threads) if row == 0 else None,
            )
    axes.set(title=_("speed, with 95 % interval"), xlabel=_("FP32 / INT8 time"), xlim=(0, None))
    axes.set_xlim(0, max(1.25, axes.get_xlim()[1]))
    if shown and len(shown[0].found.latencies) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.15), fontsize=8, ncols=2)
    _line(axes, limit)


def _errors(axes: Axes, shown: list[_Row], limit: float | None) -> None:
    values = [100 * row.found.relative for row in shown]
    axes.scatter(_visible(values), range(len(shown)), color=_colors(shown), zorder=3)
    axes.set(title=_("difference of the output"), xlabel=_("largest relative error (%)"))
    _percent_axis(axes, values, limit)


def _sensitivities(
    axes: Axes, candidates: list[Candidate], names: list[str], limit: float | None
) -> None:
    """One row per module, one mark per conversion."""
    places = {name: place for place, name in enumerate(names)}
    every = []
    for index, candidate in enumerate(candidates):
        shift = 0.16 * (index - (len(candidates) - 1) / 2)
        modules = [m for m in candidate.sensitivity.modules if m.name in places]
        values = [100 * module.relative for module in modules]
        rows = [places[module.name] + shift for module in modules]
        color, marker = COLORS[1 + index], "os^"[index % 3]
        axes.scatter(_visible(values), rows, color=color, marker=marker, label=candidate.name)
        every += values
        for module, row in zip(modules, rows, strict=True):
            if module.failure:
                place = axes.get_yaxis_transform()
                text = _("{name}: cannot run", name=candidate.name)
                axes.text(0.01, row, text, va="center", fontsize=7.5, color=color, transform=place)
    axes.set(
        title=_("one module converted at a time"), xlabel=_("relative error of the output (%)")
    )
    axes.set_yticks(range(len(names)), [name or _("(the model)") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _percent_axis(axes, every, limit)


def _visible(values: list[float]) -> list[float]:
    """Errors as a logarithmic axis can show them: no zeros, nothing infinite."""
    return [min(max(value, _SMALLEST), _LARGEST) for value in values]


def _percent_axis(axes: Axes, values: list[float], limit: float | None) -> None:
    axes.set_xscale("log")
    shown = [value for value in values if _SMALLEST < value < _LARGEST]
    ends = [*shown, *([100 * limit] if limit else [])] or [1.0]
    axes.set_xlim(min(ends) / 4, max(ends) * 4)
    powers = range(math.ceil(math.log10(min(ends) / 4)), math.floor(math.log10(max(ends) * 4)) + 1)
    ticks = [10.0**power for power in powers][:: 1 + len(powers) // 6]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    _line(axes, None if limit is None else 100 * limit)


def _modules(candidates: list[Candidate]) -> list[str]:
    """The modules with the largest errors over all conversions, the worst first."""
    worst: dict[str, float] = {}
    for candidate in candidates:
        for module in candidate.sensitivity.modules:
            value = math.inf if math.isnan(module.relative) else module.relative
            worst[module.name] = max(worst.get(module.name, 0.0), value)
    return sorted(worst, key=lambda name: -worst[name])[:_MOST_MODULES]


def _colors(shown: list[_Row]) -> list[str]:
    """One colour per conversion, the mended version in the same as the whole."""
    bases = list(dict.fromkeys(row.candidate for row in shown))
    return [COLORS[1 + bases.index(row.candidate)] for row in shown]


def _line(axes: Axes, limit: float | None) -> None:
    if limit:
        axes.axvline(limit, color=NEUTRAL_COLOR, linestyle="--", linewidth=1.2)


def _description(report: Report, shown: list[_Row], sensitive: list[Candidate]) -> str:
    rows = [
        _(
            "{name}: {ratio:.2f} times smaller, FP32 / INT8 time {speedup:.2f}, largest relative "
            "error {relative:.2%}.",
            name=row.label.replace("\n", " "),
            ratio=row.found.size.ratio,
            speedup=row.found.latencies[0].speedup.median,
            relative=row.found.relative,
        )
        for row in shown
    ]
    text = _(
        "Three panels compare size, speed and output difference of each conversion with the "
        "limits, drawn as dashed lines. {rows}",
        rows=" ".join(rows) or ".",
    )
    if not sensitive:
        return text
    worst = [
        f"{candidate.name}: {candidate.sensitivity.worst.name or _('the model')}"
        for candidate in sensitive
    ]
    below = _(
        "Below, the error of each module alone; most sensitive in {modules}.",
        modules="; ".join(worst),
    )
    return f"{text} {below}"
