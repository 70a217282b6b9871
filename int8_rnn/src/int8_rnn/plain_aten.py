"""An exported program without this package's operator: the reference, with a loop over the steps.

The loop is PyTorch's operator `scan`, so that the number of steps and the batch stay free. What
comes out runs in a process that has no `int8_rnn`, and is what `torch.onnx.export` understands.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .errors import ConversionError
from .operators import revived
from .reference import Layer, States, run_linear


def to_plain_aten(program: ExportedProgram) -> ExportedProgram:
    """The same program in PyTorch's own operators alone.

    It computes what `reference` computes, and so the integers of the kernels, by products in
    float64: slower than the kernels, and free of this package. An ONNX file of it, for any number
    of steps and any batch that the program takes: `torch.onnx.export(plain, (), "model.onnx")`.

    Args:
        program: what `torch.export.export` made of a model with int8 modules.

    Raises:
        ConversionError: this PyTorch knows no `scan` whose sizes stay free.
    """
    table = torch.export.default_decompositions()
    table[torch.ops.int8_rnn.run.default] = _run
    with warnings.catch_warnings():
        # PyTorch copies programs by a class that PyTorch deprecates.
        warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)
        return _with_floats(program).run_decompositions(table)


def _with_floats(program: ExportedProgram) -> ExportedProgram:
    """A copy whose weights' terms are the floats whose bits they are: ONNX has no such view."""
    program = copy.deepcopy(program)
    places = program.graph_signature.inputs_to_buffers
    for node in program.graph.nodes:
        place = places.get(node.name, "") if node.op == "placeholder" else ""
        if place.endswith("_terms"):
            program.constants[place] = program.constants[place].view(torch.float32)
            node.meta["val"] = node.meta["val"].view(torch.float32)
    return program


def _run(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    """The operator `int8_rnn::run`."""
    module = revived(weights, how)
    before = tuple(states) if states else None
    output, finals = module._run_reference(data, None, before, _over_steps)
    return [output, *finals]


def _over_steps(layer: Layer, data: Tensor, before: States, _: None) -> tuple[Tensor, States]:
    """One layer over (steps, batch, inputs): the output of every step, and the final states."""
    steps, batch, _inputs = data.shape
    rows = run_linear(data.flatten(0, 1), *layer.ih).view(steps, batch, -1)
    # A loop sees nothing but the tensors that it is given: first a flat list, within it a layer.
    fixed = [*_tensors(layer.hh), *_tensors(layer.hr)]
    free: list[Any] = [batch] if isinstance(batch, torch.SymInt) else []

    def body(*given: Any) -> list[Tensor]:
        states, now, parts = given[: len(before)], given[len(before)], given[len(before) + 1 :]
        # Compilers find a free size in a loop only among its arguments, and refuse a fixed one.
        now = now.view(parts[-1], -1) if free else now
        left = iter(parts)
        of_step = layer._replace(hh=_filled(layer.hh, left), hr=_filled(layer.hr, left))
        after = of_step.step(now, states)
        return [*after, after[0].clone()]

    rows = rows.flip(0) if layer.reverse else rows
    *finals, outputs = _scan(body, [part.clone() for part in before], rows, (*fixed, *free))
    return outputs.flip(0) if layer.reverse else outputs, tuple(finals)


def _tensors(part: Any) -> list[Tensor]:
    """All tensors of a `Product`, in order; none of None."""
    if isinstance(part, tuple):
        return [tensor for one in part for tensor in _tensors(one)]
    return [part] if isinstance(part, Tensor) else []


def _filled(part: Any, tensors: Iterator[Tensor]) -> Any:
    """The same with other tensors."""
    if isinstance(part, tuple):
        return type(part)(*[_filled(one, tensors) for one in part])
    return next(tensors) if isinstance(part, Tensor) else part


def _scan(body: Any, before: list[Tensor], rows: Tensor, fixed: Sequence[Any]) -> list[Tensor]:
    # The operator itself: its Python front end would have the body traced by Dynamo once more.
    import torch._higher_order_ops.scan

    try:
        found: list[Tensor] = torch.ops.higher_order.scan(body, before, [rows], tuple(fixed))
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ConversionError(
            "PyTorch {version} cannot trace a loop over a free number of steps ({error}); export "
            "with a newer one.",
            version=torch.__version__,
            error=error,
        ) from error
    return found
