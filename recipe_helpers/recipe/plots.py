"""The figures of the recipe: each takes a result and returns a figure that shows itself."""

from __future__ import annotations

import numpy as np
import torch

from ..common.language import N_, _
from ..common.plots import (
    FP32_COLOR,
    INT8_COLOR,
    NEUTRAL_COLOR,
    PLAIN_COLOR,
    RecipeFigure,
    draw_equal,
    draw_outputs,
    draw_pair,
    draw_ratios,
    drawn,
    new_figure,
    plain_ticks,
    width_axis,
)
from .accuracy import PairedOutputs, SeedErrors, StepErrors
from .inspection import StoredWeight
from .latency import LatencyComparison, LatencySweep
from .memory import MemorySweep
from .rounding import ScaleChoices
from .size import SizeSweep

_RATIO_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


@drawn
def scale_choices(choices: ScaleChoices) -> RecipeFigure:
    """Each batch, and what is left of it with a fixed scale and with a scale of its own."""
    figure, panels = new_figure(
        _("batches quantized with a fixed scale and with a scale found at run time"),
        columns=len(choices.batches),
    )
    for axes, batch in zip(np.atleast_1d(panels), choices.batches, strict=True):
        axes.plot(batch.fixed.numbers, color=FP32_COLOR, label="FP32")
        axes.plot(batch.fixed.restored, ".", color=INT8_COLOR, label=_("INT8, fixed scale"))
        label = _("INT8, scale at run time")
        axes.plot(batch.dynamic.restored, "x", color=PLAIN_COLOR, label=label)
        title = _("{batch} batch", batch=_(batch.name))
        axes.set(title=title, xlabel=_("position"), ylabel=_("value"))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    sentences = [
        _(
            "The {batch} batch: mean error {fixed:.0%} with the fixed scale, {own:.1%} with its "
            "own.",
            batch=_(b.name),
            fixed=b.fixed.relative,
            own=b.dynamic.relative,
        )
        for b in choices.batches
    ]
    figure.alt = " ".join([_("Two scales for each batch."), *sentences])
    return figure


@drawn
def weight_grid(weight: torch.Tensor, stored: StoredWeight) -> RecipeFigure:
    """A weight matrix before quantization, its integers, and the rounding error."""
    figure, (before, after, error) = new_figure(
        _("a weight matrix in FP32, its int8 integers, and the rounding error"),
        columns=3,
        height=3.8,
    )
    values = weight.detach()
    largest = float(values.abs().max())
    image = before.imshow(values.numpy(), cmap="PuOr", vmin=-largest, vmax=largest, aspect="auto")
    figure.colorbar(image, ax=before)
    image = after.imshow(stored.integers.numpy(), cmap="PuOr", vmin=-128, vmax=128, aspect="auto")
    figure.colorbar(image, ax=after)
    for axes, title in ((before, _("FP32 weights")), (after, _("stored integers"))):
        axes.set(title=title, xlabel=_("input"), ylabel=_("gate row"))
        axes.grid(False)
    steps = ((stored.dequantized() - values) / stored.scales[:, None]).flatten()
    error.hist(steps.numpy(), bins=np.linspace(-0.5, 0.5, 21), color=INT8_COLOR)
    error.set(title=_("rounding error"), xlabel=_("error (steps)"), ylabel=_("weights"))
    for half in (-0.5, 0.5):
        error.axvline(half, color=NEUTRAL_COLOR, linestyle="--")
    figure.alt = _(
        "{name}, {rows} by {columns}: FP32 values up to {largest:.3f} in magnitude, the integers "
        "from {low} to {high} that stand for them, and a histogram of the rounding error; the "
        "largest is {error:.2f} steps.",
        name=stored.name,
        rows=values.shape[0],
        columns=values.shape[1],
        largest=largest,
        low=int(stored.integers.min()),
        high=int(stored.integers.max()),
        error=float(steps.abs().max()),
    )
    return figure


