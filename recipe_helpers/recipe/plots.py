"""The figures of the recipe: each takes a result and returns a figure that shows itself."""

from __future__ import annotations

import numpy as np
import torch

from ..common.plots import (
    FP32_COLOR,
    INT8_COLOR,
    NEUTRAL_COLOR,
    PLAIN_COLOR,
    RecipeFigure,
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
        "batches quantized with a fixed scale and with a scale found at run time",
        columns=len(choices.batches),
    )
    for axes, batch in zip(np.atleast_1d(panels), choices.batches, strict=True):
        axes.plot(batch.fixed.numbers, color=FP32_COLOR, label="FP32")
        axes.plot(batch.fixed.restored, ".", color=INT8_COLOR, label="INT8, fixed scale")
        axes.plot(batch.dynamic.restored, "x", color=PLAIN_COLOR, label="INT8, scale at run time")
        axes.set(title=f"{batch.name} batch", xlabel="position", ylabel="value")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.alt = "Two scales for each batch. " + " ".join(
        f"The {b.name} batch: mean error {b.fixed.relative:.0%} with the fixed scale, "
        f"{b.dynamic.relative:.1%} with its own."
        for b in choices.batches
    )
    return figure


@drawn
def weight_grid(weight: torch.Tensor, stored: StoredWeight) -> RecipeFigure:
    """A weight matrix before quantization, its integers, and the rounding error."""
    figure, (before, after, error) = new_figure(
        "a weight matrix in FP32, its int8 integers, and the rounding error", columns=3, height=3.8
    )
    values = weight.detach()
    largest = float(values.abs().max())
    image = before.imshow(values.numpy(), cmap="PuOr", vmin=-largest, vmax=largest, aspect="auto")
    figure.colorbar(image, ax=before)
    image = after.imshow(stored.integers.numpy(), cmap="PuOr", vmin=-128, vmax=128, aspect="auto")
    figure.colorbar(image, ax=after)
    for axes, title in ((before, "FP32 weights"), (after, "stored integers")):
        axes.set(title=title, xlabel="input", ylabel="gate row")
        axes.grid(False)
    steps = ((stored.dequantized() - values) / stored.scales[:, None]).flatten()
    error.hist(steps.numpy(), bins=np.linspace(-0.525, 0.525, 22), color=INT8_COLOR)
    error.set(title="rounding error", xlabel="error (steps)", ylabel="weights")
    for half in (-0.5, 0.5):
        error.axvline(half, color=NEUTRAL_COLOR, linestyle="--")
    figure.alt = (
        f"{stored.name}, {values.shape[0]} by {values.shape[1]}: FP32 values up to {largest:.3f} "
        f"in magnitude, the integers from {int(stored.integers.min())} to "
        f"{int(stored.integers.max())} that stand for them, and a histogram of the rounding error; "
        f"the largest is {float(steps.abs().max()):.2f} steps."
    )
    return figure


