"""Made-up results that figures and texts of every room are made from: no two numbers are alike."""

import numpy as np
import torch

from recipe_helpers.recipe.timing import Timing
from recipe_helpers.trained_models import fragility
from recipe_helpers.trained_models.classification import DigitRun, DigitStudy, Disagreements
from recipe_helpers.trained_models.fragility import Cliff
from recipe_helpers.under_the_hood.causes_of_speed import GainPoint, Gains
from recipe_helpers.under_the_hood.schemes import ChoiceErrors, SchemeErrors

from ..explorer.made_up import exploration
from ..recipe import made_up as made

WEIGHT, STORED = made.weight()
STEPS_OFF = (
    STORED.integers.numpy() - WEIGHT.detach().numpy() / (float(WEIGHT.detach().abs().max()) / 127.5)
).flatten()
TIMES = (*made.LATENCY.reference.times_us, *made.LATENCY.candidate.times_us)
TIME_EDGES = np.linspace(40, np.percentile(TIMES, 98), 41)

SWEPT = [
    exploration(*row)
    for row in ((8, 3e3, 2e3, 0.4, 0.011), (32, 8e4, 2e4, 1.3, 0.023), (128, 9e5, 3e5, 2.9, 0.037))
]
RIGHT = {4: ((0.80, 0.84), (0.70, 0.78)), 16: ((0.91, 0.93), (0.90, 0.95))}  # FP32 and INT8
BYTES = {4: (6000, 3500), 16: (30000, 9000)}
STUDY = DigitStudy(
    tuple(
        DigitRun(width, seed, fp32, int8, *BYTES[width])
        for width, pairs in RIGHT.items()
        for seed, (fp32, int8) in enumerate(zip(*pairs, strict=True))
    )
)
IMAGES = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
DISAGREEMENTS = Disagreements(IMAGES, (2, 0), (0, 2), (2, 1), (0.5, 0.25), 0.9, 4)
CLIFF = Cliff(
    "factor on a weight",
    (1.0, 64.0),
    {
        name: (0.9 - place / 10, 0.85 - place / 10)
        for place, name in enumerate((*fragility.QUANTIZERS, fragility.RESCALED, fragility.APART))
    },
    True,
)
FULL = torch.tensor([[255, 250, 3, 4]], dtype=torch.uint8)
PRODUCTS = torch.full((1, 4), 127, dtype=torch.int8)
QUESTIONS = [
    ChoiceErrors(
        name,
        (
            SchemeErrors("a", (0.01, 0.02, 0.04), (0.03, 0.05, 0.08)),
            SchemeErrors("b c", (0.1, 0.3, 0.5), (0.2, 0.6, 0.9)),
        ),
        (1, 2, 3),
    )
    for name in ("which?", "and then?")
]
GAINS = Gains(
    tuple(GainPoint(d, *(Timing((d * t,) * 9) for t in (60, 90, 120, 10, 8, 4))) for d in (8, 64)),
    1,
)
INTEGERS = torch.tensor([-32768, -1, 0, 1, 255, 256, 1000, 32767], dtype=torch.int16)
