"""Ledgers of machines that are none, as data and compared; surveys that nobody made."""

from recipe_helpers.classroom.comparison import ClassComparison, MachineLedger
from recipe_helpers.classroom.survey import Survey, SurveyPoint
from recipe_helpers.recipe.compare import Comparison

from ..explorer.made_up import exploration


def ledger_data(vector="AVX2, without VNNI", verdicts=(("C2", "holds"),), ratios=(0.5, 2.0)):
    """A file's data; `ratios` are those of the sweep at the widths 8, 16, 32 and so on."""
    findings = {
        claim: {"verdict": verdict, "measured": "so much", "reason": "", "numbers": {}}
        for claim, verdict in verdicts
    }
    points = [
        {
            "width": 8 * 2**place,
            "fp32_us": 10.0 * ratio,
            "int8_us": 10.0,
            "speedup": {"median": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio},
            "control": {"median": 1.0, "low": 0.99, "high": 1.01},
            "verdict": "faster" if ratio > 1 else "slower",
        }
        for place, ratio in enumerate(ratios)
    ]
    first = next((point["width"] for point in points if point["verdict"] == "faster"), None)
    sweep = {"threads": 1, "batch_size": 1, "crossover_width": first, "points": points}
    findings["C17"] = {"verdict": "holds", "measured": "", "reason": "", "numbers": sweep}
    return {
        "format": "recipe_helpers ledger",
        "version": 1,
        "machine": {
            "system": "Linux x86_64",
            "cpu": "A CPU",
            "vector_instructions": vector,
            "engine": "x86",
            "threads": 2,
        },
        "versions": {"torch": "2.13.0", "python": "3.11.7", "numpy": "2.4.6"},
        "findings": findings,
    }


def compared():
    """Three machines: one with a crossover at 16, one at 8, one with none."""
    made = {
        "first": ledger_data(verdicts=[("C2", "holds"), ("C16", "fails")]),
        "second": ledger_data("AVX512, with VNNI", [("C2", "holds"), ("C16", "holds")], (1.5, 3)),
        "third": ledger_data("NEON", [("C2", "holds"), ("C16", "fails")], (0.3, 0.8)),
    }
    return ClassComparison(tuple(MachineLedger.from_data(n, data) for n, data in made.items()))


def point(width, seed, speedup, verdict, apart=0.012, machine="CPU, AVX2, with VNNI"):
    """FP32 takes 4,573 bytes, INT8 3,549."""
    one = exploration(width, 4573, 3549, speedup, apart, verdict)
    return SurveyPoint(width, seed, Comparison(one.size, one.latency, one.accuracy), machine)


def surveyed():
    """Three seeds at width 8 and one at 24, on two kinds of machine."""
    return Survey(
        (
            point(8, 3, 0.4, "slower", 0.02),
            point(8, 1, 0.9, "inconclusive", 0.01),
            point(8, 2, 0.5, "slower", 0.06),
            point(24, 3, 2.0, "faster", machine="other, NEON"),
        )
    )
