"""Where the scales of dynamic quantization come from, and how many bits a sum leaves room for."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch

from .checks import one_of, positive_int
from .errors import ArgumentError

INT32_MAX = 2**31 - 1
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny
BYTE = 8  # up to so many bits the hidden state has a zero point, and takes the 8-bit kernels


@dataclass(frozen=True)
class Scheme:
    """Where the scales come from, and how many bits the integers have.

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
        pairs: bound the weights so that |q[n, 2i]| + |q[n, 2i+1]| <= 128: then the sum of two
            neighbouring products with an 8-bit activation fits 16 bits, which is all that the
            instructions of an x86 CPU without VNNI have room for (`pmaddubsw`). The weights are
            somewhat coarser and 8-bit products on such CPUs faster; elsewhere nothing is gained.
        residual: what the integers of the coarsest rows of an input weight leave over is quantized
            once more, with scales of its own. With one scale per "channel" only.
        hidden_bits: bits of the hidden state, which `W_hh` multiplies: 4 to 16, with a zero point
            up to 8, symmetric above. None quantizes it as the input. What a projection `W_hr`
            multiplies becomes the output without a gate between, and is quantized as the input.
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
    hidden_bits: int | None = None

    def __post_init__(self) -> None:
        one_of("weights", self.weights, ("channel", "tensor"))
        one_of("activations", self.activations, ("row", "step", "sequence"))
        for name, most in (("activation_bits", self._widest), ("hidden_bits", 16)):
            bits = getattr(self, name)
            if bits is not None and positive_int(name, bits, most=most) < 4:
                raise ArgumentError(
                    "{name} is {bits}; pass a number from 4 to {most}.",
                    name=name,
                    bits=bits,
                    most=most,
                )
        one_of("weight_limit", self.weight_limit, (127.0, 127.5))
        positive_int("weight_candidates", self.weight_candidates, most=64)
        if self.pairs and (self.weights != "channel" or self.weight_limit != 127.0):
            raise ArgumentError(
                "pairs is {pairs} with weights={weights!r} and weight_limit={limit}; pairs go "
                "with one scale per row: pass weights='channel' and weight_limit=127.0.",
                pairs=repr(self.pairs),
                weights=self.weights,
                limit=self.weight_limit,
            )

    @functools.cached_property
    def hidden(self) -> Scheme:
        """The scheme by which the hidden state is quantized."""
        if self.hidden_bits is None:
            return self
        bits, affine = self.hidden_bits, self.hidden_bits <= BYTE
        return replace(self, activation_bits=bits, symmetric=not affine, hidden_bits=None)

    @property
    def _widest(self) -> int:
        """The most bits of an activation: it is at most 2^15 without its zero point."""
        return 16 if self.symmetric else 15

    def largest_integer(self, bits: int) -> int:
        """The largest magnitude of a quantized activation, its zero point taken off."""
        return 2 ** (bits - 1) - 1 if self.symmetric else 2**bits - 1


# Inputs in as many bits as fit, the hidden state in 8. It is smooth and small, so that its integers
# err less than those of the weights that they meet: the error of outputs is 1.0 to 1.2 times that
# of EXACT in random and trained models, at most 1.5 times with recurrent weights five times as
# large, in stacks, in both directions, in LSTM and GRU; the input in 8 bits doubles it.
DEFAULT = Scheme(hidden_bits=8)
EXACT = Scheme()
EIGHT_BIT = Scheme(activation_bits=8, symmetric=False)
# What torch.ao's quantize_dynamic does on the engines x86 and fbgemm. It leaves the eighth bit of
# the activations unused, so that pairs of products cannot saturate 16 bits, and cuts scales off
# where half precision becomes subnormal.
TORCH_AO = Scheme("tensor", "sequence", 7, False, 127.5, 1, 6.1e-5, columns=False, residual=False)
SCHEMES = {"default": DEFAULT, "exact": EXACT, "8-bit": EIGHT_BIT, "torch.ao": TORCH_AO}


def chosen_scheme(scheme: Scheme | str, activation_bits: int | None = None) -> Scheme:
    """The scheme that these arguments stand for; ArgumentError if there is none.

    `scheme` may be a name in `SCHEMES`. `activation_bits` of inputs and hidden state alike are 8,
    or 16 for as many as fit.
    """
    if not isinstance(scheme, Scheme):
        scheme = SCHEMES[one_of("scheme", scheme, SCHEMES)]
    if activation_bits is None:
        return scheme
    if activation_bits not in (8, 16) or isinstance(activation_bits, bool):
        raise ArgumentError(
            "activation_bits is {bits}; pass 8 or 16 for inputs and hidden state alike or None "
            "for the default, and any other number in a Scheme.",
            bits=repr(activation_bits),
        )
    if scheme.activation_bits is not None or not scheme.symmetric:
        raise ArgumentError(
            "activation_bits is {bits} beside the scheme {scheme}, which says how many bits "
            "activations have; pass one of the two.",
            bits=activation_bits,
            scheme=scheme,
        )
    if activation_bits == 8:
        scheme = replace(scheme, activation_bits=8, symmetric=False)
    return replace(scheme, hidden_bits=None)


def most_activation_bits(
    columns: int, scheme: Scheme = EXACT, name: str = "activation_bits"
) -> int:
    """How many bits activations may have so that no sum of `columns` products overflows int32.

    Every partial sum is at most columns · 128 (127 if symmetric) · the largest activation, in
    whatever order it is taken: 16 bits up to 516 columns, 15 up to 1032, 12 up to 8260. Those of
    the scheme if it says them; ArgumentError where they, or even 4 bits, are too many.
    """
    budget = INT32_MAX // (positive_int("columns", columns) * -int(-scheme.weight_limit // 1))
    most, asked = scheme._widest, scheme.activation_bits
    while scheme.largest_integer(most) > budget:
        most -= 1
    if most < 4 or (asked or 0) > most:
        raise ArgumentError(
            "{name} is {bits}; sums of {columns} products with int8 weights stay within "
            "int32 up to {most} bits: pass fewer bits or leave this layer in FP32.",
            name=name,
            bits=asked,
            columns=columns,
            most=most if most >= 4 else "fewer than 4",
        )
    return asked or most
