"""What breaks dynamic quantization, built so that the float function stays the same (section 3).

Each construction leaves every FP32 answer unchanged to the bit: factors are powers of two, which
only move exponents. Whatever accuracy is lost is then lost to quantization and nothing else.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..common import checks
from ..common.errors import ArgumentError
from ..common.language import N_, _
from ..common.tables import Shown, Table
from ..recipe.model import LSTMModel
from ..recipe.quantize import quantize_dynamic
from .data import Sequences
from .training import DigitClassifier

# English names of the versions of a model; shown by `_(name)`.
FP32, PLAIN = "FP32", N_("plain INT8")
PER_TENSOR, PER_CHANNEL = N_("INT8 per tensor"), N_("INT8 per channel")
RESCALED, APART = N_("INT8, rescaled"), N_("INT8, apart")
FACTORS = tuple(2.0**k for k in range(11))

Quantizer = Callable[[nn.Module], nn.Module]
Logits = Mapping[str, torch.Tensor]  # of each version of a model
QUANTIZERS: Mapping[str, Quantizer] = {
    FP32: lambda model: model,
    PER_TENSOR: quantize_dynamic,
    PER_CHANNEL: lambda model: quantize_dynamic(model, weights="per-channel"),
    PLAIN: lambda model: quantize_dynamic(model, backend="plain"),
}


@dataclass(frozen=True)
class Cliff(Shown):
    """Accuracy of several versions of one classifier while a factor grows."""

    cause: str  # what the factor multiplies, in English: the label of an axis
    factors: tuple[float, ...]
    accuracies: Mapping[str, tuple[float, ...]]  # version -> fraction right at each factor
    fp32_unchanged: bool  # whether every FP32 logit is the same, to the bit, at every factor

    @property
    def versions(self) -> tuple[str, ...]:
        """The names of the versions, in their order."""
        return tuple(self.accuracies)

    def table(self) -> Table:
        """One row per factor, one column per version."""
        percents = zip(*self.accuracies.values(), strict=True)
        rows = [
            (f"{factor:g}", *(f"{accuracy:.1%}" for accuracy in accuracies))
            for factor, accuracies in zip(self.factors, percents, strict=True)
        ]
        note = _("The FP32 logits are NOT the same at every factor.")
        if self.fp32_unchanged:
            note = _("The FP32 logits are the same to the bit at every factor.")
        caption = _("Accuracy against {cause}", cause=_(self.cause))
        return Table((_("factor"), *map(_, self.versions)), rows, caption, note)


def with_unread_unit(model: DigitClassifier, factor: float = 1.0) -> DigitClassifier:
    """A copy with one hidden unit more, which computes something that nothing reads.

    The new unit's incoming weights are `factor` times those of the first unit; its outgoing
    weights are zero. Its state stays between -1 and 1 whatever the factor, and zero times that
    is zero, so that the other units and the logits do not depend on the factor at all.
    """
    old = model.lstm.hidden_size
    larger = DigitClassifier(old + 1, model.lstm.input_size, model.head.out_features).eval()
    with torch.no_grad():
        for name, weight in model.lstm.named_parameters():
            gates = weight.unflatten(0, (4, old))  # (gates, units) and the inputs, if any
            gates = torch.cat([gates, factor * gates[:, :1]], dim=1)
            if name == "weight_hh_l0":
                gates = nn.functional.pad(gates, (0, 1))
            larger.lstm.get_parameter(name).copy_(gates.flatten(0, 1))
        larger.head.weight.copy_(nn.functional.pad(model.head.weight, (0, 1)))
        larger.head.bias.copy_(model.head.bias)
    return larger


def with_long_memory(model: LSTMModel, bias: float = 6.0) -> LSTMModel:
    """A copy whose forget gates stay close to one: `bias` is added to what opens them."""
    changed = copy.deepcopy(model)
    gates = changed.lstm.bias_ih_l0.detach().view(4, -1)  # input, forget, cell, output
    gates[1] += bias
    return changed


def change_unit_of_feature(
    model: DigitClassifier, sequences: Sequences, feature: int, factor: float
) -> tuple[DigitClassifier, Sequences]:
    """Give one input feature in another unit of measurement, and make its weights compensate.

    The feature's numbers become `factor` times as large and its weights as many times smaller,
    as they would be had the model been trained in that unit.
    """
    last = model.lstm.input_size - 1
    if checks.whole_number("feature", feature) not in range(last + 1):
        raise ArgumentError(
            "feature is {feature}; the LSTM has features 0 to {last}.", feature=feature, last=last
        )
    factors = torch.ones(last + 1)
    factors[feature] = factor
    return _in_other_units(model, sequences, factors)


def rescale_features(
    model: DigitClassifier, sequences: Sequences
) -> tuple[DigitClassifier, Sequences]:
    """Bring every input feature to a largest magnitude near one, and its weights along.

    The cure of unfortunate units: the divisors are read off the data, rounded to powers of two,
    divided out of the inputs and multiplied into the weights, so that the products stay the same.
    In practice the divisors come from training data and go into the preprocessing.
    """
    largest = sequences.inputs.abs().amax(dim=(0, 1))
    exponents = torch.where(largest > 0, largest, 1).log2().round()
    return _in_other_units(model, sequences, torch.exp2(-exponents))


def _in_other_units(
    model: DigitClassifier, sequences: Sequences, factors: torch.Tensor
) -> tuple[DigitClassifier, Sequences]:
    """Inputs times `factors` (width), a power of two for each feature; weights divided by them."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.lstm.get_parameter("weight_ih_l0").div_(factors)
    return changed, Sequences(sequences.inputs * factors, sequences.labels)


