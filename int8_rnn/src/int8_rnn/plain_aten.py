"""An exported program without this package's operator: the reference, with a loop over the steps.

The loop is PyTorch's operator `scan`, so that the number of steps and the batch stay free. What
comes out runs in a process that has no `int8_rnn`, and is what `torch.onnx.export` understands.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .errors import ConversionError
from .operators import revived
from .reference import Layer, Product, States, run_linear
from .weights import Int8Weight


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
    before = tuple(states) if states else module._zeros(data)
    output, finals = module._run_plain(data, before, _over_steps)
    return [output, *finals]


def _over_steps(layer: Layer, data: Tensor, before: States) -> tuple[Tensor, States]:
    """One layer over (steps, batch, inputs): the output of every step, and the final states."""
    steps, batch, _ = data.shape
    rows = run_linear(data.flatten(0, 1), *layer.ih).view(steps, batch, -1)
    # A loop sees nothing but the tensors that it is given: first a flat list, within it a layer.
    fixed = [*_tensors(layer.hh), *(_tensors(layer.hr) if layer.hr else ())]

    free: list[Any] = [batch] if isinstance(batch, torch.SymInt) else []

    def body(*given: Any) -> list[Tensor]:
        states, now, parts = given[: len(before)], given[len(before)], given[len(before) + 1 :]
        # Compilers find a free size in a loop only among its arguments, and refuse a fixed one.
        now = now.view(parts[-1], -1) if free else now
        hh, hr = _with(layer.hh, *parts[:4]), layer.hr and _with(layer.hr, *parts[4:8])
        after = layer._replace(hh=hh, hr=hr).step(now, states)
        return [*after, after[0].clone()]

    rows = rows.flip(0) if layer.reverse else rows
    *finals, outputs = _scan(body, [part.clone() for part in before], rows, (*fixed, *free))
    return outputs.flip(0) if layer.reverse else outputs, tuple(finals)


def _tensors(product: Product) -> list[Tensor]:
    """Integers as float64, once for all steps, scale, scales of columns, bias; all are there."""
    values, scale, columns, _ = product.weight
    columns = scale.new_ones(values.shape[1]) if columns is None else columns
    bias = scale.new_zeros(len(values)) if product.bias is None else product.bias
    return [values.double(), scale, columns, bias]


def _with(product: Product, values: Tensor, *rest: Tensor) -> Product:
    scale, columns, bias = rest
    return product._replace(weight=Int8Weight(values, scale, columns), bias=bias)


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
