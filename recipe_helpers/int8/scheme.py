"""Where the scales of dynamic quantization come from, and how many bits a sum leaves room for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..common.checks import one_of, positive_int
from ..common.errors import ArgumentError
from ..common.language import Text
from .cpu import has_u8s8_dot

INT32_MAX = 2**31 - 1
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Scheme:
    """Where the scales come from. The defaults are those of `Int8LSTM`.

    Attributes:
        weights: one scale per output "channel" (a row of W), or one per "tensor".
        activations: one scale per "row" (per step and batch element), per "step" (over the
            batch), or per "sequence": the whole input of `W_ih`; the recurrent product only ever
            knows one step, so that "sequence" and "step" are the same there. A linear layer knows
            no steps: both mean one scale for its whole input.
        activation_bits: 4 to 16; None takes as many as an int32 accumulator can carry.
        symmetric: integers from -most to most and no zero point; False: integers from 0 to
            2^bits - 1 spread over [min, max] with a zero point (affine).
        weight_limit: the integer that stands for max |W|. 127.5 uses -128 as well.
        weight_candidates: how many scales are tried for each row of W, max |W| standing for 127,
            126, 125 ...; the one with the least squared error is kept: a slightly coarser grid
            often meets the other weights of a short row better. 1 takes the first.
        smallest_scale: scales of activations are not allowed to fall below it.
        columns: one more scale for each column of W, a power of two found in the weights alone.
            The columns are brought to one size before the rows are quantized, and the activations
            are multiplied by it, which costs them nothing: only their exponents move.
        residual: what the integers of the coarsest rows of an input weight leave over is quantized
            once more, with scales of its own. With one scale per "channel" only.
        pairs: bound the weights so that |q[n, 2i]| + |q[n, 2i+1]| <= 128: then the sum of two
            neighbouring products with an 8-bit activation fits 16 bits, which is all that the
            instructions of a CPU without VNNI or the like have room for (`pmaddubsw`).
    """

    weights: str = "channel"
    activations: str = "row"
    activation_bits: int | None = None
    symmetric: bool = True
    weight_limit: float = 127.0
    weight_candidates: int = 8
    smallest_scale: float = SMALLEST_NORMAL
    columns: bool = True
    pairs: bool = False
    residual: bool = True

    def __post_init__(self) -> None:
        one_of("weights", self.weights, ("channel", "tensor"))
        one_of("activations", self.activations, ("row", "step", "sequence"))
        widest = 16 if self.symmetric else 15
        if self.activation_bits is not None:
            positive_int("activation_bits", self.activation_bits, most=widest)
            if self.activation_bits < 4:
                raise ArgumentError(
                    Text(
                        "activation_bits is {bits}; pass a number from 4 to {most}.",
                        bits=self.activation_bits,
                        most=widest,
                    )
                )
        one_of("weight_limit", self.weight_limit, (127.0, 127.5))
        positive_int("weight_candidates", self.weight_candidates, most=64)
        if self.pairs and (self.weights != "channel" or self.weight_limit != 127.0):
            raise ArgumentError(
                Text(
                    "pairs is {pairs} with weights={weights!r} and weight_limit={limit}; pairs go "
                    "with one scale per row: pass weights='channel' and weight_limit=127.0.",
                    pairs=repr(self.pairs),
                    weights=self.weights,
                    limit=self.weight_limit,
                )
            )

    def largest_integer(self, bits: int) -> int:
        """The largest magnitude of a quantized activation, its zero point taken off."""
        return 2 ** (bits - 1) - 1 if self.symmetric else 2**bits - 1


DEFAULT = Scheme()
# What torch.ao's quantize_dynamic does on the engines x86 and fbgemm. It leaves the eighth bit of
# the activations unused, so that pairs of products cannot saturate 16 bits, and cuts scales off
# where half precision becomes subnormal.
TORCH_AO = Scheme("tensor", "sequence", 7, False, 127.5, 1, 6.1e-5, columns=False, residual=False)
SCHEMES = {"default": DEFAULT, "torch.ao": TORCH_AO}


def as_scheme(scheme: Scheme | str) -> Scheme:
    """A scheme by its name in `SCHEMES`, or as it is; ArgumentError otherwise."""
    return scheme if isinstance(scheme, Scheme) else SCHEMES[one_of("scheme", scheme, SCHEMES)]


def eight_bit(pairs: bool | None = None) -> Scheme:
    """The 8-bit mode: activations from 0 to 255 with a zero point, a scale for each row.

    Coarser than the default and faster: each activation is one byte rather than two.

    Args:
        pairs: whether to bound the weights for CPUs without exact u8 x s8 products, at the price
            of a somewhat larger error; None asks this CPU.
    """
    return Scheme(
        activation_bits=8, symmetric=False, pairs=not has_u8s8_dot() if pairs is None else pairs
    )


def chosen_scheme(scheme: Scheme | str, activation_bits: int | None) -> Scheme:
    """The scheme that the arguments of a conversion stand for.

    Raises:
        ArgumentError: an unknown scheme; `activation_bits` other than 8 or None, or 8 beside a
            scheme that is not the default.
    """
    scheme = as_scheme(scheme)
    if activation_bits is None:
        return scheme
    if activation_bits != 8 or isinstance(activation_bits, bool):
        raise ArgumentError(
            Text(
                "activation_bits is {bits}; pass 8 for the 8-bit mode or None for as many as fit, "
                "and any other number in a Scheme.",
                bits=repr(activation_bits),
            )
        )
    if scheme != DEFAULT:
        raise ArgumentError(
            Text(
                "activation_bits is 8 beside the scheme {scheme}; pass one of the two: the 8-bit "
                "mode is a scheme of its own.",
                scheme=scheme,
            )
        )
    return eight_bit()


def most_activation_bits(columns: int, scheme: Scheme = DEFAULT) -> int:
    """How many bits activations may have so that no sum of `columns` products overflows int32.

    Every partial sum is at most columns · 128 (127 if symmetric) · the largest activation, in
    whatever order it is taken: 16 bits up to 516 columns, 15 up to 1032, 12 up to 8260.

    Returns:
        `scheme.activation_bits` if it is given.

    Raises:
        ArgumentError: The given bits, or even 4 bits, are too many for so many columns.
    """
    budget = INT32_MAX // (positive_int("columns", columns) * -int(-scheme.weight_limit // 1))
    widest = 16 if scheme.symmetric else 15
    fitting = [bits for bits in range(4, widest + 1) if scheme.largest_integer(bits) <= budget]
    asked = scheme.activation_bits
    if not fitting or (asked or 0) > fitting[-1]:
        raise ArgumentError(
            Text(
                "activation_bits is {bits}; sums of {columns} products with int8 weights stay "
                "within int32 up to {most} bits: pass fewer bits or leave this layer in FP32.",
                bits=asked,
                columns=columns,
                most=fitting[-1] if fitting else Text("fewer than 4"),
            )
        )
    return asked or fitting[-1]
