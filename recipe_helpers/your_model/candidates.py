"""Your own model: one way to quantize it, and what came of it.

A candidate is measured as a whole, then module by module; where the whole is too far from the
float model, or cannot run, it is built again with the modules left FP32 that are to blame, and
measured again.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..recipe.accuracy import OutputComparison
from ..recipe.inspection import Conversion
from ..recipe.latency import LatencyComparison
from ..recipe.memory import MemoryComparison
from ..recipe.size import SizeComparison
from .module_bytes import ModuleBytes
from .promises import BROKEN, CLOSE, Promise
from .sensitivity import Sensitivity
from .task_error import TaskError

# Name of each way to quantize -> the arguments of quantize_dynamic.
WAYS: dict[str, dict[str, str]] = {
    "torch.ao": {"backend": "torch.ao"},
    "torch.ao-per-channel": {"backend": "torch.ao", "weights": "per-channel"},
    "plain": {"backend": "plain"},
}
ONNX = "onnxruntime"  # outside PyTorch, and tried only where it is asked for
EVERY_WAY = (*WAYS, ONNX)


@dataclass(frozen=True)
class Measured:
    """One int8 model beside the float one: what was converted, and the three promises.

    Attributes:
        conversion: which modules were converted, and why others were not.
        size: the two state dicts.
        modules: the bytes of the modules, the largest first.
        memory: what both take once loaded and during a call, on one thread; or None.
        latencies: the time of one call, at the caller's number of threads first.
        outputs: the difference of every output tensor, one comparison for each input set.
        relative: the largest relative error of an output tensor.
        place: where that is.
        task: what the error of the first output means.
        metric: the caller's metric, or None.
        promises: smaller, faster, nearly the same output (twice where a metric counts as well).
    """

    conversion: Conversion
    size: SizeComparison
    modules: ModuleBytes
    memory: MemoryComparison | None
    latencies: tuple[LatencyComparison, ...]
    outputs: tuple[OutputComparison, ...]
    relative: float
    place: str
    task: TaskError
    metric: float | None
    promises: tuple[Promise, ...]

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


@dataclass(frozen=True)
class Candidate:
    """One way to quantize the model, measured.

    Attributes:
        name: one of `EVERY_WAY`.
        failure: why the model cannot be converted as a whole, or None.
        whole: everything converted; None after a failure.
        sensitivity: each module converted alone; None where nothing could be converted.
        left_float: the modules that are left FP32 in `partly`.
        partly: the model without those, where leaving them out mends it; or None.
    """

    name: str
    failure: str | None
    whole: Measured | None
    sensitivity: Sensitivity | None
    left_float: tuple[str, ...]
    partly: Measured | None

    @property
    def best(self) -> Measured | None:
        """The conversion to look at: the mended one if there is one, else the whole."""
        return self.partly or self.whole
