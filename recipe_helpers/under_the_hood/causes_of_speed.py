"""Under the hood: what of the int8 LSTM's gain is fusion, fewer bytes, or integer arithmetic.

Six LSTMs of the same weights are timed in one set of interleaved rounds: PyTorch's FP32 as it is,
and without oneDNN, which rearranges the weights at every call; torch.ao's INT8; and one compiled
kernel (`fast_path`) three times: with float32 weights, with int8 weights that are multiplied as
floats, and with integer arithmetic, which is `Int8LSTM`. From one to the next only one thing
changes, so that the ratios of their times tell the causes apart, and the product of the ratios is
the whole gain over PyTorch's FP32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap
from typing import Any, NoReturn

import torch
from int8_rnn.tiles import pack_terms
from torch import Tensor, nn

from int8_rnn import Int8LSTM, Scheme, fast_path

from ..common import checks, settings
from ..common.errors import EngineError, InputError
from ..common.language import N_, _
from ..common.tables import Shown, Table, in_threads
from ..recipe.model import SEQUENCE_LENGTH
from ..recipe.pair import make_pair
from ..recipe.timing import Ratio, Timing, check_budget, interleave, ratio_of_rounds

WIDTHS = (8, 32, 128, 256, 512, 1024)
CAUSES = (N_("no rearranging"), N_("fusion"), N_("fewer bytes"), N_("integers"))
_BUDGET_S = 0.6


class FusedFloatLSTM(Int8LSTM):
    """An LSTM that runs in the compiled kernels of `Int8LSTM`, but multiplies in floats.

    Beside `nn.LSTM` and `Int8LSTM` it tells apart what makes the latter fast: with float32 weights
    it shares only the fusion of all steps into one call; with int8 weights, also the fewer bytes;
    what then remains is the integer arithmetic. Activations are not quantized.
    """

    @classmethod
    def from_float(  # type: ignore[override]  # no scheme: activations stay floats
        cls, lstm: nn.LSTM, *, weights: str = "float32"
    ) -> FusedFloatLSTM:
        """Take over an `nn.LSTM`, its weights as they are, or quantized as those of `Int8LSTM`.

        Args:
            lstm: The layers.
            weights: "float32" or "int8".

        Raises:
            ArgumentError: `weights` is neither.
            ModelError: As for `Int8LSTM.from_float`.
            EngineError: There is no compiled code on this machine.
        """
        checks.one_of("weights", weights, ("float32", "int8"))
        if not (state := fast_path()).available:
            raise EngineError("FusedFloatLSTM has no kernel: {reason}", reason=state.reason)
        from int8_rnn.fast.ways import float_tiles  # which needs the compiled kernels

        # The kernels' float arithmetic knows neither scales of columns nor residuals.
        made = super().from_float(lstm, scheme=Scheme(columns=False, residual=False))
        for name, (rows, _depth, gates, _bias) in made._sizes.items():
            if weights == "float32":
                ones, zeros, bias = torch.ones(rows), torch.zeros(rows), made._weight(name).bias
                made._buffers[f"{name}_tiles"] = float_tiles(getattr(lstm, name).detach(), gates)
                terms = ones, zeros if bias is None else bias, zeros
                made._buffers[f"{name}_terms"] = pack_terms(terms, gates)
        return made

    def bits_of(self, name: str) -> tuple[int, bool]:
        """Activations of 32 bits, which are floats."""
        return 32, True

    def _run_reference(self, data: Tensor, *others: Any) -> NoReturn:
        raise InputError(
            "input is a {what}; pass a float32 tensor of shape (steps, batch, {size}), and "
            "as hx None or a pair of states that fit.",
            what=checks.describe(data),
            size=self.input_size,
        )


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


def _point(width: int, sequence_length: int, budget_s: float) -> GainPoint:
    pair = make_pair(width=width, sequence_length=sequence_length)
    lstm: Any = pair.model.lstm
    fused = FusedFloatLSTM.from_float(lstm), FusedFloatLSTM.from_float(lstm, weights="int8")
    models = (pair.model, _native(pair.model), pair.quantized, *fused, Int8LSTM.from_float(lstm))
    calls = [partial(model, *pair.arguments) for model in models]
    return GainPoint(width, *interleave(calls, budget_s))


def _native(model: nn.Module) -> Callable[..., Any]:
    """The model without oneDNN."""

    def call(*inputs: Any) -> Any:
        with settings.without_onednn():
            return model(*inputs)

    return call


def _ratio(slower: Timing, faster: Timing) -> Ratio:
    return ratio_of_rounds(slower.times_us, faster.times_us)
