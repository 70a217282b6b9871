"""The Python side of packed layers: what a call costs beside its arithmetic, kept small.

At width 8 the arithmetic of twenty steps takes 4 µs, so what surrounds it decides. Hence whatever
follows from the sizes of a call is kept for the next one of the same sizes (`PackedCall`), and all
tensors of a module are looked at in one glance (`PackedModule`).
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Sequence
from operator import is_
from typing import Any

from torch import Tensor

from .packed_layer import ALL, run_packed
from .packed_plans import PackedLayer, PackedPlan, Sizes
from .packed_residual import LinearWithResidual
from .packed_weights import Tensors
from .packing import address_of
from .sharing import share
from .tensors import KEPT
from .wide import FEWEST_ROWS, plan_for

_CALL = struct.Struct("@7q")  # the part of a PackedTask that every call writes
_KEPT_CALLS = 16


class PackedModule:
    """The packed layers of a module, and what is known of calls that it has served.

    Attributes:
        scheme: The scheme they were packed for.
        layers: In the order of `nn.LSTM`: both directions of a layer follow each other.
        calls: By what the caller tells them apart.
    """

    def __init__(self, module: Any, suffixes: Sequence[str], before: PackedModule | None) -> None:
        """Pack the weights that are not those of `before` any more."""
        tensors, self.scheme = module._buffers, module.scheme
        reusable: dict[str, PackedLayer] = {}
        if before is not None and before.scheme is self.scheme:
            current = [layer for layer in before.layers if layer.is_current(tensors)]
            reusable = {layer.suffix: layer for layer in current}
        self.layers: list[PackedLayer] = [
            reusable.get(suffix) or PackedLayer(module, suffix) for suffix in suffixes
        ]
        self.calls: dict[Hashable, PackedCall] = {}
        self._spare: dict[Hashable, list[PackedPlan]] = {}
        self._look_at(tensors)

    def _look_at(self, tensors: Tensors) -> None:
        """Note what a glance has to find again: each tensor, and where its memory lies."""
        weights: dict[int, int] = {}
        others: dict[int, int] = {}
        for layer in self.layers:
            weights.update(layer.addresses_of_weights())
            others.update(layer.addresses_of_others())
        found = tuple(tensors.values())
        present = [tensor for tensor in found if tensor is not None]
        watched = [tensor for tensor in present if id(tensor) in weights]
        plain = [tensor for tensor in present if id(tensor) in others]
        watched_at = [weights[id(tensor)] for tensor in watched]
        plain_at = [others[id(tensor)] for tensor in plain]
        self._seen = found, watched, watched_at, plain, plain_at  # at once, for other threads

    def is_current(self, tensors: Tensors) -> bool:
        """Whether these still are the weights that were packed."""
        found, watched, watched_at, plain, plain_at = self._seen
        if (
            len(tensors) == len(found)
            and all(map(is_, tensors.values(), found))
            and [*map(address_of, watched)] == watched_at
            and [*map(Tensor.data_ptr, plain)] == plain_at
        ):
            return True
        if not all(layer.is_current(tensors) for layer in self.layers):
            return False
        self._look_at(tensors)
        return True

    def known(self, module: Any, key: Hashable) -> PackedCall | None:
        """The call known by this key, if no weight has changed since; None otherwise."""
        call = self.calls.get(key)
        if call is None or self.scheme is not module.scheme:
            return None
        return call if self.is_current(module._buffers) else None

    def call(
        self, key: Hashable, leading: Sequence[int], batch_sizes: tuple[int, ...], directions: int,
        allowed: int,
    ) -> PackedCall:  # fmt: skip
        """The call known by this key, made if there is none; else the arguments of PackedCall."""
        call = self.calls.get(key)
        if call is None:
            if len(self.calls) >= _KEPT_CALLS:
                self.calls.clear()
            if len(self._spare) >= _KEPT_CALLS * len(self.layers):
                self._spare.clear()
            call = PackedCall(self.layers, self._spare, leading, batch_sizes, directions, allowed)
            self.calls[key] = call
        return call


def packed_module(module: Any, suffixes: Sequence[str]) -> PackedModule:
    """The packed weights of a module, made anew where they have changed."""
    kept: PackedModule | None = module.__dict__.get(KEPT)
    if kept is None or kept.scheme is not module.scheme or not kept.is_current(module._buffers):
        kept = module.__dict__[KEPT] = PackedModule(module, suffixes, kept)
    return kept


class PackedCall:
    """All that follows from the sizes of a call.

    Attributes:
        state_shapes: Of the hidden (layers · directions, batch, outputs) and, of an LSTM, the cell
            state.
    """

    def __init__(
        self, layers: Sequence[PackedLayer], spare: dict[Hashable, list[PackedPlan]],
        leading: Sequence[int], batch_sizes: tuple[int, ...], directions: int, allowed: int,
    ) -> None:  # fmt: skip
        """A call on float32 (*leading, inputs).

        Args:
            layers: As in PackedModule.
            spare: Plans that no call is using, by what they have to have in common.
            leading: (rows,) or (steps, batch).
            batch_sizes: Rows of each step.
            directions: 1 or 2.
            allowed: Threads that may take part.
        """
        first, count, batch = layers[0], len(layers), batch_sizes[0]
        widths = (first.outputs, first.hidden) if first.gates == 4 else (first.outputs,)
        self.state_shapes = [(count, batch, width) for width in widths]
        self._output_shape = *leading, directions * first.outputs
        self._h_step, self._c_step = 4 * batch * first.outputs, 4 * batch * first.hidden
        self._parts: list[tuple[PackedLayer, Sizes, int, list[PackedPlan]]] = []
        for index, layer in enumerate(layers):
            sizes = Sizes(batch_sizes, index % directions, directions, allowed)
            # The library's plans, for many rows, are made for just so many steps.
            steps = batch_sizes if batch >= FEWEST_ROWS else sizes.chunk
            alike = index, batch, steps, allowed, layer.threads(sizes)
            free = spare.setdefault(alike, [])
            self._parts.append((layer, sizes, 4 * sizes.reverse * first.outputs, free))

    def run(
        self, data: Tensor, states: Sequence[Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers, one after the other.

        Args:
            data: float32 (*leading, inputs).
            states: Initial states of `state_shapes`, contiguous; zeros if None.

        Returns:
            The outputs of the last layer, and the final states.
        """
        # A GRU has no cell state, and its kernel looks at no address of one.
        finals = [data.new_empty(*shape) for shape in self.state_shapes]
        h_at, c_at = finals[0].data_ptr(), finals[-1].data_ptr()
        h0_at = c0_at = 0
        if states is not None:
            h0_at, c0_at = states[0].data_ptr(), states[-1].data_ptr()
        for layer, sizes, reverse_at, free in self._parts:
            if not reverse_at:
                x = data.contiguous()
                data = x.new_empty(*self._output_shape)
            try:
                plan = free.pop()
            except IndexError:
                plan = plan_for(layer, sizes)
            if plan.sizes is not sizes:
                plan.turn_to(sizes)
            small = layer.small  # held while the compiled code reads it, as is `more`
            if plan.small is not small:
                plan.tell_addresses(small)
            more = None if layer.residual is None else layer.run_residual(x)
            more_at = 0 if more is None else more.data_ptr()
            y_at = data.data_ptr() + reverse_at
            _CALL.pack_into(plan.numbers, 0, x.data_ptr(), y_at, h0_at, c0_at, h_at, c_at, more_at)
            if plan.threads == 1:
                plan.run()
            else:
                run_packed(plan.task_at, 0, 0, 1, ALL)
                keep = x, data, finals, states, small, more
                share(_take_part, plan, plan.blocks, plan.threads, keep)
            if plan.reusable:
                free.append(plan)
            h_at, c_at = h_at + self._h_step, c_at + self._c_step
            if states is not None:
                h0_at, c0_at = h0_at + self._h_step, c0_at + self._c_step
        return data, tuple(finals)


def _take_part(plan: PackedPlan, start: int, own: int) -> None:
    run_packed(plan.task_at, start, own, 0, ALL)


def run_packed_linear(module: Any, rows: Tensor) -> Tensor:
    """An Int8Linear, (rows, in) gives (rows, out)."""
    tensors, scheme = module._buffers, module.scheme
    kept: LinearWithResidual | None = module.__dict__.get(KEPT)
    if kept is None or kept.scheme is not scheme or not kept.is_of(tensors):
        most = scheme.largest_integer(module.activation_bits)
        kept = module.__dict__[KEPT] = LinearWithResidual(tensors, scheme, most)
    return kept.run(tensors, rows.contiguous())
