"""What follows from the rows of `peers.py`: who leads where, which targets are met, one sentence.

Everything here is computed from rows, which may as well be made up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from contenders import EARLIER, EIGHT_BIT, ONNX_INT8, OURS, PEERS, SHARED, TORCH
from rows import Row

from recipe_helpers.common.tables import Table
from recipe_helpers.recipe.timing import SMALLEST_DIFFERENCE, Ratio

MET, LEVEL, MISSED = "met", "level", "missed"


@dataclass(frozen=True)
class Kind:
    """The kind of CPU that the rows were measured on."""

    cpu: str
    instructions: str  # what PyTorch uses of it
    u8s8_dot: bool  # whether our kernels count it as one with products that do not saturate

    def __str__(self) -> str:
        plain = f"{self.cpu} ({self.instructions})"
        return f"{plain}, taken as a CPU {self.in_short}"

    @property
    def in_short(self) -> str:
        """The kind alone."""
        return f"{'with' if self.u8s8_dot else 'without'} VNNI or the like"


@dataclass(frozen=True)
class Start:
    """Seconds that the compiled code takes to be ready."""

    first_s: float  # with nothing kept from before
    kept_s: float  # in the next process


@dataclass(frozen=True)
class Target:
    """Something to reach in every row that it is about.

    `value` is compared with `bound`: a Ratio is to be at least that, a number at most that.
    """

    title: str
    bound: float
    about: Callable[[Row], bool]
    value: Callable[[Row], Ratio | float]
    asks_us: Callable[[Row], float] | None = None  # of 16-bit activations: the time that meets it

    def beyond(self, row: Row) -> bool:
        """Whether it asks for less time than the multiplications alone take on this machine."""
        least = row.limits.arithmetic_us(row.case.macs)
        return self.asks_us is not None and self.asks_us(row) < least

    def verdict(self, row: Row) -> str:
        """MET or MISSED; LEVEL where a ratio falls short by no more than the noise."""
        value = self.value(row)
        if not isinstance(value, Ratio):
            return MET if value <= self.bound else MISSED
        if value.median >= self.bound:
            return MET
        noise = row.noise()
        reach = max(value.high, value.median * max(noise.high, 1 / noise.low))
        return LEVEL if reach >= self.bound * (1 - SMALLEST_DIFFERENCE) else MISSED

    def worst(self, rows: Iterable[Row]) -> Row:
        """The row that is furthest from it, or nearest to missing it."""

        def margin(row: Row) -> float:
            value = self.value(row)
            return value.median if isinstance(value, Ratio) else -value

        return min(rows, key=margin)

    def line(self, rows: Sequence[Row]) -> list[str] | None:
        """Title, worst value and its row, verdict, rows missed, rows beyond; None if about none."""
        about = [row for row in rows if self.about(row)]
        if not about:
            return None
        worst = self.worst(about)
        verdicts = [self.verdict(row) for row in about]
        missed = [row for row, found in zip(about, verdicts, strict=True) if found == MISSED]
        verdict = MISSED if missed else LEVEL if LEVEL in verdicts else MET
        beyond = [row for row in missed if self.beyond(row)]
        return [
            self.title, shown(self.value(worst)), where([worst]), verdict, where(missed) or "-",
            where(beyond) or "-",
        ]  # fmt: skip


def shown(value: Ratio | float) -> str:
    """A ratio with its interval, or an error."""
    if isinstance(value, Ratio):
        return f"{value.median:.2f} [{value.low:.2f}, {value.high:.2f}]"
    return f"{value:.2%}"


def where(rows: Iterable[Row]) -> str:
    """Cases in few words: `batch 1: 8, 32; batch 64: 128`."""
    widths: dict[str, list[str]] = {}
    for row in rows:
        case = row.case
        more = f", {case.threads} threads" * (case.threads > 1)
        more += f", {case.layers} layers" * (case.layers > 1)
        widths.setdefault(f"batch {case.batch}{more}", []).append(str(case.width))
    return "; ".join(f"{batch}: {', '.join(some)}" for batch, some in widths.items())


def _faster(title: str, than: Sequence[str], bound: float, mode: str, about: Callable) -> Target:
    def takes_part(row: Row) -> bool:
        return about(row) and row.has(mode) and bool(row.some(than))

    def asks_us(row: Row) -> float:
        best = row.best(than)
        assert best is not None
        return best.median_us / bound

    value = functools.partial(Row.lead, names=than, mode=mode)
    return Target(title, bound, takes_part, value, asks_us if mode == OURS else None)


def targets(kind: Kind) -> list[Target]:
    """What is to be reached on this kind of CPU."""
    single = {True: _single_with_vnni(), False: _single_without_vnni()}[kind.u8s8_dot]
    several = [
        _faster("several rows, exact: at least as fast as PyTorch", TORCH, 1.0, OURS, _several),
        _faster(
            "several rows, exact: 0.9 of ONNX Runtime INT8", ONNX_INT8, 0.9, OURS, _several
        ),
        _faster(
            "several rows, 8-bit: ahead of ONNX Runtime INT8", ONNX_INT8, 1.0, EIGHT_BIT, _several
        ),
    ]  # fmt: skip
    return [*single, *several, *_everywhere()]


def _single_with_vnni() -> list[Target]:
    def narrow(width: int) -> Callable[[Row], bool]:
        return lambda row: _single(row) and row.case.width <= width

    return [
        _faster("one row, exact: at least as fast as every peer", PEERS, 1.0, OURS, _single),
        _faster("one row to width 128, exact: 1.5 times", PEERS, 1.5, OURS, narrow(128)),
        _faster(
            "one row to width 512, 8-bit: 1.4 times ONNX Runtime INT8",
            ONNX_INT8, 1.4, EIGHT_BIT, narrow(512),
        ),
    ]  # fmt: skip


def _single_without_vnni() -> list[Target]:
    return [
        _faster("one row, 8-bit: ahead of ONNX Runtime INT8", ONNX_INT8, 1.0, EIGHT_BIT, _single),
        _faster("one row, exact: never below the version before", [EARLIER], 1.0, OURS, _single),
    ]  # fmt: skip


def _everywhere() -> list[Target]:
    def both(row: Row) -> bool:
        return row.has(EIGHT_BIT) and bool(row.some(ONNX_INT8))

    return [
        _faster("one row: a second thread costs no time", [OURS], 1.0, SHARED, _single),
        Target("error, exact: at most 0.41 %", 0.0041, lambda row: True, lambda r: r.ours.error),
        Target(
            "error, 8-bit: below ONNX Runtime's (share of it)", 0.9999, both,
            lambda row: row.entry(EIGHT_BIT).error / row.least_error(ONNX_INT8),
        ),
    ]  # fmt: skip


def _single(row: Row) -> bool:
    return (row.case.batch, row.case.threads, row.case.layers) == (1, 1, 1)


def _several(row: Row) -> bool:
    return row.case.batch > 1


def target_table(rows: Sequence[Row], kind: Kind, start: Start | None = None) -> Table:
    """A line per target: the worst row, its value, whether it is met, and where it is missed.

    What a target asks for can lie beyond what the CPU multiplies in that time: with 16-bit
    activations each multiply-add takes two products of bytes, or one of twice their size.
    """
    lines = [line for target in targets(kind) if (line := target.line(rows)) is not None]
    if start is not None:
        for title, found, most in (
            ("ready at first, with compiling: at most 5 s", start.first_s, 5.0),
            ("ready in a later process: at most 0.5 s", start.kept_s, 0.5),
        ):
            verdict = MET if found <= most else MISSED
            lines.append([title, f"{found:.2f} s", "", verdict, "-", "-"])
    headers = (
        "target", "worst value", "worst row", "verdict", "missed in",
        "of these, beyond the limit of arithmetic",
    )  # fmt: skip
    return Table(headers, lines, caption=f"Targets on {kind}")


def lead_table(rows: Sequence[Row], kind: Kind) -> Table:
    """For each of our modes the rows it leads in time, in error, in both."""
    lines = []
    for mode in (OURS, EIGHT_BIT):
        some = [row for row in rows if row.has(mode)]
        in_time = [row for row in some if row.verdict(mode) == "yes"]
        level = [row for row in some if row.verdict(mode) == "level"]
        in_error = [row for row in some if row.most_exact(mode)]
        both = [row for row in in_time if row in in_error]
        for what, found in (
            ("time", in_time), ("(level in time)", level), ("error", in_error), ("both", both),
        ):  # fmt: skip
            lines.append([mode, what, f"{len(found)} of {len(some)}", where(found) or "-"])
    caption = f"Rows led against every peer, on {kind}"
    return Table(("mode", "leads in", "rows", "which"), lines, caption=caption)


def sentence(rows: Sequence[Row], kind: Kind) -> str:
    """The README's sentence about speed, for this machine, from its rows on one thread."""
    parts = []
    single = [row for row in rows if _single(row)]
    several = [row for row in rows if _several(row) and row.case.threads == 1]
    if single:
        parts.append(
            f"On a CPU {kind.in_short}, at batch 1 and one thread, `rh.Int8LSTM` is "
            f"{_range(row.lead(TORCH) for row in single)} times as fast as the faster of PyTorch's "
            f"FP32 and INT8{_beside_onnx(single, OURS)}, at widths {_widths(single)}"
            f"{_errors(single, OURS)}."
        )
    if single and all(row.has(EIGHT_BIT) and row.some(ONNX_INT8) for row in single):
        onnx = _range(row.lead(ONNX_INT8, EIGHT_BIT) for row in single)
        parts.append(
            f"With `activation_bits=8` it is {onnx} times as fast as ONNX Runtime's INT8"
            f"{_errors(single, EIGHT_BIT)}."
        )
    if several:
        batches = " and ".join(sorted({str(row.case.batch) for row in several}, key=int))
        parts.append(
            f"At batch {batches} it is {_range(row.lead(TORCH) for row in several)} times as fast "
            f"as the faster of PyTorch's two{_beside_onnx(several, OURS)}."
        )
    if several and all(row.has(EIGHT_BIT) and row.some(ONNX_INT8) for row in several):
        onnx = _range(row.lead(ONNX_INT8, EIGHT_BIT) for row in several)
        parts.append(f"With 8 bits it is {onnx} times as fast as ONNX Runtime's INT8 there.")
    return " ".join(parts)


def _beside_onnx(rows: Sequence[Row], mode: str) -> str:
    if not all(row.some(ONNX_INT8) for row in rows):
        return ""
    ratios = _range(row.lead(ONNX_INT8, mode) for row in rows)
    return f" and {ratios} times as fast as ONNX Runtime's INT8"


def _errors(rows: Sequence[Row], mode: str) -> str:
    ours = _percent(row.entry(mode).error for row in rows)
    if not all(row.some(ONNX_INT8) for row in rows):
        return f", with an error of {ours}"
    onnx = _percent(row.least_error(ONNX_INT8) for row in rows)
    return f", with an error of {ours} where ONNX Runtime has {onnx} at best"


def _range(ratios: Iterable[Ratio]) -> str:
    middle = [ratio.median for ratio in ratios]
    return f"{min(middle):.1f} to {max(middle):.1f}"


def _percent(errors: Iterable[float]) -> str:
    errors = list(errors)
    return f"{100 * min(errors):.2f} to {100 * max(errors):.2f} %"


def _widths(rows: Sequence[Row]) -> str:
    widths = [row.case.width for row in rows]
    return f"from {min(widths)} to {max(widths)}"
