"""Every figure of every room in one table: what it is drawn from, and what it has to show.

The results are made up so that no two numbers are alike: what is drawn under another name, in
another row or the wrong way round is not found.
"""

from dataclasses import replace

import numpy as np

from recipe_helpers.classroom import plots as classroom
from recipe_helpers.common.plots import COLORS, FP32_COLOR, INT8_COLOR, NEUTRAL_COLOR, PLAIN_COLOR
from recipe_helpers.deployment import plots as deployment
from recipe_helpers.explorer import plots as explorer
from recipe_helpers.recipe import plots as recipe
from recipe_helpers.recipe.accuracy import StepErrors
from recipe_helpers.trained_models import plots as trained_models
from recipe_helpers.under_the_hood import plots as under_the_hood
from recipe_helpers.under_the_hood.planes_and_tiles import tile_layout

from ..classroom.made_up import compared
from ..deployment.made_up import LOADS
from ..explorer.made_up import exploration
from ..recipe import made_up as made
from . import made_up
from .made_up import BYTES, RIGHT, STUDY, SWEPT
from .marks import Figure, Panel, Series, histogram, level, upright

BLUE, ORANGE, GREEN, GREY = (
    color.lower() for color in (FP32_COLOR, INT8_COLOR, PLAIN_COLOR, NEUTRAL_COLOR)
)
PINK, YELLOW, BLACK = COLORS[3].lower(), COLORS[4].lower(), "#000000"
# A name has its colour and its mark in every figure.
LOOKS = {
    **dict.fromkeys(("FP32", "torch FP32"), (BLUE, "o")),
    **dict.fromkeys(("INT8", "torch.ao INT8", "INT8 per tensor"), (ORANGE, "s")),
    "INT8 per channel": (PINK, "D"),
    **dict.fromkeys(("Int8LSTM", "plain INT8"), (GREEN, "^")),
}

WIDTH = "width of the LSTM (units)"
RATIO = "FP32 time / INT8 time"
MILLIONS = "parameters (millions)"
# Neither the first of these nor the last is the least or the most.
SEEDS = replace(made.SEEDS, relatives=made.SEEDS.relatives[::-1])
SPREAD = 0.5**0.5  # of two values from their mean, n - 1


def by_name(x, **values):
    """A series for each name, with the looks that this name always has."""
    looks = {name.replace("_", " "): y for name, y in values.items()}
    return [Series(x, y, *LOOKS[name], name) for name, y in looks.items()]


def chosen(side, color, marker, name):
    """The medians of a side of each question, joined, and its single seeds."""
    at = (-0.12, 0.12)[side]
    values = [(option.even, option.uneven)[side] for option in made_up.QUESTIONS[0].options]
    joined = Series([at, 1 + at], [100 * v[1] for v in values], color, marker, name)
    dots = [Series([i + at] * 3, np.multiply(v, 100), color, ".") for i, v in enumerate(values)]
    return joined, *dots


def accuracy_of(side, name):
    means = [sum(pairs[side]) / 2 for pairs in RIGHT.values()]
    spreads = [abs(pairs[side][0] - pairs[side][1]) * SPREAD for pairs in RIGHT.values()]
    ends = tuple((m - s, m + s) for m, s in zip(means, spreads, strict=True))
    kilobytes = [BYTES[width][side] / 1e3 for width in RIGHT]
    return Series(kilobytes, means, *LOOKS[name], name, ends=ends)


