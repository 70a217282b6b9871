"""The figures of the notebook on trained models, built on the helpers of `plots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..common.language import _
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
from .rounded_parts import error_by_position, shown

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
    figure, axes = new_figure(_("accuracy against file size, FP32 and INT8"), height=4.0)
    said = []
    for kind, color, marker in (("fp32", FP32_COLOR, "o"), ("int8", INT8_COLOR, "s")):
        runs = [study.of(width) for width in study.widths]
        sizes = [getattr(same[0], f"{kind}_bytes") / 1e3 for same in runs]
        found = [[getattr(run, f"{kind}_accuracy") for run in same] for same in runs]
        means, spreads = np.mean(found, axis=1), np.std(found, axis=1, ddof=1)
        axes.errorbar(
            sizes, means, yerr=spreads, fmt=f"{marker}-", color=color, capsize=3, label=kind.upper()
        )
        for same, size, mean in zip(runs, sizes, means, strict=True):
            smallest = size * 1e3 == min(same[0].fp32_bytes, same[0].int8_bytes)
            beside = (-10, 5) if smallest else (10, -11)
            place = {"textcoords": "offset points", "xytext": beside, "ha": "center"}
            axes.annotate(str(same[0].width), (size, mean), color=color, **place)
        ends = {"first": sizes[0], "last": sizes[-1]}
        said.append(_("{kind} from {first:.1f} to {last:.1f} kB", kind=kind.upper(), **ends))
    axes.set(xscale="log", xlabel=_("state dict (kB)"), ylabel=_("test accuracy"))
    axes.set_title(_("numbers are widths; bars are one standard deviation over the seeds"))
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    kilobytes = [size / 1e3 for run in study.runs for size in (run.fp32_bytes, run.int8_bytes)]
    axes.set_xlim(min(3, min(kilobytes) / 1.3), max(120, max(kilobytes) * 1.3))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="lower right", title=_("up and to the left is better"))
    figure.alt = _(
        "Two curves of test accuracy against file size, {curves}, for widths {widths}.",
        curves=_("{names} and {last}", names=said[0], last=said[1]),
        widths=", ".join(map(str, study.widths)),
    )
    for width in study.widths:
        points = study.difference(width).percent()
        said_of = _("Width {width}: INT8 less FP32 is {points} points.", width=width, points=points)
        figure.alt += f" {said_of}"
    return figure


@drawn
def differences(study: DigitStudy) -> RecipeFigure:
    """INT8 less FP32 accuracy of every run, with the interval of each width."""
    figure, axes = new_figure(_("INT8 less FP32 accuracy of every training"), height=2.8)
    for place, width in enumerate(study.widths):
        points = [100 * run.difference for run in study.of(width)]
        spread = np.linspace(-0.12, 0.12, len(points))
        interval = study.difference(width)
        reach = np.array([[interval.mean - interval.low], [interval.high - interval.mean]]) * 100
        # Each label once: Matplotlib leaves out what begins with an underscore.
        once = "_" if place else ""
        axes.plot(place + spread, points, ".", color=INT8_COLOR, label=once + _("one training"))
        axes.errorbar(
            place + 0.28, 100 * interval.mean, yerr=reach, fmt="o", capsize=3,
            color=NEUTRAL_COLOR, label=once + _("mean and 95 % interval"),
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.set_xticks(range(len(study.widths)), map(str, study.widths))
    axes.set(xlabel=_("width of the LSTM (units)"), ylabel=_("INT8 - FP32 (points)"))
    figure.legend(loc="outside lower center", ncols=2)
    figure.alt = _(
        "Differences of {count} trainings around zero; over all widths {points} points.",
        count=len(study.runs),
        points=study.difference().percent(),
    )
    return figure


@drawn
def disagreements(found: Disagreements, most: int = 8) -> RecipeFigure:
    """The images on which two models differ, with both answers."""
    count = min(len(found), most)
    figure, panels = new_figure(
        _("images that FP32 and INT8 name differently"), columns=max(count, 1), height=1.95,
        width=1.2 + 1.1 * max(count, 2),
    )  # fmt: skip
    said = []
    for place, axes in enumerate(np.atleast_1d(panels)):
        axes.set_axis_off()
        if not count:
            axes.text(0.5, 0.5, _("no answer differs"), ha="center", va="center")
            break
        label, before, after = found.labels[place], found.reference[place], found.candidate[place]
        axes.imshow(found.images[place].numpy(), cmap="gray_r", vmin=0, vmax=1)
        answers = {"label": label, "before": before, "after": after}
        margin = found.margins[place]
        title = _(
            "a {label}\nFP32: {before}, INT8: {after}\nmargin {margin:.0%}",
            margin=margin,
            **answers,
        )
        axes.set_title(title, loc="center", fontsize=8)
        said.append(_("a {label} that FP32 reads as {before} and INT8 as {after}", **answers))
    figure.alt = _(
        "{count} of {all} test images differ: {images}.",
        count=len(found),
        all=found.sequences,
        images="; ".join(said) or _("none"),
    )
    return figure


@drawn
def cliff(found: Cliff) -> RecipeFigure:
    """Accuracy of every version against the factor, and chance."""
    cause, last = _(found.cause), found.factors[-1]
    figure, axes = new_figure(_("accuracy against the {cause}", cause=cause), height=3.2)
    figure.alt = _("Accuracy against the {cause}, 1 to {last:g}.", cause=cause, last=last)
    for name, values in found.accuracies.items():
        axes.plot(found.factors, values, label=_(name), **_LOOKS[name])
        ends = {"first": values[0], "last": values[-1]}
        said = _("{name}: from {first:.1%} to {last:.1%}.", name=_(name), **ends)
        figure.alt += f" {said}"
    axes.axhline(0.1, color=NEUTRAL_COLOR, linewidth=1, linestyle=":", label=_("guessing"))
    axes.set_xscale("log", base=2)
    axes.set_xticks(found.factors, [f"{factor:g}" for factor in found.factors])
    axes.minorticks_off()
    axes.set(xlabel=cause, ylabel=_("test accuracy"), ylim=(0, 1.05))
    axes.yaxis.set_major_formatter("{x:.0%}")
    figure.legend(loc="outside right center")
    return figure


@drawn
def error_along(errors: Mapping[str, StepErrors]) -> RecipeFigure:
    """Relative error against the position in the sequence, on logarithmic axes."""
    figure, axes = new_figure(_("relative error against position in the sequence"), height=3.6)
    figure.alt = _("Relative error against position.")
    for (name, found), color, marker in zip(errors.items(), COLORS, "os^Dxv", strict=False):
        positions, relatives = zip(*error_by_position(found), strict=True)
        percent = np.array(relatives) * 100
        axes.plot(positions, percent, color=color, marker=marker, label=shown(name))
        said = _(
            "{name}: {first:.2%} over the first half, {second:.2%} over the second.",
            name=shown(name),
            first=found.first_half,
            second=found.second_half,
        )
        figure.alt += f" {said}"
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel=_("position (steps)"), ylabel=_("relative error (%)"))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
