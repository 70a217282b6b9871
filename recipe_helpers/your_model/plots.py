"""The figure of a report on the reader's own model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..common.language import _
from ..common.plots import COLORS, NEUTRAL_COLOR, Axes, RecipeFigure, drawn, new_figure
from ..common.tables import in_threads
from .candidates import Candidate, Measured
from .promises import Limits

_SMALLEST, _LARGEST = 1e-6, 1e6  # the errors, in percent, that an axis can show
_MOST_MODULES = 12


class _Row(NamedTuple):
    """One conversion as the figure shows it: whole, or with some modules left FP32."""

    label: str
    color: str
    found: Measured


@drawn
def plot_candidates(
    candidates: Sequence[Candidate], limits: Limits, error_limit: float | None
) -> RecipeFigure:
    """Size, time and error of each conversion against the limits, and the error of each module.

    Args:
        candidates: every conversion that was tried.
        limits: of size and time.
        error_limit: of the relative error, or None where a metric decides.
    """
    rows = _rows(candidates)
    sensitive = [c for c in candidates if c.sensitivity and c.sensitivity.modules]
    names = _most_sensitive(sensitive)
    heights = [1.1 + 0.32 * max(len(rows), 2), *([0.7 + 0.27 * len(names)] if names else [])]
    title = _("what quantization does to the model")
    figure, axes = new_figure(title, width=8.2, height=sum(heights))
    axes.remove()
    panels: Any = [["size", "speed", "error"], *([["alone"] * 3] if names else [])]
    places = figure.subplot_mosaic(panels, height_ratios=heights)
    for name in panels[0]:
        _in_rows(places[name], [row.label if name == "size" else "" for row in rows])
    _sizes(places["size"], rows, limits.min_size_ratio)
    _speedups(places["speed"], rows, limits.min_speedup)
    _errors(places["error"], rows, error_limit)
    if names:
        _sensitivities(places["alone"], sensitive, names, error_limit)
    figure.alt = _description(rows, sensitive)
    return figure


def _rows(candidates: Sequence[Candidate]) -> list[_Row]:
    rows = []
    measured = [candidate for candidate in candidates if candidate.best is not None]
    for color, one in zip(COLORS[1:], measured, strict=False):
        left = _("{name},\n{count} left FP32", name=one.name, count=len(one.left_float))
        pairs = (one.name, one.whole), (left, one.partly)
        rows += [_Row(label, color, found) for label, found in pairs if found is not None]
    return rows


def _most_sensitive(candidates: Sequence[Candidate]) -> list[str]:
    """The modules with the largest errors over all conversions, the worst first; NaN is worst."""
    every = [m for one in candidates if one.sensitivity for m in one.sensitivity.modules]
    every.sort(key=lambda module: -np.nan_to_num(module.relative, nan=np.inf))
    return [*dict.fromkeys(module.name for module in every)][:_MOST_MODULES]


def _in_rows(axes: Axes, labels: Sequence[str]) -> None:
    """One row for each label, the first on top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_yticks(range(len(labels)), labels)


def _sizes(axes: Axes, rows: Sequence[_Row], limit: float) -> None:
    ratios, colors = [row.found.size.ratio for row in rows], [row.color for row in rows]
    axes.barh(range(len(rows)), ratios, height=0.55, color=colors)
    axes.set(title=_("size"), xlabel=_("FP32 / INT8 bytes"), xlim=(0, None))
    _line(axes, limit)


def _speedups(axes: Axes, rows: Sequence[_Row], limit: float) -> None:
    """Two marks per conversion: full for the caller's threads, hollow for one."""
    for place, (_label, color, found) in enumerate(rows):
        offsets = (0.0,) if len(found.latencies) == 1 else (-0.16, 0.16)
        for offset, latency in zip(offsets, found.latencies, strict=True):
            ratio, first = latency.speedup, latency is found.latencies[0]
            axes.errorbar(
                ratio.median,
                place + offset,
                xerr=[[ratio.median - ratio.low], [ratio.high - ratio.median]],
                color=color,
                marker="o",
                capsize=3,
                markerfacecolor=color if first else "white",
                label=in_threads(latency.threads) if place == 0 else None,
            )
    axes.set(title=_("speed, with 95 % interval"), xlabel=_("FP32 / INT8 time"), xlim=(0, None))
    axes.set_xlim(0, max(1.25, axes.get_xlim()[1]))
    if rows and len(rows[0].found.latencies) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.15), fontsize=8, ncols=2)
    _line(axes, limit)


