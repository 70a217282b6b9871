"""The figures of the notebook on trained models, built on the helpers of `plots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..common.plots import (
    COLORS,
    FP32_COLOR,
    INT8_COLOR,
    NEUTRAL_COLOR,
    PLAIN_COLOR,
    RecipeFigure,
    drawn,
    new_figure,
)
from ..recipe.accuracy import StepErrors
from .classification import DigitStudy, Disagreements
from .fragility import APART, FP32, PER_CHANNEL, PER_TENSOR, PLAIN, RESCALED, Cliff
from .rounded_parts import error_by_position

_LOOKS: dict[str, dict[str, Any]] = {
    FP32: {"color": FP32_COLOR, "marker": "o", "markersize": 8, "alpha": 0.6},
    PER_TENSOR: {"color": INT8_COLOR, "marker": "s", "markersize": 7},
    PER_CHANNEL: {"color": COLORS[3], "marker": "D"},
    PLAIN: {"color": PLAIN_COLOR, "marker": "^"},
    RESCALED: {"color": "black", "marker": "x", "linestyle": "--", "linewidth": 1},
    APART: {"color": "black", "marker": "x", "linestyle": "--", "linewidth": 1},
}


@drawn
def pareto(study: DigitStudy) -> RecipeFigure:
    """Test accuracy against file size, FP32 and INT8, one point per width."""
    figure, axes = new_figure("accuracy against file size, FP32 and INT8", height=4.0)
    said = []
    for kind, color, marker in (
        ("fp32", FP32_COLOR, "o"),
        ("int8", INT8_COLOR, "s"),
    ):
        sizes, means, spreads = [], [], []
        for width in study.hidden_sizes:
            runs = study.of(width)
            found = [getattr(run, f"{kind}_accuracy") for run in runs]
            sizes.append(getattr(runs[0], f"{kind}_bytes") / 1e3)
            means.append(float(np.mean(found)))
            spreads.append(float(np.std(found, ddof=1)))
            smallest = min(runs[0].fp32_bytes, runs[0].int8_bytes) == sizes[-1] * 1e3
            beside = (-10, 5) if smallest else (10, -11)
            place = {"textcoords": "offset points", "xytext": beside, "ha": "center"}
            axes.annotate(str(width), (sizes[-1], means[-1]), color=color, **place)
        axes.errorbar(
            sizes, means, yerr=spreads, fmt=f"{marker}-", color=color, capsize=3, label=kind.upper()
        )
        said.append(f"{kind.upper()} from {sizes[0]:.1f} to {sizes[-1]:.1f} kB")
    axes.set(xscale="log", xlabel="state dict (kB)", ylabel="test accuracy")
    axes.set_title("numbers are widths; bars are one standard deviation over the seeds")
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    kilobytes = [size / 1e3 for run in study.runs for size in (run.fp32_bytes, run.int8_bytes)]
    axes.set_xlim(min(3, min(kilobytes) / 1.3), max(120, max(kilobytes) * 1.3))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="lower right", title="up and to the left is better")
    figure.alt = (
        f"Two curves of test accuracy against file size, {' and '.join(said)}, for widths "
        f"{', '.join(map(str, study.hidden_sizes))}. "
        + " ".join(
            f"Width {width}: INT8 less FP32 is {study.difference(width).percent()} points."
            for width in study.hidden_sizes
        )
    )
    return figure


@drawn
def differences(study: DigitStudy) -> RecipeFigure:
    """INT8 less FP32 accuracy of every run, with the interval of each width."""
    figure, axes = new_figure("INT8 less FP32 accuracy of every training", height=2.8)
    names = [str(width) for width in study.hidden_sizes]
    for place, width in enumerate(study.hidden_sizes):
        points = [100 * run.difference for run in study.of(width)]
        spread = np.linspace(-0.12, 0.12, len(points))
        axes.plot(place + spread, points, ".", color=INT8_COLOR, label="one training")
        interval = study.difference(width)
        reach = np.array([[interval.mean - interval.low], [interval.high - interval.mean]]) * 100
        axes.errorbar(
            place + 0.28, 100 * interval.mean, yerr=reach, fmt="o", capsize=3,
            color=NEUTRAL_COLOR, label="mean and 95 % interval",
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="width of the LSTM (units)", ylabel="INT8 - FP32 (points)")
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))  # each label once
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=2)
    figure.alt = (
        f"Differences of {len(study.runs)} trainings around zero; over all widths "
        f"{study.difference().percent()} points."
    )
    return figure


@drawn
def disagreements(found: Disagreements, most: int = 8) -> RecipeFigure:
    """The images on which two models differ, with both answers."""
    shown = min(len(found), most)
    figure, panels = new_figure(
        "images that FP32 and INT8 name differently", columns=max(shown, 1), height=1.95,
        width=1.2 + 1.1 * max(shown, 2),
    )  # fmt: skip
    said = []
    for place, axes in enumerate(np.atleast_1d(panels)):
        axes.set_axis_off()
        if not shown:
            axes.text(0.5, 0.5, "no answer differs", ha="center", va="center")
            break
        label, before, after = found.labels[place], found.reference[place], found.candidate[place]
        axes.imshow(found.images[place].numpy(), cmap="gray_r", vmin=0, vmax=1)
        title = f"a {label}\nFP32: {before}, INT8: {after}\nmargin {found.margins[place]:.0%}"
        axes.set_title(title, loc="center", fontsize=8)
        said.append(f"a {label} that FP32 reads as {before} and INT8 as {after}")
    figure.alt = (
        f"{len(found)} of {found.sequences} test images differ: {'; '.join(said) or 'none'}."
    )
    return figure


@drawn
def cliff(found: Cliff) -> RecipeFigure:
    """Accuracy of every version against the factor, and chance."""
    figure, axes = new_figure(f"accuracy against the {found.cause}", height=3.2)
    for name, values in found.accuracies.items():
        axes.plot(found.factors, values, label=name, **_LOOKS[name])
    axes.axhline(0.1, color=NEUTRAL_COLOR, linewidth=1, linestyle=":", label="guessing")
    axes.set_xscale("log", base=2)
    axes.set_xticks(found.factors, [f"{factor:g}" for factor in found.factors])
    axes.minorticks_off()
    axes.set(xlabel=found.cause, ylabel="test accuracy", ylim=(0, 1.05))
    axes.yaxis.set_major_formatter("{x:.0%}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    figure.alt = f"Accuracy against the {found.cause}, 1 to {found.factors[-1]:g}. " + " ".join(
        f"{name}: from {values[0]:.1%} to {values[-1]:.1%}."
        for name, values in found.accuracies.items()
    )
    return figure


@drawn
def error_along(errors: Mapping[str, StepErrors]) -> RecipeFigure:
    """Relative error against the position in the sequence, on logarithmic axes."""
    figure, axes = new_figure("relative error against position in the sequence", height=3.6)
    for (name, found), color, marker in zip(errors.items(), COLORS, "os^Dxv", strict=False):
        positions, relatives = zip(*error_by_position(found), strict=True)
        percent = np.array(relatives) * 100
        axes.plot(positions, percent, color=color, marker=marker, label=name)
    axes.set(xscale="log", yscale="log", xlabel="position (steps)", ylabel="relative error (%)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.alt = "Relative error against position. " + " ".join(
        f"{name}: {found.first_half:.2%} over the first half, {found.second_half:.2%} over the "
        "second."
        for name, found in errors.items()
    )
    return figure
