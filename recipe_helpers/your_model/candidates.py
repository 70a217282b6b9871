"""Your own model: one way to quantize it, and what came of it.

A candidate is measured as a whole, then module by module; where the whole is too far from the
float model, or cannot run, it is built again with the modules left FP32 that are to blame, and
measured again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from ..common.errors import NothingQuantizedError, RecipeError
from ..common.language import N_, _, told
from ..common.onnx_runtime import OnnxModel
from ..common.tables import Shown, Table, in_bytes
from ..recipe.inspection import Conversion, Converted, LeftAlone
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison, in_short
from ..recipe.size import SizeBreakdown, SizeComparison, size_breakdown
from .promises import BROKEN, CLOSE, Limits, Promise, judge_costs, judge_outputs
from .task_error import OutputErrors

# Name of each way to quantize -> the arguments of quantize_dynamic.
WAYS: dict[str, dict[str, str]] = {
    "torch.ao": {"backend": "torch.ao"},
    "torch.ao-per-channel": {"backend": "torch.ao", "weights": "per-channel"},
    "plain": {"backend": "plain"},
}
ONNX = "onnxruntime"  # outside PyTorch, and tried only where it is asked for
EVERY_WAY = (*WAYS, ONNX)
MOST_MODULES = 24  # that are measured alone, the largest ones
LONGEST_S = 5.0  # for all modules of one conversion
_MOST_ROWS = 12  # of modules with their bytes


@dataclass(frozen=True)
class ModuleSize:
    """The numbers of one module in the two state dicts, without names and containers."""

    name: str
    kind: str
    float_bytes: int  # in the float model; weights that an earlier module holds count there
    int8_bytes: int  # in the converted model
    converted: bool


@dataclass(frozen=True)
class ModuleBytes(Shown):
    """The largest modules, and the sum over the others."""

    modules: tuple[ModuleSize, ...]
    others: int
    others_bytes: int  # in the float model

    @property
    def total_bytes(self) -> int:
        """All of the float model."""
        return sum(module.float_bytes for module in self.modules) + self.others_bytes

    def table(self) -> Table:
        """One row per module, the largest first."""
        rows = [
            (
                m.name or _("(the model)"),
                m.kind,
                f"{in_bytes(m.float_bytes)} ({m.float_bytes / max(self.total_bytes, 1):.0%})",
                in_bytes(m.int8_bytes),
                "INT8" if m.converted else _("stays FP32"),
            )
            for m in self.modules
        ]
        if self.others:
            others = _("{count:,} others", count=self.others)
            rows.append((others, "", in_bytes(self.others_bytes), "", ""))
        headers = (_("weights of"), _("type"), _("FP32 (share)"), _("converted"), "")
        return Table(headers, rows)


@dataclass(frozen=True)
class ModuleError:
    """What converting one module, and no other, does to the model's output."""

    name: str
    kind: str
    relative: float  # the largest relative error of an output tensor; NaN where it cannot run
    error: RecipeError | None = None  # of the converted module, where it cannot run

    @property
    def failure(self) -> str | None:
        """Why it cannot run, or None."""
        return None if self.error is None else told(self.error)

    @property
    def left_float(self) -> str:
        """Why it is left FP32: what its conversion costs."""
        if self.failure:
            return _("left FP32: fails when converted: {failure}", failure=self.failure)
        return _(
            "left FP32: alone it costs a relative error of {relative:.2%}", relative=self.relative
        )


@dataclass(frozen=True)
class Sensitivity(Shown):
    """The modules measured alone, the worst first; `not_measured` counts those left out."""

    modules: tuple[ModuleError, ...]
    not_measured: int

    @property
    def worst(self) -> ModuleError | None:
        """The module whose conversion costs most."""
        return self.modules[0] if self.modules else None

    def left_out(self, count: int) -> Iterator[tuple[ModuleError, ...]]:
        """Which of so many modules to leave FP32, the most sensitive first, ever more of them.

        Every try is a model that is built and run, since errors do not simply add up. What cannot
        run is left out from the start, and at least one module is converted.
        """
        left = max(1, sum(module.error is not None for module in self.modules))
        while left < count and left <= len(self.modules):
            yield self.modules[:left]
            left += 1 if left < 8 else left // 2

    def table(self) -> Table:
        """One row per module, and how many were left out."""
        rows = [
            (m.name or _("(the model)"), m.kind, m.failure or f"{m.relative:.3%}")
            for m in self.modules
        ]
        note = ""
        if self.not_measured:
            note = _(
                "{count:,} smaller modules were not measured alone: at most {most} are, for at "
                "most {seconds:g} seconds.",
                count=self.not_measured,
                most=MOST_MODULES,
                seconds=LONGEST_S,
            )
        headers = (_("converted alone"), _("type"), _("relative error of the output"))
        return Table(headers, rows, "", note)