FIGURES = {
    recipe.scale_choices: Figure([made.SCALES], [
        Panel(f"{batch.name} batch", "position", "value", "", [
            Series(range(30), batch.fixed.numbers, BLUE, "", "FP32"),
            Series(range(30), batch.fixed.restored, ORANGE, ".", "INT8, fixed scale"),
            Series(range(30), batch.dynamic.restored, GREEN, "x", "INT8, scale at run time"),
        ])
        for batch in made.SCALES.batches
    ], ["The loud batch: mean error 0% with the fixed scale, 0.3% with its own.",
        "quiet batch: mean error 27%"]),
    recipe.weight_grid: Figure([made_up.WEIGHT, made_up.STORED], [
        Panel("FP32 weights", "input", "gate row"),
        Panel("stored integers", "input", "gate row"),
        Panel("rounding error", "error (steps)", "weights", "", [
            histogram(made_up.STEPS_OFF, np.linspace(-0.5, 0.5, 21), ORANGE),
            upright(-0.5, GREY), upright(0.5, GREY),
        ]),
    ], ["24 by 6: FP32 values up to", "the integers from -128 to 127", "largest is 0.50 steps."]),
    recipe.size_sweep: Figure([made.SIZES], [
        Panel("two straight lines", MILLIONS, "state dict (MB)", "", by_name(
            (576e-6, 51840e-6, 1), FP32=(4573e-6, 0.209629, 4e-4), INT8=(3549e-6, 0.056541, 101e-6),
        )),
        Panel("the ratio bends towards 4", WIDTH, "FP32 bytes / INT8 bytes", "x", [
            Series((8, 80, 512), (4573 / 3549, 209629 / 56541, 400 / 101), GREY, "o"),
            level(4, GREY),  # bytes of a float32
        ]),
    ], ["from 1.29 at width 8 to 3.96 at 512"]),
    recipe.memory_sweep: Figure([made.MEMORY], [
        Panel("held once loaded", MILLIONS, "resident memory (MB)", "",
              by_name((1, 3), FP32=(4, 12), INT8=(1, 3))),
        Panel("most during a call", MILLIONS, "resident memory (MB)", "",
              by_name((1, 3), FP32=(7, 21), INT8=(1.5, 3.5))),
    ], ["At width 512: held once loaded 12.0 MB in FP32 and 3.0 MB", "21.0 MB in FP32 and 3.5 MB"]),
    recipe.latency: Figure([made.LATENCY], [
        Panel("time of one call", "time (µs)", "rounds", "", [
            histogram(made_up.TIMES[:4], made_up.TIME_EDGES, BLUE),
            histogram(made_up.TIMES[4:], made_up.TIME_EDGES, ORANGE),
            upright(115, BLUE), upright(52.5, ORANGE),
        ]),
        Panel("above 1 INT8 is faster", "round", RATIO, "", [
            Series(range(4), (2, 3, 2, 400 / 60), GREY, ".", "one round"),
            level(2.5, ORANGE, "median"), level(1, BLACK, "equal"),
        ]),
    ], ["FP32 takes 115 µs (108 µs to 190 µs), INT8 52.5 µs",
        "around 2.50 (95 % interval 2.00 to 5.50)."]),
    recipe.latency_sweep: Figure([made.SWEEP], [
        Panel("time of one call", WIDTH, "median time (ms)", "xy", [
            *by_name((8, 64, 256), FP32=(0.1, 0.9, 8), INT8=(0.4, 0.6, 2)),
            upright(64, ORANGE, "crossover"),
        ]),
        Panel("above 1 INT8 is faster", WIDTH, RATIO, "xy", [
            Series((8, 64, 256), (0.25, 1.5, 4), GREY, "o", "median, 95 % interval",
                   ends=((0.2, 0.3), (1.4, 1.7), (3.5, 4.1))),
            level(1, BLACK, "equal"), upright(64, ORANGE, "crossover"),
        ]),
    ], [made.SWEEP.sentence]),
    recipe.accuracy: Figure([made.PAIR, made.STEPS], [
        Panel("every output element", "FP32 output", "INT8 output", "", [
            Series((0.1, -0.4, 0.3, 0.9), (0.2, -0.5, 0.35, 0.8), ORANGE, ".",
                   "one output element"),
            Series((-0.5, 0.9), (-0.5, 0.9), GREY, "", "equal"),
        ]),
        Panel("error along the sequence", "time step", "relative error (%)", "",
              [Series((1, 2, 3, 4), (1, 2, 5, 3), ORANGE, "o")]),
    ], ["4 INT8 outputs", "1.50% over the first half of the steps and 4.00% over the second."]),
    recipe.seed_errors: Figure([SEEDS, 0.0125], [
        Panel("", "relative error of the outputs (%)", "seeds", "", [
            histogram(np.multiply(made.SEEDS.relatives, 100), 30, ORANGE),
            upright(1.25, BLACK, "the recipe's seed"),
        ]),
    ], ["over 6 seeds, from 1.00% to 2.00%; the recipe's seed at 1.25% is above 67%"]),
    classroom.speedups: Figure([compared()], [
        Panel("above 1 INT8 is faster", WIDTH, RATIO, "xy", [
            Series((8, 16), (0.5, 2), BLUE, "o", "first"),
            Series((8, 16), (1.5, 3), BLUE, "s", "second"),
            Series((8, 16), (0.3, 0.8), BLUE, "D", "third"),
            level(1, BLACK, "equal"),
        ]),
    ], ["first from 0.50 to 2.00; second from 1.50 to 3.00; third from 0.30 to 0.80."]),
    classroom.crossovers: Figure([compared()], [
        Panel("the width from which INT8 is faster", WIDTH, "vector instructions", "x", [
            Series((8, 16), (0, 0), BLUE), Series((8 * 2**0.5,), (0,), BLUE, "o", "A CPU"),
            Series((8,), (1,), BLUE), Series((8,), (1,), BLUE, "o", "A CPU"),
            Series((16,), (2,), BLUE, "^", "none up to here"),
        ], ("AVX2, without VNNI", "AVX512, with VNNI", "NEON")),
    ], ["AVX2, without VNNI: 16 (11); second, AVX512, with VNNI: 8 (8); third, NEON: none."]),
    deployment.loads: Figure([LOADS], [
        Panel("how long a client waits", "clients at once", "time of an answer (ms)", "xy", [
            Series((1, 4), (5.05, 20.2), BLUE, "o", "FP32, p50"),
            Series((1, 4), (9.901, 39.604), BLUE, "o", "FP32, p99", full=False),
            Series((1, 4), (2.525, 10.1), ORANGE, "s", "INT8, p50"),
            Series((1, 4), (4.9505, 19.802), ORANGE, "s", "INT8, p99", full=False),
        ]),
        Panel("what the server gets done", "clients at once", "answers per second", "x",
              by_name((1, 4), FP32=(50, 12.5), INT8=(50, 12.5))),
    ], ["FP32: 12 answers a second with 4 clients, p99 39.6 ms; INT8: 12"]),
    explorer.panel: Figure([exploration(64)], [
        Panel("size: 4.00 to 1", "size of the file (MB)", "", "",
              [Series((8, 2), (0, 1), f"{BLUE} {ORANGE}", "bar")], ("FP32", "INT8")),
        Panel("latency: 1.70 to 1, faster", "time of one call (ms)", "", "", [
            Series((11.9, 7), (0, 1), f"{BLUE} {ORANGE}", "bar"),
            Series((0.9 * 11.9, 1.2 * 11.9), (0, 0), BLACK), Series((6.3, 8.4), (1, 1), BLACK),
        ], ("FP32", "INT8")),
        Panel("outputs: 3.00% apart", "FP32 output", "INT8 output", "", [
            Series((0.1, -0.3, 0.5), (0.2, -0.4, 0.45), ORANGE, "."),
            Series((-0.4, 0.5), (-0.4, 0.5), GREY),
        ]),
    ], [f"for {exploration(64).choice}: file size", exploration(64).verdict]),
    explorer.sweep: Figure([SWEPT, SWEPT[1]], [
        Panel(title, "width (units)", label, "x", [
            Series((8, 32, 128), values, ORANGE, "o"), Series((32,), values[1:2], BLUE, "*"), *more,
        ])
        for title, label, values, more in (
            ("size", "FP32 bytes / INT8 bytes", (1.5, 4, 3), [level(1, GREY)]),
            ("latency", RATIO, (0.4, 1.3, 2.9), [level(1, GREY)]),
            ("outputs", "relative difference (%)", (1.1, 2.3, 3.7), []),
        )
    ], ["over widths 8 to 128: FP32", "from 1.50 to 3.00; in the time of a call, from 0.40 to",
        "from 1.10% to 3.70%. A star marks width 32, 1 layer"]),
    trained_models.pareto: Figure([STUDY], [
        Panel("numbers are widths; bars are one standard deviation over the seeds",
              "state dict (kB)", "test accuracy", "x",
              [accuracy_of(0, "FP32"), accuracy_of(1, "INT8")]),
    ], ["FP32 from 6.0 to 30.0 kB and INT8 from 3.5 to 9.0 kB, for widths 4, 16.",
        f"Width 4: INT8 less FP32 is {STUDY.difference(4).percent()} points."]),
    trained_models.differences: Figure([STUDY], [
        Panel("", WIDTH, "INT8 - FP32 (points)", "", [
            *(Series((place - 0.12, place + 0.12), points, ORANGE, ".")
              for place, points in enumerate(((-10, -6), (-1, 2)))),
            *(Series((place + 0.28,), (mean,), GREY, "o",
                     ends=((100 * STUDY.difference(w).low, 100 * STUDY.difference(w).high),))
              for place, (w, mean) in enumerate(((4, -8), (16, 0.5)))),
            level(0, BLACK),
        ]),
    ], [f"over all widths {STUDY.difference().percent()} points"]),
    trained_models.disagreements: Figure([made_up.DISAGREEMENTS], 2 * [Panel("", "", "")],
        ["2 of 4 test images differ: a 2 that FP32 reads as 0 and INT8 as 2; a 0 that"]),
    trained_models.cliff: Figure([made_up.CLIFF], [
        Panel("", "factor on a weight", "test accuracy", "x", [
            *by_name((1, 64), FP32=(0.9, 0.85), INT8_per_tensor=(0.8, 0.75),
                     INT8_per_channel=(0.7, 0.65), plain_INT8=(0.6, 0.55)),
            Series((1, 64), (0.5, 0.45), BLACK, "x", "INT8, rescaled"),
            Series((1, 64), (0.4, 0.35), BLACK, "x", "INT8, apart"),
            level(0.1, GREY, "guessing"),  # one of ten digits
        ]),
    ], ["1 to 64. FP32: from 90.0% to 85.0%. INT8 per tensor: from 80.0% to 75.0%."]),
    trained_models.error_along: Figure(
        [{"one": StepErrors((0.01, 0.01)), "two": StepErrors((0.04, 0.04))}],
        [Panel("", "position (steps)", "relative error (%)", "xy", [
            Series((1.5,), (1,), BLUE, "o", "one"), Series((1.5,), (4,), ORANGE, "s", "two"),
        ])],
        ["one: 1.00% over the first half, 1.00% over the second.", "two: 4.00%"]),
    under_the_hood.saturation: Figure([made_up.FULL, made_up.FULL // 2, made_up.PRODUCTS], [
        Panel("", "true sum of two products", "what 16 bits keep", "", [
            Series((127 * 505, 127 * 7), (32767, 127 * 7), ORANGE, ".", "activations 0 to 255"),
            Series((127 * 252, 381), (127 * 252, 381), BLUE, ".", "activations 0 to 127"),
            level(-32768, GREY), level(32767, GREY),
        ]),
    ], ["With activations 0 to 255 50.0% are cut off. With activations 0 to 127 0.0% are"]),
    under_the_hood.choices: Figure([made_up.QUESTIONS], [
        Panel(question.question, "", ylabel, "y", [
            *chosen(0, BLUE, "o", "even models, median of the seeds"),
            *chosen(1, ORANGE, "s", "uneven models, median of the seeds"),
        ])
        for question, ylabel in zip(made_up.QUESTIONS, ("relative error (%)", ""), strict=True)
    ], ["Which? (even, uneven): a 2.00% and 5.00%, b c 30.00% and 60.00%.", "And then? (even"]),
    under_the_hood.gains: Figure([made_up.GAINS], [
        Panel("time of one call", WIDTH, "median time (ms)", "xy", [
            Series((8, 64), (0.48, 3.84), *LOOKS["torch FP32"], "torch FP32"),
            Series((8, 64), (0.96, 7.68), *LOOKS["torch.ao INT8"], "torch.ao INT8"),
            Series((8, 64), (0.032, 0.256), *LOOKS["Int8LSTM"], "Int8LSTM"),
        ]),
        Panel("what the gain over FP32 is made of", WIDTH, "times as fast", "xy", [
            *(Series((8, 64), (by, by), color, marker, name, ends=2 * ((by, by),))
              for by, color, marker, name in (
                (1, GREY, "x", "no rearranging"), (6, BLUE, "o", "fusion"),
                (1.25, PINK, "D", "fewer bytes"), (2, YELLOW, "v", "integers"),
            )),
            level(1, BLACK),
        ]),
    ], ["At width 8: no rearranging 1.0, fusion 6.0, fewer bytes 1.2, integers 2.0. At width 64"]),
    under_the_hood.planes_and_tiles: Figure([made_up.INTEGERS, tile_layout()], [
        Panel("a row of activations: q + 32768 = 256 · high + low", "element k", ""),
        Panel("a tile of weights in memory, line by line: four bytes for each unit",
              "units 0 to 15 of each gate, a vector each", ""),
    ], ["8 16-bit integers"]),
}  # fmt: skip
