"""Under the hood: what of the int8 LSTM's gain is fusion, fewer bytes, or integer arithmetic.

Six LSTMs of the same weights are timed in one set of interleaved rounds: PyTorch's FP32 as it is,
and without oneDNN, which rearranges the weights at every call; torch.ao's INT8; and one compiled
kernel (`fast_path`) three times: with float32 weights, with int8 weights that are multiplied as
floats, and with integer arithmetic, which is `Int8LSTM`. From one to the next only one thing
changes, so that the ratios of their times tell the causes apart, and the product of the ratios is
the whole gain over PyTorch's FP32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap
from typing import Any

import torch
from torch import nn

from int8_rnn import Int8LSTM

from ..common import checks, settings
from ..common.language import N_, _
from ..common.tables import Shown, Table, in_threads
from ..recipe.model import SEQUENCE_LENGTH, demonstration
from ..recipe.quantize import quantize_dynamic
from ..recipe.timing import Ratio, Timing, check_budget, interleave, ratio_of_rounds
from .float_lstm import FusedFloatLSTM

WIDTHS = (8, 32, 128, 256, 512, 1024)
CAUSES = (N_("no rearranging"), N_("fusion"), N_("fewer bytes"), N_("integers"))
_BUDGET_S = 0.6


@dataclass(frozen=True)
class GainPoint:
    """The six times of one call at one width, batch 1."""

    dimension: int
    torch_fp32: Timing
    torch_fp32_native: Timing  # the same without oneDNN
    torch_ao: Timing
    fused_fp32: Timing  # the kernel with float32 weights
    fused_bytes: Timing  # with int8 weights, multiplied as floats
    int8: Timing  # with integer arithmetic: Int8LSTM

    @property
    def over_fp32(self) -> Ratio:
        """PyTorch's FP32 / Int8LSTM; about the product of the factors."""
        return _ratio(self.torch_fp32, self.int8)

    @property
    def over_torch_ao(self) -> Ratio:
        """torch.ao's INT8 / Int8LSTM."""
        return _ratio(self.torch_ao, self.int8)

    @property
    def factors(self) -> dict[str, Ratio]:
        """The factors of the gain over PyTorch's FP32, by the names in `CAUSES`.

        Between the faster of PyTorch's two ways and Int8LSTM only one thing changes at a time:
        the kernel, the size of the weights, the arithmetic.
        """
        native = min(self.torch_fp32, self.torch_fp32_native, key=lambda timing: timing.median_us)
        steps = (self.torch_fp32, native, self.fused_fp32, self.fused_bytes, self.int8)
        return dict(zip(CAUSES, starmap(_ratio, pairwise(steps)), strict=True))

    @property
    def main_cause(self) -> str:
        """Which of `CAUSES` is the largest factor here."""
        factors = self.factors
        return max(factors, key=lambda cause: factors[cause].median)


@dataclass(frozen=True)
class Gains(Shown):
    """The gain of Int8LSTM over FP32 and its causes, over a range of widths."""

    points: tuple[GainPoint, ...]
    threads: int

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths."""
        return tuple(point.dimension for point in self.points)

    @property
    def sentence(self) -> str:
        """The largest factor at each width, in words."""
        parts = []
        for cause in CAUSES:
            widths = [str(p.dimension) for p in self.points if p.main_cause == cause]
            if widths:
                at = ", ".join(widths)
                parts.append(_("{cause} at width {widths}", cause=_(cause), widths=at))
        return _("The largest factor: {causes}.", causes="; ".join(parts))

    def table(self) -> Table:
        """One row per width: the three factors, their product, and the gain over torch.ao."""
        rows = []
        for point in self.points:
            ratios = (*point.factors.values(), point.over_fp32, point.over_torch_ao)
            rows.append((str(point.dimension), *(f"{ratio.median:.2f}" for ratio in ratios)))
        caption = _("how many times as fast, batch 1, {threads}", threads=in_threads(self.threads))
        whole = (_("together: FP32 / Int8LSTM"), "torch.ao / Int8LSTM")
        headers = (_("width"), *map(_, CAUSES), *whole)
        return Table(headers, rows, caption, self.sentence)


@checks.renamed(dimensions="widths")
def compare_gains(
    widths: Iterable[int] = WIDTHS,
    *,
    sequence_length: int = SEQUENCE_LENGTH,
    threads: int | None = None,
    budget_s: float = _BUDGET_S,
) -> Gains:
    """Time the six LSTMs at each width, one sequence at a time.

    Args:
        widths: rising.
        sequence_length: time steps.
        threads: intra-op threads; None for as many as PyTorch uses now.
        budget_s: about how long to measure at each width, in seconds; wide ones take longer.

    Raises:
        EngineError: there is no compiled kernel on this machine.
        ArgumentError: a size is not at least 1, or `budget_s` is below 0.01.
    """
    chosen = checks.positive_ints("widths", widths)
    checks.positive_int("sequence_length", sequence_length)
    if threads is not None:
        checks.positive_int("threads", threads)
    check_budget(budget_s)
    with settings.threads_set(threads) as used, torch.inference_mode():
        points = tuple(_point(width, sequence_length, budget_s) for width in chosen)
    return Gains(points, used)


def _point(dimension: int, sequence_length: int, budget_s: float) -> GainPoint:
    demo = demonstration(width=dimension, sequence_length=sequence_length)
    models = (
        demo.model,
        quantize_dynamic(demo.model),
        FusedFloatLSTM.from_float(demo.model.lstm),
        FusedFloatLSTM.from_float(demo.model.lstm, weights="int8"),
        Int8LSTM.from_float(demo.model.lstm),
    )
    calls = [partial(model, *demo.arguments) for model in models]
    calls.insert(1, partial(_without_onednn, *calls[0].args, model=demo.model))
    return GainPoint(dimension, *interleave(calls, budget_s))


def _without_onednn(*inputs: Any, model: nn.Module) -> Any:
    with settings.without_onednn():
        return model(*inputs)


def _ratio(slower: Timing, faster: Timing) -> Ratio:
    return ratio_of_rounds(slower.times_us, faster.times_us)
