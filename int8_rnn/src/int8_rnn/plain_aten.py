"""An exported program without this package's operators: the reference, with a loop over the steps.

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
from .reference import LayerWeights, States, run_linear, stable_sigmoid
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
    table[torch.ops.int8_rnn.recurrent.default] = _recurrent
    table[torch.ops.int8_rnn.linear.default] = _linear
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


def _linear(data: Tensor, weights: Sequence[Tensor], how: str) -> Tensor:
    module = revived(weights, how)
    rows, weight = data.reshape(-1, module.in_features), module._weight("weight")
    output = run_linear(rows, weight, module._bias("weight"), module.activation_bits, module.scheme)
    return output.view(*data.shape[:-1], module.out_features)


def _recurrent(
    data: Tensor, states: Sequence[Tensor] | None, weights: Sequence[Tensor], how: str
) -> list[Tensor]:
    module = revived(weights, how)

    def run(
        weights: LayerWeights, data: Tensor, before: States, reverse: bool
    ) -> tuple[Tensor, States]:
        steps, batch, _ = data.shape
        how = module.activation_bits, module.scheme
        products = run_linear(data.flatten(0, 1), weights.ih, weights.bias_ih, *how)
        return _over_steps(module, weights, products.view(steps, batch, -1), before, reverse)

    before = tuple(states) if states else module._zeros(data, data.shape[1])
    output, finals = module._through_layers(data, before, run)
    return [output, *finals]


def _over_steps(
    module: Any, weights: LayerWeights, products: Tensor, before: States, reverse: bool
) -> tuple[Tensor, States]:
    """One layer in one direction: the output of every step, and the final states.

    Args:
        module: whose layer it is.
        weights: of the layer.
        products: W_ih x + b_ih for each step, (steps, batch, gates · hidden).
        before: the initial states.
        reverse: whether to take the steps from the last to the first.
    """
    count = len(before)
    of_input = module.activation_bits, module.scheme
    of_hidden = module.hidden_bits, module.scheme.hidden
    # A loop sees nothing but what it is given: first a flat list, within it the weights again.
    parts: list[list[Any]] = [_widened(weights.hh), _widened(weights.hr), [weights.bias_hh]]
    fixed = [tensor for part in parts for tensor in part if tensor is not None]

    def step(*given: Tensor) -> list[Tensor]:
        left: Iterator[Any] = iter(given[count + 1 :])
        found: list[Any] = [[one if one is None else next(left) for one in part] for part in parts]
        hh, hr, (bias,) = found
        now, states = given[count], given[:count]
        from_hidden = run_linear(states[0], Int8Weight(*hh), bias, *of_hidden)
        output, *others = type(module)._CELL(now, from_hidden, states, stable_sigmoid)
        if hr:
            output = run_linear(output, Int8Weight(*hr), None, *of_input)
        return [output, *others, output.clone()]

    if reverse:
        products = products.flip(0)
    *finals, outputs = _scan(step, [part.clone() for part in before], products, fixed)
    return outputs.flip(0) if reverse else outputs, tuple(finals)


def _widened(weight: Int8Weight | None) -> list[Any]:
    """Integers as float64, once for all steps, scale and column scales; nothing of no weight."""
    return [] if weight is None else [weight.values.double(), weight.scale, weight.columns]


def _scan(step: Any, before: list[Tensor], rows: Tensor, fixed: list[Tensor]) -> list[Tensor]:
    # The operator itself: its Python front end would have the body traced by Dynamo once more.
    import torch._higher_order_ops.scan

    # Compilers find a free size in a loop only among its arguments, and refuse a fixed one there.
    batch = rows.shape[1]
    free: list[Any] = [batch] if isinstance(batch, torch.SymInt) else []

    def body(*given: Any) -> list[Tensor]:
        if not free:
            return step(*given)
        *tensors, size = given
        tensors[len(before)] = tensors[len(before)].view(size, -1)
        return step(*tensors)

    try:
        found: list[Tensor] = torch.ops.higher_order.scan(body, before, [rows], (*fixed, *free))
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ConversionError(
            "PyTorch {version} cannot trace a loop over a free number of steps ({error}); export "
            "with a newer one.",
            version=torch.__version__,
            error=error,
        ) from error
    return found
