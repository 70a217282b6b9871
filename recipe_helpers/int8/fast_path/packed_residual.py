"""The residual of a weight: a linear layer of a few rows, added to what the weight gives."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..residual import checked_residual, has_residual, residual_names
from ..scheme import Scheme
from .packed_weights import PackedLinear, Tensors, tensors_of
from .packing import UNITS, Watch


class PackedResidual:
    """The residual of one weight of a module in packed form.

    Attributes:
        names: Of its buffers, in the order of `Residual`.
        rows: int64 (R,), which rows of the weight have one.
        watches: What has to stay as it is, by its name.
    """

    def __init__(self, tensors: Tensors, weight: str, scheme: Scheme, most: int) -> None:
        self.names = residual_names(weight)
        (whole,) = tensors_of(tensors, [weight])
        found = [tensors.get(name) for name in self.names]
        rows, values, _ = checked_residual(weight, whole, found)
        # Watched first, as in KeptMatrix; and a copy, which nobody can change unseen.
        watch, self.rows = Watch(rows), rows.cpu().clone()
        self._linear = PackedLinear({"weight": values}, scheme, most)
        self.watches = [(self.names[0], watch), (self.names[1], self._linear.kept.watch)]
        self._columns = f"{weight}_columns"

    def is_of(self, tensors: Tensors) -> bool:
        """Whether this still is the residual that was packed."""
        return all(watch.unchanged(tensors.get(name)) for name, watch in self.watches)

    def small(self, tensors: Tensors) -> dict[str, Tensor | None]:
        """What `run` reads anew at every call."""
        scale, columns = tensors[self.names[2]], tensors.get(self._columns)
        return {"weight_scale": scale, "weight_columns": columns}

    def run(self, small: Tensors, x: Tensor) -> Tensor:
        """What it adds: float32 (rows, R) for `x` (rows, in), contiguous."""
        y = x.new_empty(len(x), len(self.rows))
        self._linear.run(small, x, y)
        return y

    def places(self, gates: int, hidden: int) -> np.ndarray:
        """Where its rows, (gates · hidden), stand in a row of sums; see `packed_task`."""
        gate, unit = (part.numpy() for part in (self.rows // hidden, self.rows % hidden))
        return unit // UNITS * UNITS * gates + gate * UNITS + unit % UNITS


def residual_in(tensors: Tensors, weight: str, scheme: Scheme, most: int) -> PackedResidual | None:
    """The residual of a weight, packed, if it has one."""
    return PackedResidual(tensors, weight, scheme, most) if has_residual(tensors, weight) else None


class LinearWithResidual:
    """The weight of an Int8Linear in packed form, and its residual, if it has one."""

    def __init__(self, tensors: Tensors, scheme: Scheme, most: int) -> None:
        self.scheme = scheme
        self._linear = PackedLinear(tensors, scheme, most)
        self._residual = residual_in(tensors, "weight", scheme, most)

    def is_of(self, tensors: Tensors) -> bool:
        """Whether these still are the weights that were packed."""
        if not self._linear.is_of(tensors):
            return False
        if self._residual is None:
            return not has_residual(tensors, "weight")
        return self._residual.is_of(tensors)

    def run(self, tensors: Tensors, x: Tensor) -> Tensor:
        """What x (rows, in), contiguous, gives: (rows, out)."""
        y = x.new_empty(len(x), self._linear.outputs)
        self._linear.run(tensors, x, y)
        if self._residual is not None:
            more = self._residual.run(self._residual.small(tensors), x)
            y.index_add_(1, self._residual.rows, more)
        return y
