"""Made-up results of the recipe's room, for its tests and for those who show its results."""

from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.recipe.accuracy import PairedOutputs, SeedErrors, StepErrors, TensorComparison
from recipe_helpers.recipe.costs import Cost, OperatorCounts, StepCosts
from recipe_helpers.recipe.inspection import Conversion, Converted, LeftAlone, StoredWeight
from recipe_helpers.recipe.latency import LatencyComparison, LatencySweep
from recipe_helpers.recipe.memory import MemoryComparison, MemorySweep, MemoryUse
from recipe_helpers.recipe.pair import Point
from recipe_helpers.recipe.rounding import Rounding, ScaleChoice, ScaleChoices
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison, SizeSweep
from recipe_helpers.recipe.timing import FASTER, SLOWER, Ratio, Timing

MB = 1_000_000


class Returns(nn.Module):
    """A model that returns what it was made with."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, *_):
        return self.value


def returns(*values):
    return [Returns(value).eval() for value in values]


def rounding(numbers, scale, integers):
    return Rounding(torch.tensor(numbers), scale, torch.tensor(integers, dtype=torch.int8))


def size(before, after):
    return SizeComparison(SizeBreakdown(0, before, 0, 0), SizeBreakdown(after, 0, 0, 0))


def sizes(*ratios):
    """A sweep of these ratios at widths 8, 80 and 512."""
    points = zip((8, 80, 512), ratios, strict=True)
    return SizeSweep(tuple(Point(d, d, 1, size(int(1000 * r), 1000)) for d, r in points))


def latency(fp32_us, int8_us, verdict=FASTER, threads=1):
    ratio = fp32_us / int8_us
    return LatencyComparison(
        Timing((fp32_us,) * 3),
        Timing((int8_us,) * 3),
        Ratio(ratio, ratio, ratio),
        Ratio(1, 1, 1),
        verdict,
        threads,
    )


def sweep(*points, threads=1):
    """A sweep from width 8 on; points are (million multiply-adds, FP32 in µs, INT8 in µs)."""
    made = (Point(2**i, 1, int(m * 1e6), latency(r, c)) for i, (m, r, c) in enumerate(points, 3))
    return LatencySweep(tuple(made), threads, 1)


def scales(fixed_scale, own_scale, fixed_error, own_error):
    """A loud batch alike under both scales, and a quiet one with these relative errors."""

    def grid(scale, error):
        return SimpleNamespace(scale=scale, relative=error)

    loud = ScaleChoice("loud", grid(fixed_scale, 0.01), grid(fixed_scale, 0.01))
    quiet = ScaleChoice("quiet", grid(fixed_scale, fixed_error), grid(own_scale, own_error))
    return ScaleChoices((loud, quiet))


def costs(median, low, high, batch_size=1, fp32_us=100.0, int8_us=50.0):
    """Costs of width 500, one thread: two million multiply-adds a step and sequence."""
    ratio = Ratio(median, low, high)
    return StepCosts(500, batch_size, Cost(7.0, fp32_us), Cost(9.0, int8_us), ratio, 1)


def memory(loaded, peak):
    """FP32 and INT8 in MB at width 1024; at width 8 there is nothing between the two."""
    sides = zip(loaded, peak or (None, None), strict=True)
    uses = [
        MemoryUse(0, int(h * MB), None if m is None else int((m - h) * MB), 0) for h, m in sides
    ]
    alike = MemoryComparison(MemoryUse(0, 9, 9, 0), MemoryUse(0, 9, 9, 0))
    return MemorySweep((Point(8, 1, 1, alike), Point(1024, 2, 1, MemoryComparison(*uses))))


def outputs(relative):
    return TensorComparison("output", 1.0, 1.0, relative, 30.0, 1.0, None)


CONVERTED = Conversion((Converted("lstm", "LSTM", "DynamicQuantizedLSTM"),), ())
LEFT = Conversion((), (LeftAlone("lstm", "LSTM", 576, "a subclass"),))
STORED = StoredWeight("w", torch.ones(4, 3, dtype=torch.int8), torch.ones(1))
FLOATS = StoredWeight("w", torch.ones(4, 3), torch.ones(1))
OPERATORS = OperatorCounts({"aten::lstm": 17}, {"aten::mul": 562})
TIME = torch.arange(30) / 5
SCALES = rh.compare_scales(
    torch.sin(TIME), {"loud": torch.sin(TIME), "quiet": 0.01 * torch.cos(TIME)}
)
SIZES = SizeSweep(
    tuple(
        Point(d, p, 1, size(b, a))
        for d, p, b, a in ((8, 576, 4573, 3549), (80, 51840, 209629, 56541), (512, 10**6, 400, 101))
    )
)
LATENCY = LatencyComparison(
    Timing((100.0, 120.0, 110.0, 400.0)),
    Timing((50.0, 40.0, 55.0, 60.0)),
    Ratio(2.5, 2.0, 5.5),
    Ratio(1.0, 0.9, 1.1),
    FASTER,
    1,
)


def point(width, before, after, low, high, verdict):
    comparison = latency(before, after, verdict)
    return Point(width, 1, 1, replace(comparison, speedup=Ratio(before / after, low, high)))


SWEEP = LatencySweep(
    (
        point(8, 100.0, 400.0, 0.2, 0.3, SLOWER),
        point(64, 900.0, 600.0, 1.4, 1.7, FASTER),
        point(256, 8000.0, 2000.0, 3.5, 4.1, FASTER),
    ),
    1,
    1,
)
NO_CROSSOVER = LatencySweep(SWEEP.points[:1], 1, 1)
PAIR = PairedOutputs(
    torch.tensor([[0.1, -0.4], [0.3, 0.9]], dtype=torch.float64),
    torch.tensor([[0.2, -0.5], [0.35, 0.8]], dtype=torch.float64),
)
STEPS = StepErrors((0.01, 0.02, 0.05, 0.03))
MEMORY = MemorySweep(
    tuple(
        Point(
            8**i,
            i * 10**6,
            1,
            MemoryComparison(
                MemoryUse(0, 4 * MB * i, 3 * MB * i, 0), MemoryUse(0, MB * i, 500_000, 0)
            ),
        )
        for i in (1, 3)
    )
)
SEEDS = SeedErrors(tuple(range(6)), (0.01, 0.012, 0.0123, 0.02, 0.011, 0.014))


def weight():
    model = rh.demonstration(dimension=6).model
    return model.lstm.weight_ih_l0, rh.stored_weights(rh.quantize_dynamic(model))[0]
