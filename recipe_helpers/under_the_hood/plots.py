"""The figures of the notebook Under the hood; each takes a result and returns a RecipeFigure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

import numpy as np
import torch

from ..common.language import _
from ..common.plots import (
    COLORS,
    FP32_COLOR,
    INT8_COLOR,
    NEUTRAL_COLOR,
    PLAIN_COLOR,
    Axes,
    ListedColormap,
    RecipeFigure,
    draw_ratios,
    drawn,
    new_figure,
    plain_ticks,
    width_axis,
)
from .by_hand import INT16_MAX, INT16_MIN, pair_sums
from .causes_of_speed import CAUSES as GAINS_FROM, GainPoint, Gains
from .planes_and_tiles import TileLayout, byte_planes
from .schemes import CASES, ChoiceErrors

_SHOWN_PAIRS = 4000
_TILE_ROWS = 64  # of weights: 16 units of four gates
_FACTOR_TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50)
_PERCENT_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_TIMES = (
    ("torch FP32", "torch_fp32", FP32_COLOR, "o-"),
    ("torch.ao INT8", "torch_ao", INT8_COLOR, "s-"),
    ("Int8LSTM", "int8", PLAIN_COLOR, "^-"),
)
_CAUSE_MARKS = ((NEUTRAL_COLOR, "x-"), (FP32_COLOR, "o-"), (COLORS[3], "D-"), (COLORS[4], "v-"))


@drawn
def saturation(full: torch.Tensor, reduced: torch.Tensor, weights: torch.Tensor) -> RecipeFigure:
    """What 16 bits keep of the sum of two products, for activations to 255 and to 127.

    Args:
        full: uint8 (rows, K), up to 255.
        reduced: uint8 (rows, K), up to 127.
        weights: int8 (N, K).
    """
    figure, axes = new_figure(_("the sums of two int8 products, and what 16 bits keep of them"))
    sides = (
        (_("activations 0 to 255"), full, INT8_COLOR),
        (_("activations 0 to 127"), reduced, FP32_COLOR),
    )
    shares = []
    for label, activations, color in sides:
        sums = pair_sums(activations, weights).flatten()
        kept = sums.clamp(INT16_MIN, INT16_MAX)
        lost = float((sums != kept).double().mean())
        shares.append(_("With {label} {share:.1%} are cut off.", label=label, share=lost))
        shown = slice(None, None, max(1, len(sums) // _SHOWN_PAIRS))
        axes.plot(sums[shown], kept[shown], ".", color=color, label=label)
    for end in (INT16_MIN, INT16_MAX):
        axes.axhline(end, color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    axes.set(xlabel=_("true sum of two products"), ylabel=_("what 16 bits keep"))
    axes.set_yticks([INT16_MIN, 0, INT16_MAX])
    figure.legend(loc="outside lower center", ncols=2)
    text = _(
        "True sum of each pair of products against what is kept of it: a diagonal that turns flat "
        "at {low} and {high}.",
        low=INT16_MIN,
        high=INT16_MAX,
    )
    figure.alt = " ".join([text, *shares])
    return figure


@drawn
def choices(questions: Sequence[ChoiceErrors]) -> RecipeFigure:
    """The error of every answer to every question, one panel each, on one logarithmic axis."""
    figure, panels = new_figure(
        _("error of the outputs against each choice of design"),
        columns=len(questions),
        width=9.5,
        height=3.8,
    )
    panels = np.atleast_1d(panels)
    panels[0].get_gridspec().set_width_ratios([*map(_room, questions)])
    for axes, question in zip(panels, questions, strict=True):
        axes.sharey(panels[0])
        _draw_options(axes, question)
    panels[0].set(yscale="log", ylabel=_("relative error (%)"))
    plain_ticks(panels[0], _PERCENT_TICKS)
    for axes in panels[1:]:
        axes.tick_params(axis="y", labelleft=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    text = _("Median relative error for each choice.")
    figure.alt = " ".join([text, *map(_sentence, questions)])
    return figure


def _room(question: ChoiceErrors) -> float:
    """How much room a panel needs: for each option that of the longest word of all its labels."""
    words = [word for option in question.options for word in _(option.label).split()]
    return len(question.options) * (max(4, *map(_columns, words)) + 1.5)


def _columns(word: str) -> float:
    """How wide a word is, in letters of the Latin alphabet: those of Korean are wider."""
    return sum(1.5 if east_asian_width(letter) == "W" else 1 for letter in word)


def _draw_options(axes: Axes, question: ChoiceErrors) -> None:
    """One column of points per option, even and uneven models side by side, medians joined."""
    places = np.arange(len(question.options))
    for kind, color, mark, side in zip(CASES, (FP32_COLOR, INT8_COLOR), "os", (-1, 1), strict=True):
        at = places + side * 0.12
        for place, option in zip(at, question.options, strict=True):
            values = np.array(getattr(option, kind)) * 100
            axes.plot(np.full(len(values), place), values, ".", color=color, alpha=0.4)
        medians = [option.median(kind) * 100 for option in question.options]
        label = _("{kind} models, median of the seeds", kind=_(kind))
        axes.plot(at, medians, f"{mark}-", color=color, label=label)
    labels = [_(option.label).replace(" ", "\n") for option in question.options]
    axes.set_xticks(places, labels, fontsize=8.5)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_title(_(question.question))


def _sentence(question: ChoiceErrors) -> str:
    options = ", ".join(
        _(
            "{label} {even:.2%} and {uneven:.2%}",
            label=_(option.label),
            even=option.median("even"),
            uneven=option.median("uneven"),
        )
        for option in question.options
    )
    asked = _(question.question)
    title = f"{asked[0].upper()}{asked[1:]}"
    return _("{question} (even, uneven): {options}.", question=title, options=options)


@drawn
def gains(found: Gains) -> RecipeFigure:
    """Times of three LSTMs against width, and the factors of the gain."""
    figure, (times, factors) = new_figure(
        _("times of three LSTMs, and the causes of the gain"), columns=2, width=9.5, height=3.8
    )
    for label, field, color, mark in _TIMES:
        medians_ms = [getattr(point, field).median_us / 1e3 for point in found.points]
        times.plot(found.widths, medians_ms, mark, color=color, label=label)
    times.set(title=_("time of one call"), yscale="log", ylabel=_("median time (ms)"))
    times.yaxis.set_major_formatter("{x:g}")
    for cause, (color, mark) in zip(GAINS_FROM, _CAUSE_MARKS, strict=True):
        ratios = [point.factors[cause] for point in found.points]
        draw_ratios(factors, found.widths, ratios, fmt=mark, color=color, label=_(cause))
    factors.axhline(1, color="black", linewidth=1, linestyle="--")
    factors.set(title=_("what the gain over FP32 is made of"), ylabel=_("times as fast"))
    plain_ticks(factors, _FACTOR_TICKS)
    for axes in (times, factors):
        width_axis(axes, found.widths)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2)  # below the data
    ends = [found.points[0], found.points[-1]]
    text = _(
        "Left: times of torch FP32, torch.ao INT8 and Int8LSTM against width. Right: the factors "
        "of the gain."
    )
    said = [
        _("At width {width}: {factors}.", width=point.dimension, factors=", ".join(_factors(point)))
        for point in ends
    ]
    figure.alt = " ".join([text, *said])
    return figure


def _factors(point: GainPoint) -> Iterator[str]:
    for cause, ratio in point.factors.items():
        yield f"{_(cause)} {ratio.median:.1f}"


@drawn
def planes_and_tiles(integers: torch.Tensor, layout: TileLayout) -> RecipeFigure:
    """A row of activations as two planes of bytes, and the tile of weights that it meets.

    Args:
        integers: int16 (K,), a multiple of 4, as many as the tile is deep.
        layout: of a tile.
    """
    figure, (above, below) = new_figure(
        _("a row of activations in two planes, and a tile of weights in memory"),
        rows=2,
        width=9.5,
        height=4.6,
    )
    _draw_planes(above, integers)
    _draw_tile(below, layout)
    figure.alt = _(
        "Above: {count} 16-bit integers, and below each its high and its low byte. Below: the "
        "bytes of a tile in the order of memory. A line holds four elements k of 64 rows of "
        "weights: 16 units of gate i, then of f, g and o, four bytes for each unit. The next "
        "line holds the next four k.",
        count=len(integers),
    )
    return figure


def _draw_planes(axes: Axes, integers: torch.Tensor) -> None:
    """Three lines of numbers; what is shaded together meets four bytes of each row of weights."""
    lines = [integers, *byte_planes(integers)]
    shades = np.tile(np.arange(len(integers)) // 4 % 2, (len(lines), 1))
    axes.imshow(shades, cmap="Greys", vmin=0, vmax=6, aspect="auto")
    for line, numbers in enumerate(lines):
        for place, number in enumerate(numbers.tolist()):
            axes.text(place, line, str(number), ha="center", va="center", fontsize=7.5)
    axes.set_yticks(range(3), [_("integer q"), _("high byte"), _("low byte")])
    axes.set(title=_("a row of activations: q + 32768 = 256 · high + low"), xlabel=_("element k"))
    axes.set_xticks(range(len(integers)))
    axes.grid(visible=False)


def _draw_tile(axes: Axes, layout: TileLayout) -> None:
    """A cell for every four bytes, coloured by gate and numbered by unit."""
    gates, units, elements = (
        np.array(places).reshape(-1, _TILE_ROWS, 4)
        for places in (layout.gate, layout.unit, layout.k)
    )
    axes.imshow(gates[:, :, 0], cmap=ListedColormap(COLORS[:4]), aspect="auto", alpha=0.45)
    for line, lane in np.ndindex(*units.shape[:2]):
        number = str(units[line, lane, 0])
        axes.text(lane, line, number, ha="center", va="center", fontsize=6)
    first, last = elements[:, 0, 0], elements[:, 0, -1]
    names = [f"k = {low} … {high}" for low, high in zip(first, last, strict=True)]
    axes.set_yticks(range(len(names)), names)
    middles = [float(np.flatnonzero(gates[0, :, 0] == gate).mean()) for gate in range(4)]
    axes.set_xticks(middles, [_("gate {name}", name=name) for name in "ifgo"])
    axes.set(title=_("a tile of weights in memory, line by line: four bytes for each unit"))
    axes.set_xlabel(_("units 0 to 15 of each gate, a vector each"))
    axes.grid(visible=False)
