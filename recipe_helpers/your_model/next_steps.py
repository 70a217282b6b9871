"""Your own model: what to do with a verdict, as code to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ..common.language import Text
from ..common.wording import joined
from ..recipe.quantize import MODULES
from .candidates import ONNX, WAYS, Measured
from .preparation import InputSet
from .promises import Limits

_MOST_NAMES = 8  # in a line of code that somebody copies


def conversion_code(
    way: str, found: Measured, model: nn.Module, input_sets: Sequence[InputSet], *, exact: bool
) -> str:
    """The call that makes this very model; `exact` names the modules rather than their types."""
    if way == ONNX:
        return _onnx_code(input_sets)
    arguments = [f'{name}="{value}"' for name, value in WAYS[way].items()]
    names = [done.name for done in found.conversion.converted]
    kinds = {type(model.get_submodule(name)) for name in names}
    types = ", ".join(sorted(f"torch.nn.{kind.__name__}" for kind in kinds))
    torch_ao = way != "plain"  # the plain backend needs to be told nothing
    if exact and len(names) > _MOST_NAMES and torch_ao:
        every = model.named_modules(remove_duplicate=False)
        left = sorted(n for n, m in every if n and type(m) in kinds and n not in names)
        kept = f"type(m) in {{{types}}} and n not in {left}".replace("'", '"')
        arguments.append(f"modules=[n for n, m in model.named_modules() if {kept}]")
    elif exact:
        arguments.append(f"modules={names}".replace("'", '"'))
    elif torch_ao and not kinds <= MODULES:
        arguments.append(f"modules=[{types}]")
    return f"rh.quantize_dynamic(model, {', '.join(arguments)})"


def _onnx_code(input_sets: Sequence[InputSet]) -> str:
    """The call that exports with the caller's own inputs, and with the sizes that were free."""
    first, *others = input_sets
    arguments = ["model"]
    if first.args_code:
        arguments.append(f"*{first.args_code}")
    if first.kwargs_code:
        arguments.append(f"kwargs={first.kwargs_code}")
    free: set[tuple[str, int]] = set()
    pairs = []
    for other in others:
        if sizes := first.other_sizes(other) - free:  # the first to have another size there
            free |= sizes
            pairs.append(f"({other.args_code or '()'}, {other.kwargs_code or '{}'})")
    if pairs:
        arguments.append(f"others=[{', '.join(pairs)}]")
    return f"rh.quantize_onnx({', '.join(arguments)})"


@dataclass(frozen=True)
class Step:
    """A title, and the lines to copy, both Texts."""

    title: str
    code: str


def watch_step(candidate: str | None, limits: Limits, metric: float | None) -> Step:
    """The same limits in continuous integration; `candidate` is the conversion to ship, if any."""
    words = ["python", "-m", "recipe_helpers", "report", "PACKAGE.MODULE:FACTORY"]
    words += ["--backend", candidate] if candidate else []
    lines = [shlex.join([*words, *limits.flags()])]
    if metric is not None:
        lines.append(Text("# The factory returns three things: model, inputs, metric."))
    return Step(Text("Watch it in continuous integration"), joined(lines, "\n"))


def make_step(candidate: str, code: str, first: InputSet, limit: float | None) -> Step:
    """Make, check and save the model that is to be shipped.

    Args:
        candidate: the conversion.
        code: the call that makes it.
        first: the inputs for the check, which is left out where they have keywords.
        limit: the limit of the relative error; None where a metric decides.
    """
    lines = [f"quantized = {code}"]
    if limit is not None and not first.kwargs:
        lines += [
            f"difference = rh.compare_outputs(model, quantized, *{first.args_code})",
            f"assert max(t.relative for t in difference.tensors) <= {limit}",
        ]
    if candidate == "plain":
        lines += [
            'rh.save_int8(quantized, "model.safetensors")',
            Text("# Load it into the FP32 model, or into the same model built anew:"),
            'loaded = rh.load_int8("model.safetensors", model)',
        ]
    elif candidate == ONNX:
        lines += [
            'quantized.save("model.onnx")',
            Text("# This needs no PyTorch any more:"),
            'session = onnxruntime.InferenceSession("model.onnx")',
        ]
    else:
        lines += [
            Text(
                "# torch.ao packs weights into objects that weights_only=True refuses to load:\n"
                "# keep the FP32 weights, and quantize again after loading them."
            ),
            'torch.save(model.state_dict(), "model.pt")',
        ]
    return Step(Text("Make, check and save it"), joined(lines, "\n"))
