"""What both kinds of kernel share: constants of float32 and of tanh, and copies of floats."""

# The types of compiled functions stand in their decorators, where numba reads them.

from __future__ import annotations

import numpy as np

SYNC = 16  # numbers before the claims of a layer: its two counters, each on a cache line of its own

# tanh(x) ≈ x · P(x²) / Q(x²), the rational approximation that Eigen and XLA use; beyond CLAMP it
# is 1 in float32. The error is at most 4e-7, a hundredth of a step of 16-bit quantization.
CLAMP = np.float32(7.90531110763549805)

TANH_P = tuple(map(np.float32, (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)))  # fmt: skip

TANH_Q = tuple(map(np.float32, (
    1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03,
)))  # fmt: skip

HALF, ONE, ZERO, NAN = map(np.float32, (0.5, 1, 0, np.nan))

SMALLEST = np.finfo(np.float32).tiny

INFINITY_BITS = np.int32(0x7F800000)

WITHOUT_SIGN = np.int32(0x7FFFFFFF)