@dataclass(frozen=True)
class Measured(OutputErrors):
    """One int8 model beside the float one: what was converted, and what was promised."""

    made: Conversion
    left: tuple[ModuleError, ...]  # what was left FP32 on purpose
    size: SizeComparison
    modules: ModuleBytes
    memory: MemoryComparison | None  # on one thread
    memory_error: RecipeError | None  # why it could not be measured
    latencies: tuple[LatencyComparison, ...]  # at the caller's number of threads first
    metric: float | None  # the caller's
    reference_metric: float | None  # of the float model
    limits: Limits

    @property
    def conversion(self) -> Conversion:
        """What was converted, and what was not, and why."""
        why = {module.name: module.left_float for module in self.left}
        left = [one.because(why.get(one.name)) for one in self.made.left_alone]
        return replace(self.made, left_alone=tuple(left))

    @property
    def promises(self) -> tuple[Promise, ...]:
        """Smaller, faster, a gain, nearly the same output: what was kept, in words."""
        costs = judge_costs(self.size.ratio, self.latencies[0], self.limits)
        return *costs, *judge_outputs(self, self.reference_metric, self.metric, self.limits)

    @property
    def broken(self) -> tuple[Promise, ...]:
        """The promises that were not kept."""
        return tuple(promise for promise in self.promises if promise.state == BROKEN)

    def promise(self, name: str) -> Promise:
        """The (first) promise of this name."""
        return next(promise for promise in self.promises if promise.name == name)

    @property
    def close(self) -> bool:
        """Whether the output is nearly the same."""
        return all(promise.name != CLOSE for promise in self.broken)

    def tables(self) -> Iterator[Table]:
        """Promises, modules, bytes, times, outputs."""
        promises = [(_(p.name), _(p.state), p.sentence) for p in self.promises]
        yield Table((_("promise"), "", _("measured")), promises, "", self.meaning)
        parts = self.conversion, self.size, self.modules, self.memory, *self.latencies
        yield from (part.table() for part in parts if part is not None)
        for index, outputs in enumerate(self.outputs, 1):
            name = _("outputs")
            if len(self.outputs) > 1:
                name = _("outputs, input set {index}", index=index)
            yield replace(outputs.table(), caption=name)


@dataclass(frozen=True)
class Candidate:
    """One way to quantize the model, measured."""

    name: str  # one of `EVERY_WAY`
    error: RecipeError | None = None  # of the conversion as a whole, where that failed
    whole: Measured | None = None  # everything converted; None after a failure
    sensitivity: Sensitivity | None = None  # each module converted alone
    partly: Measured | None = None  # some modules left FP32, where that mends it

    @property
    def failure(self) -> str | None:
        """Why the model cannot be converted as a whole, or None."""
        return None if self.error is None else told(self.error)

    @property
    def left_float(self) -> tuple[str, ...]:
        """The modules that are left FP32 in `partly`."""
        return tuple(module.name for module in self.partly.left) if self.partly else ()

    @property
    def best(self) -> Measured | None:
        """The conversion to look at: the mended one if there is one, else the whole."""
        return self.partly or self.whole

    def tables(self) -> list[Table]:
        """Its own tables: those of the best conversion, and the modules one by one."""
        made = list(self.best.tables()) if self.best is not None else []
        if self.sensitivity is not None and self.sensitivity.modules:
            made.append(self.sensitivity.table())
        return made

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Its rows in the table of all: the failure, the whole, the mended one."""
        if self.error is not None:
            yield self.name, "", "", "", "", _("fails: {failure}", failure=self.failure)
        left = _("{name}, {count} left FP32", name=self.name, count=len(self.left_float))
        for name, found in ((self.name, self.whole), (left, self.partly)):
            if found is not None:
                broken = ", ".join(_(name) for name in dict.fromkeys(p.name for p in found.broken))
                yield (
                    name,
                    f"{found.size.ratio:.2f}",
                    in_short(found.memory) if found.memory is not None else "",
                    str(found.latencies[0].speedup),
                    f"{found.relative:.2%}",
                    _("not {broken}", broken=broken) if broken else _("within the limits"),
                )


def bytes_by_module(model: nn.Module, quantized: nn.Module, conversion: Conversion) -> ModuleBytes:
    """Share out the payload of the two state dicts over the modules, the largest first."""
    now = {done.name for done in conversion.converted}
    seen: set[int] = set()  # tensors that modules share count once
    sizes = []
    for name, part in model.named_modules():
        before = 0
        for key, tensor in part.state_dict(keep_vars=True).items():
            if "." not in key and tensor.data_ptr() not in seen:
                before += tensor.nbytes
                seen.add(tensor.data_ptr())
        if before or name in now:
            kept = name not in now
            after = before if kept else size_breakdown(quantized.get_submodule(name)).payload_bytes
            sizes.append(ModuleSize(name, type(part).__name__, before, after, not kept))
    return _largest(sizes)


def described_graph(
    model: nn.Module, made: OnnxModel
) -> tuple[Conversion, SizeComparison, ModuleBytes]:
    """The products of a graph as modules, and the graph's file as a state dict."""
    done = [node for node in made.nodes if node.quantized]
    left = [node for node in made.nodes if not node.quantized]
    if not done:
        raise NothingQuantizedError(
            "model has no product that ONNX Runtime quantizes; it converts LSTMs and products with "
            "constant weights."
        )
    why = N_("ONNX Runtime has no dynamic quantization for it")
    conversion = Conversion(
        tuple(Converted(node.name, "float32", node.operator) for node in done),
        tuple(LeftAlone(node.name, node.operator, node.weight_bytes // 4, why) for node in left),
    )
    int8, floats = (sum(node.weight_bytes for node in nodes) for nodes in (done, left))
    file = SizeBreakdown(int8, floats, 0, len(made.graph) - int8 - floats)
    sizes = [
        ModuleSize(n.name, n.operator, n.float_bytes, n.weight_bytes, n.quantized)
        for n in made.nodes
    ]
    return conversion, SizeComparison(size_breakdown(model), file), _largest(sizes)


def _largest(sizes: Sequence[ModuleSize]) -> ModuleBytes:
    ordered = sorted(sizes, key=lambda one: -one.float_bytes)
    rest = ordered[_MOST_ROWS:]
    others_bytes = sum(one.float_bytes for one in rest)
    return ModuleBytes(tuple(ordered[:_MOST_ROWS]), len(rest), others_bytes)