@drawn
def size_sweep(sweep: SizeSweep) -> RecipeFigure:
    """Bytes against parameters, and the ratio against width."""
    figure, (lines, ratio) = new_figure("state-dict size against parameters and width", columns=2)
    parameters = np.array([point.parameters for point in sweep.points])
    compared = [point.comparison for point in sweep.points]
    draw_pair(
        lines,
        parameters / 1e6,
        [comparison.reference_bytes / 1e6 for comparison in compared],
        [comparison.candidate_bytes / 1e6 for comparison in compared],
    )
    lines.set(title="two straight lines", xlabel="parameters (millions)", ylabel="state dict (MB)")
    lines.legend()
    ratio.plot(sweep.dimensions, sweep.ratios, "o-", color=NEUTRAL_COLOR)
    ratio.axhline(4, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    ratio.set(title="the ratio bends towards 4", ylabel="FP32 bytes / INT8 bytes", ylim=(0, 4.4))
    width_axis(ratio, sweep.dimensions)
    figure.alt = (
        "Left: both sizes grow in straight lines with the number of parameters. Right: their "
        f"ratio rises from {sweep.ratios[0]:.2f} at width {sweep.dimensions[0]} to "
        f"{sweep.ratios[-1]:.2f} at {sweep.dimensions[-1]}, below 4."
    )
    return figure


@drawn
def memory_sweep(sweep: MemorySweep) -> RecipeFigure:
    """Memory against parameters: what is held once loaded, and the most during a call."""
    kinds = [("held once loaded", "loaded_bytes"), ("most during a call", "peak_bytes")]
    compared = [point.comparison for point in sweep.points]
    if any(comparison.peak is None for comparison in compared):
        del kinds[1]
    figure, panels = new_figure("memory against parameters", columns=len(kinds))
    millions = [point.parameters / 1e6 for point in sweep.points]
    ends = []
    for axes, (title, field) in zip(np.atleast_1d(panels), kinds, strict=True):
        sides = [
            [getattr(use, field) / 1e6 for use in uses]
            for uses in zip(*((c.reference, c.candidate) for c in compared), strict=True)
        ]
        draw_pair(axes, millions, *sides)
        axes.set(title=title, xlabel="parameters (millions)", ylabel="resident memory (MB)")
        axes.legend(loc="upper left")
        ends.append(f"{title} {sides[0][-1]:.1f} MB in FP32 and {sides[1][-1]:.1f} MB in INT8")
    # One scale for both panels: what a call adds is the difference between them.
    top = max(axes.get_ylim()[1] for axes in np.atleast_1d(panels))
    for axes in np.atleast_1d(panels):
        axes.set_ylim(bottom=0, top=top)
    figure.alt = (
        f"Memory of both models against parameters. At width {sweep.dimensions[-1]}: "
        f"{', '.join(ends)}."
    )
    return figure


@drawn
def latency(comparison: LatencyComparison) -> RecipeFigure:
    """The distributions of both models' times, and the ratio of each round."""
    figure, (times, ratios) = new_figure("times of one call and ratio per round", columns=2)
    first = np.array(comparison.reference.times_us)
    second = np.array(comparison.candidate.times_us)
    # What the scheduler did to a few rounds must not squeeze the rest into one bar.
    shown = np.concatenate([first, second])
    bins = np.linspace(shown.min(), np.percentile(shown, 98), 41)
    for label, values, color in (("FP32", first, FP32_COLOR), ("INT8", second, INT8_COLOR)):
        times.hist(values, bins=bins, color=color, alpha=0.75, label=label)
        times.axvline(np.median(values), color=color, linestyle="--")
    times.set(title="time of one call", xlabel="time (µs)", ylabel="rounds")
    times.legend()
    ratios.plot(first / second, ".", color=NEUTRAL_COLOR, label="one round")
    ratios.axhline(comparison.speedup.median, color=INT8_COLOR, label="median")
    low, high = comparison.speedup.low, comparison.speedup.high
    ratios.axhspan(low, high, color=INT8_COLOR, alpha=0.25, label="95 % interval")
    ratios.axhline(1, color="black", linewidth=1, linestyle="--", label="equal")
    ratios.set(title="above 1 INT8 is faster", xlabel="round", ylabel="FP32 time / INT8 time")
    ratios.margins(y=0.3)
    ratios.legend()
    figure.alt = (
        f"Left: two histograms; FP32 takes {comparison.reference}, INT8 {comparison.candidate}. "
        f"Right: the ratio of each round around {comparison.speedup}."
    )
    return figure


@drawn
def latency_sweep(sweep: LatencySweep) -> RecipeFigure:
    """Times against width, and their ratio with its interval and the crossover."""
    figure, (times, ratio) = new_figure("latency against width, with the crossover", columns=2)
    compared = [point.comparison for point in sweep.points]
    draw_pair(
        times,
        sweep.dimensions,
        [comparison.reference.median_us / 1e3 for comparison in compared],
        [comparison.candidate.median_us / 1e3 for comparison in compared],
    )
    times.set(title="time of one call", yscale="log", ylabel="median time (ms)")
    times.yaxis.set_major_formatter("{x:g}")
    times.legend()
    speedups = [comparison.speedup for comparison in compared]
    style = {"fmt": "o-", "color": NEUTRAL_COLOR, "label": "median, 95 % interval"}
    draw_ratios(ratio, sweep.dimensions, speedups, **style)
    ratio.axhline(1, color="black", linewidth=1, linestyle="--", label="equal")
    ratio.set(title="above 1 INT8 is faster", ylabel="FP32 time / INT8 time")
    plain_ticks(ratio, _RATIO_TICKS)
    for axes in (times, ratio):
        width_axis(axes, sweep.dimensions)
        if sweep.crossover is not None:
            axes.axvline(sweep.crossover, color=INT8_COLOR, linestyle=":", label="crossover")
    ratio.legend()
    figure.alt = f"Times of both models and their ratio against width. {sweep.sentence}"
    return figure


@drawn
def accuracy(pair: PairedOutputs, steps: StepErrors) -> RecipeFigure:
    """INT8 against FP32 element by element, and the error along the time steps."""
    figure, (scatter, along) = new_figure("INT8 against FP32, and error per time step", columns=2)
    draw_outputs(scatter, pair.reference.flatten().tolist(), pair.candidate.flatten().tolist())
    scatter.set_title("every output element")
    scatter.legend()
    percent = np.array(steps.relatives) * 100
    along.plot(np.arange(1, len(percent) + 1), percent, "o-", color=INT8_COLOR)
    along.set(title="error along the sequence", xlabel="time step", ylabel="relative error (%)")
    along.set_ylim(bottom=0)
    figure.alt = (
        f"Left: {pair.reference.numel()} INT8 outputs against FP32, close to the diagonal. Right: "
        f"the relative error is {steps.first_half:.2%} over the first half of the steps and "
        f"{steps.second_half:.2%} over the second."
    )
    return figure


@drawn
def seed_errors(study: SeedErrors, relative: float, label: str) -> RecipeFigure:
    """The relative error over many seeds, with one value marked."""
    figure, axes = new_figure("relative error over many seeds", height=2.8)
    axes.hist(np.array(study.relatives) * 100, bins=30, color=INT8_COLOR, alpha=0.8)
    axes.axvline(relative * 100, color="black", linestyle="--", label=label)
    axes.set(xlabel="relative error of the outputs (%)", ylabel="seeds")
    axes.legend()
    figure.alt = (
        f"Histogram of the relative error over {len(study.seeds)} seeds, from "
        f"{min(study.relatives):.2%} to {max(study.relatives):.2%}; {label} at {relative:.2%} is "
        f"above {study.share_below(relative):.0%} of them."
    )
    return figure
