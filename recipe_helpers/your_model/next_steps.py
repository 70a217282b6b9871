"""Your own model: what to do with a verdict, as code to copy."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from ..common.language import _
from .candidates import ONNX
from .promises import KEEP, MAX_METRIC_DROP, Limits, Verdict


@dataclass(frozen=True)
class Step:
    """A title, and the lines to copy."""

    title: str
    code: str


def next_steps(
    verdict: Verdict, limits: Limits, error_limit: float | None, *, with_keywords: bool = False
) -> tuple[Step, ...]:
    """Make, check and save the model that a verdict recommends, and guard it in CI.

    Args:
        verdict: what the report recommends; nothing is made where that is to keep FP32.
        limits: what INT8 had to reach.
        error_limit: the limit of the relative error; None where a metric decides.
        with_keywords: whether forward takes keyword arguments, which the check then leaves out.
    """
    steps = []
    if verdict.decision != KEEP:
        steps.append(Step(_("Make, check and save it"), _made(verdict, error_limit, with_keywords)))
    steps.append(
        Step(_("Watch it in continuous integration"), _watched(verdict, limits, error_limit))
    )
    return tuple(steps)


def _made(verdict: Verdict, error_limit: float | None, with_keywords: bool) -> str:
    lines = [f"quantized = {verdict.code}"]
    if error_limit is not None and not with_keywords:
        lines += [
            "difference = rh.compare_outputs(model, quantized, *inputs)",
            f"assert max(t.relative for t in difference.tensors) <= {error_limit:g}",
        ]
    if verdict.candidate == "plain":
        lines += [
            'rh.save_int8(quantized, "model.safetensors")',
            f'loaded = rh.load_int8("model.safetensors", model)  # {_("or the model built anew")}',
        ]
    elif verdict.candidate == ONNX:
        needless = _("needs no PyTorch any more")
        lines += [
            'quantized.save("model.onnx")',
            f'session = onnxruntime.InferenceSession("model.onnx")  # {needless}',
        ]
    else:
        lines += [
            "# " + _("torch.ao packs weights into objects that weights_only=True refuses to load:"),
            "# " + _("keep the FP32 weights, and quantize again after loading them."),
            'torch.save(model.state_dict(), "model.pt")',
        ]
    return "\n".join(lines)


def _watched(verdict: Verdict, limits: Limits, error_limit: float | None) -> str:
    words = ["python", "-m", "recipe_helpers", "report", "PACKAGE.MODULE:FACTORY"]
    if verdict.decision != KEEP and verdict.candidate:
        words += ["--backend", verdict.candidate]
    if error_limit is not None:
        words += ["--max-relative-error", f"{error_limit:g}"]
    words += ["--min-size-ratio", f"{limits.min_size_ratio:g}"]
    words += ["--min-speedup", f"{limits.min_speedup:g}"]
    if limits.max_metric_drop != MAX_METRIC_DROP:
        words += ["--max-metric-drop", f"{limits.max_metric_drop:g}"]
    return shlex.join(words)