def _errors(axes: Axes, rows: Sequence[_Row], limit: float | None) -> None:
    values = [row.found.relative for row in rows]
    axes.scatter(_percent(values), range(len(rows)), color=[row.color for row in rows], zorder=3)
    axes.set(title=_("difference of the output"), xlabel=_("largest relative error (%)"))
    _percent_axis(axes, values, limit)


def _sensitivities(
    axes: Axes, candidates: Sequence[Candidate], names: list[str], limit: float | None
) -> None:
    """One row per module, one mark per conversion."""
    every = []
    for index, candidate in enumerate(candidates):
        shift = 0.16 * (index - (len(candidates) - 1) / 2)
        measured = candidate.sensitivity.modules if candidate.sensitivity else ()
        modules = [module for module in measured if module.name in names]
        values = [module.relative for module in modules]
        rows = [names.index(module.name) + shift for module in modules]
        color, marker = COLORS[1 + index], "os^"[index % 3]
        axes.scatter(_percent(values), rows, color=color, marker=marker, label=candidate.name)
        every += values
        for module, row in zip(modules, rows, strict=True):
            if module.error is not None:
                place = axes.get_yaxis_transform()
                text = _("{name}: cannot run", name=candidate.name)
                axes.text(0.01, row, text, va="center", fontsize=7.5, color=color, transform=place)
    title, label = _("one module converted at a time"), _("relative error of the output (%)")
    axes.set(title=title, xlabel=label)
    _in_rows(axes, [name or _("(the model)") for name in names])
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(candidates))
    _percent_axis(axes, every, limit)


def _percent(errors: Sequence[float]) -> Any:
    """Errors in percent as a logarithmic axis can show them: no zeros, nothing infinite."""
    return np.clip(100 * np.asarray(errors), _SMALLEST, _LARGEST)


def _percent_axis(axes: Axes, errors: Sequence[float], limit: float | None) -> None:
    percent = _percent([*errors, *([limit] if limit else [])])
    shown = percent[(percent > _SMALLEST) & (percent < _LARGEST)] if len(percent) else percent
    ends = shown if len(shown) else np.ones(1)
    axes.set_xscale("log")
    axes.set_xlim(ends.min() / 4, ends.max() * 4)
    axes.locator_params(axis="x", numticks=7)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    _line(axes, limit and 100 * limit)


def _line(axes: Axes, limit: float | None) -> None:
    if limit:
        axes.axvline(limit, color=NEUTRAL_COLOR, linestyle="--", linewidth=1.2)


def _description(rows: Sequence[_Row], sensitive: Sequence[Candidate]) -> str:
    said = [
        _(
            "{name}: {ratio:.2f} times smaller, FP32 / INT8 time {speedup:.2f}, largest relative "
            "error {relative:.2%}.",
            name=row.label.replace("\n", " "),
            ratio=row.found.size.ratio,
            speedup=row.found.latencies[0].speedup.median,
            relative=row.found.relative,
        )
        for row in rows
    ]
    text = _(
        "Three panels compare size, speed and output difference of each conversion with the "
        "limits, drawn as dashed lines. {rows}",
        rows=" ".join(said) or ".",
    )
    if not sensitive:
        return text
    first = ((one.name, one.sensitivity.worst) for one in sensitive if one.sensitivity)
    worst = (f"{way}: {module.name or _('the model')}" for way, module in first if module)
    below = _(
        "Below, the error of each module alone; most sensitive in {modules}.",
        modules="; ".join(worst),
    )
    return f"{text} {below}"