def unread_unit_cliff(
    model: DigitClassifier, sequences: Sequences, factors: Iterable[float] = FACTORS
) -> Cliff:
    """Add a hidden unit that nothing reads, and let its incoming weights grow.

    Args:
        model: a trained classifier.
        sequences: what it is tested on.
        factors: powers of two.
    """
    cause = N_("factor on the weights of an unread unit")
    return _cliff(
        cause, factors, sequences, lambda f: _all_logits(with_unread_unit(model, f), sequences)
    )


def feature_unit_cliff(
    model: DigitClassifier,
    sequences: Sequences,
    factors: Iterable[float] = FACTORS,
    feature: int = 3,
) -> Cliff:
    """Measure one input feature in ever smaller units, its weights compensating.

    Args:
        model: a trained classifier.
        sequences: what it is tested on.
        factors: powers of two.
        feature: the position of the feature in the input.
    """

    def logits(factor: float) -> Logits:
        changed = change_unit_of_feature(model, sequences, feature, factor)
        better, same = rescale_features(*changed)
        return _all_logits(*changed) | {RESCALED: _logits(quantize_dynamic(better), same)}

    return _cliff(N_("factor on the numbers of one feature"), factors, sequences, logits)


def loud_passage_cliff(
    model: DigitClassifier, sequences: Sequences, factors: Iterable[float] = FACTORS
) -> Cliff:
    """Let each image be followed, in the same call, by a second one that is ever brighter.

    The answer is read before the second image begins. An LSTM is causal: what follows cannot
    change it, unless a scale is shared by all steps of the call.

    Args:
        model: a trained classifier.
        sequences: what it is tested on; the second image is the next one of these.
        factors: powers of two.
    """
    apart = {APART: _logits(quantize_dynamic(model), sequences)}

    def logits(factor: float) -> Logits:
        following = sequences.inputs.roll(-1, dims=1) * factor
        both = Sequences(torch.cat([sequences.inputs, following]), sequences.labels)
        return _all_logits(model, both, len(following)) | apart

    return _cliff(N_("factor on the brightness of what follows"), factors, sequences, logits)


def _cliff(
    cause: str,
    factors: Iterable[float],
    sequences: Sequences,
    logits: Callable[[float], Logits],
) -> Cliff:
    chosen = tuple(factors)
    for factor in chosen:
        if not isinstance(factor, int | float) or math.frexp(factor)[0] != 0.5:
            raise ArgumentError(
                "factors has {factor!r}; pass powers of two, which change no FP32 digit.",
                factor=factor,
            )
    if not chosen:
        raise ArgumentError("factors is empty; pass at least one power of two.")
    found = [logits(factor) for factor in chosen]
    accuracies = {name: tuple(sequences.share_right(at[name]) for at in found) for name in found[0]}
    unchanged = all(torch.equal(at[FP32], found[0][FP32]) for at in found)
    return Cliff(cause, tuple(map(float, chosen)), accuracies, unchanged)


def _all_logits(model: DigitClassifier, sequences: Sequences, steps: int | None = None) -> Logits:
    return {name: _logits(q(model), sequences, steps) for name, q in QUANTIZERS.items()}


def _logits(model: nn.Module, sequences: Sequences, steps: int | None = None) -> torch.Tensor:
    return checks.runs("model", model, (sequences.inputs, steps))