@drawn
def size_sweep(sweep: SizeSweep) -> RecipeFigure:
    """Bytes against parameters, and the ratio against width."""
    title = _("state-dict size against parameters and width")
    figure, (lines, ratio) = new_figure(title, columns=2)
    parameters = np.array([point.parameters for point in sweep.points])
    compared = [point.comparison for point in sweep.points]
    draw_pair(
        lines,
        parameters / 1e6,
        [comparison.reference_bytes / 1e6 for comparison in compared],
        [comparison.candidate_bytes / 1e6 for comparison in compared],
        title=_("two straight lines"),
        xlabel=_("parameters (millions)"),
        ylabel=_("state dict (MB)"),
    )
    ratio.plot(sweep.widths, sweep.ratios, "o-", color=NEUTRAL_COLOR)
    ratio.axhline(4, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    label = _("FP32 bytes / INT8 bytes")
    ratio.set(title=_("the ratio bends towards 4"), ylabel=label, ylim=(0, 4.4))
    width_axis(ratio, sweep.widths)
    figure.alt = _(
        "Left: both sizes grow in straight lines with the number of parameters. Right: their "
        "ratio rises from {least:.2f} at width {narrow} to {most:.2f} at {wide}, below 4.",
        least=sweep.ratios[0],
        narrow=sweep.widths[0],
        most=sweep.ratios[-1],
        wide=sweep.widths[-1],
    )
    return figure


@drawn
def memory_sweep(sweep: MemorySweep) -> RecipeFigure:
    """Memory against parameters: what is held once loaded, and the most during a call."""
    kinds = [(_("held once loaded"), "loaded_bytes"), (_("most during a call"), "peak_bytes")]
    compared = [point.comparison for point in sweep.points]
    if any(comparison.peak is None for comparison in compared):
        del kinds[1]
    figure, panels = new_figure(_("memory against parameters"), columns=len(kinds))
    millions = [point.parameters / 1e6 for point in sweep.points]
    ends = []
    for axes, (title, field) in zip(np.atleast_1d(panels), kinds, strict=True):
        sides = [
            [getattr(use, field) / 1e6 for use in uses]
            for uses in zip(*((c.reference, c.candidate) for c in compared), strict=True)
        ]
        labels = {"xlabel": _("parameters (millions)"), "ylabel": _("resident memory (MB)")}
        draw_pair(axes, millions, *sides, title=title, **labels)
        ends.append(
            _(
                "{what} {fp32:.1f} MB in FP32 and {int8:.1f} MB in INT8",
                what=title,
                fp32=sides[0][-1],
                int8=sides[1][-1],
            )
        )
    # One scale for both panels: what a call adds is the difference between them.
    top = max(axes.get_ylim()[1] for axes in np.atleast_1d(panels))
    for axes in np.atleast_1d(panels):
        axes.set_ylim(bottom=0, top=top)
    figure.alt = _(
        "Memory of both models against parameters. At width {width}: {memory}.",
        width=sweep.widths[-1],
        memory=", ".join(ends),
    )
    return figure


@drawn
def latency(comparison: LatencyComparison) -> RecipeFigure:
    """The distributions of both models' times, and the ratio of each round."""
    figure, (times, ratios) = new_figure(_("times of one call and ratio per round"), columns=2)
    first = np.array(comparison.reference.times_us)
    second = np.array(comparison.candidate.times_us)
    # What the scheduler did to a few rounds must not squeeze the rest into one bar.
    shown = np.concatenate([first, second])
    bins = np.linspace(shown.min(), np.percentile(shown, 98), 41)
    for label, values, color in (("FP32", first, FP32_COLOR), ("INT8", second, INT8_COLOR)):
        times.hist(values, bins=bins, color=color, alpha=0.75, label=label)
        times.axvline(np.median(values), color=color, linestyle="--")
    times.set(title=_("time of one call"), xlabel=_("time (µs)"), ylabel=_("rounds"))
    times.legend()
    ratios.plot(first / second, ".", color=NEUTRAL_COLOR, label=_("one round"))
    ratios.axhline(comparison.speedup.median, color=INT8_COLOR, label=_("median"))
    low, high = comparison.speedup.low, comparison.speedup.high
    ratios.axhspan(low, high, color=INT8_COLOR, alpha=0.25, label=_("95 % interval"))
    draw_equal(ratios)
    labels = {"xlabel": _("round"), "ylabel": _("FP32 time / INT8 time")}
    ratios.set(title=_("above 1 INT8 is faster"), **labels)
    ratios.margins(y=0.3)
    ratios.legend()
    figure.alt = _(
        "Left: two histograms; FP32 takes {fp32}, INT8 {int8}. Right: the ratio of each round "
        "around {ratio}.",
        fp32=comparison.reference,
        int8=comparison.candidate,
        ratio=comparison.speedup,
    )
    return figure


@drawn
def latency_sweep(sweep: LatencySweep) -> RecipeFigure:
    """Times against width, and their ratio with its interval and the crossover."""
    title = _("latency against width, with the crossover")
    figure, (times, ratio) = new_figure(title, columns=2)
    compared = [point.comparison for point in sweep.points]
    draw_pair(
        times,
        sweep.widths,
        [comparison.reference.median_us / 1e3 for comparison in compared],
        [comparison.candidate.median_us / 1e3 for comparison in compared],
        title=_("time of one call"),
        yscale="log",
        ylabel=_("median time (ms)"),
    )
    times.yaxis.set_major_formatter("{x:g}")
    speedups = [comparison.speedup for comparison in compared]
    style = {"fmt": "o-", "color": NEUTRAL_COLOR, "label": _("median, 95 % interval")}
    draw_ratios(ratio, sweep.widths, speedups, **style)
    draw_equal(ratio)
    ratio.set(title=_("above 1 INT8 is faster"), ylabel=_("FP32 time / INT8 time"))
    plain_ticks(ratio, _RATIO_TICKS)
    for axes in (times, ratio):
        width_axis(axes, sweep.widths)
        if sweep.crossover is not None:
            axes.axvline(sweep.crossover, color=INT8_COLOR, linestyle=":", label=_("crossover"))
    ratio.legend()
    said = _("Times of both models and their ratio against width.")
    figure.alt = f"{said} {sweep.sentence}"
    return figure


@drawn
def accuracy(pair: PairedOutputs, steps: StepErrors) -> RecipeFigure:
    """INT8 against FP32 element by element, and the error along the time steps."""
    title = _("INT8 against FP32, and error per time step")
    figure, (scatter, along) = new_figure(title, columns=2)
    draw_outputs(scatter, pair.reference.flatten().tolist(), pair.candidate.flatten().tolist())
    scatter.set_title(_("every output element"))
    scatter.legend()
    percent = np.array(steps.relatives) * 100
    along.plot(np.arange(1, len(percent) + 1), percent, "o-", color=INT8_COLOR)
    labels = {"xlabel": _("time step"), "ylabel": _("relative error (%)")}
    along.set(title=_("error along the sequence"), **labels)
    along.set_ylim(bottom=0)
    figure.alt = _(
        "Left: {count} INT8 outputs against FP32, close to the diagonal. Right: the relative error "
        "is {first:.2%} over the first half of the steps and {second:.2%} over the second.",
        count=pair.reference.numel(),
        first=steps.first_half,
        second=steps.second_half,
    )
    return figure


@drawn
def seed_errors(
    study: SeedErrors, relative: float, label: str = N_("the recipe's seed")
) -> RecipeFigure:
    """The relative error over many seeds, with one value marked."""
    figure, axes = new_figure(_("relative error over many seeds"), height=2.8)
    axes.hist(np.array(study.relatives) * 100, bins=30, color=INT8_COLOR, alpha=0.8)
    axes.axvline(relative * 100, color="black", linestyle="--", label=_(label))
    axes.set(xlabel=_("relative error of the outputs (%)"), ylabel=_("seeds"))
    axes.legend()
    figure.alt = _(
        "Histogram of the relative error over {count} seeds, from {least:.2%} to {most:.2%}; "
        "{label} at {relative:.2%} is above {share:.0%} of them.",
        count=len(study.seeds),
        least=min(study.relatives),
        most=max(study.relatives),
        label=_(label),
        relative=relative,
        share=study.share_below(relative),
    )
    return figure
