"""Choices that are measured once, explorations that are made up, and what a panel says."""

import asyncio
import functools
import html
import re

import pytest

from recipe_helpers.explorer.measurement import Choice, Exploration, engines, measure_choice
from recipe_helpers.explorer.panel import PAUSE_S
from recipe_helpers.recipe.accuracy import OutputComparison
from recipe_helpers.recipe.latency import LatencyComparison
from recipe_helpers.recipe.size import SizeBreakdown, SizeComparison
from recipe_helpers.recipe.timing import FASTER, Ratio, Timing

RECIPE = Choice(engine=engines()[0])
# The measurements themselves have tests of their own; elsewhere each choice is measured once.
measured_once = functools.cache(functools.partial(measure_choice, budget_s=0.01))


def exploration(width, before=8e6, after=2e6, speedup=1.7, apart=0.03, verdict=FASTER):
    """One that no machine measured: FP32 takes `speedup` times 7 ms, with quartiles around it."""
    both = (Timing((0.8 * us, us, 1.4 * us)) for us in (7000.0 * speedup, 7000.0))
    ratio = Ratio(speedup, 0.8 * speedup, 1.3 * speedup)
    return Exploration(
        Choice(width=width),
        SizeComparison(SizeBreakdown(0, before, 0, 0), SizeBreakdown(after, 0, 0, 0)),
        LatencyComparison(*both, ratio, Ratio(1.0, 0.99, 1.01), verdict, 1),
        OutputComparison("output", 1.0, 1.1, apart, 30.0, 0.9, None, tensors=()),
        ((0.1, 0.2), (-0.3, -0.4), (0.5, 0.45)),
    )


def said(widget):
    """The text of an HTML widget, without its style sheet and tags."""
    content = widget.value.partition("</style>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content)).split())


def picture(widget):
    """The source of the picture in an HTML widget, and its alternative text."""
    found = re.search(r'<img src="([^"]*)" alt="([^"]*)"', widget.value)
    return found[1], html.unescape(found[2])


async def settle(explorer, seconds=0.1):
    """Let the event loop run until nothing is booked any more."""
    await asyncio.sleep(PAUSE_S)
    for _ in range(100):
        booked = explorer._booking
        await asyncio.sleep(seconds)
        if booked == explorer._booking and "Measuring" not in said(explorer.message):
            return
    pytest.fail("the explorer never comes to rest")
