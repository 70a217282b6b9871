"""The int8 modules under the names that they have in this package.

They live in the library `int8_rnn`; with this package its errors speak the language in force.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import int8_rnn
from int8_rnn import (
    FastPathWarning as FastPathWarning,
    Int8GRU as Int8GRU,
    Int8Linear as Int8Linear,
    Int8LSTM as Int8LSTM,
    Scheme as Scheme,
    load as load_int8,
    quantize_activations as quantize_activations,
    save as save_int8,
    without_parametrizations as without_parametrizations,
)

from .language import _
from .tables import Shown, Table

__all__ = [
    "FastPathWarning",
    "Int8GRU",
    "Int8LSTM",
    "Int8Linear",
    "Scheme",
    "fast_path",
    "load_int8",
    "quantize_activations",
    "save_int8",
    "without_parametrizations",
]


@dataclass(frozen=True)
class FastPath(Shown, int8_rnn.FastPath):
    """Whether `rh.Int8LSTM` runs compiled code, and what getting it ready has cost."""

    def table(self) -> Table:
        """One row."""
        state = _("compiled") if self.available else _("reference in plain torch")
        row = [state, f"{self.ready_s:.1f} s"]
        return Table([_("Int8LSTM runs"), _("made ready in")], [row], note=self.reason)


def fast_path() -> FastPath:
    """Make the fast path ready, if it is not yet, and say how that went."""
    return FastPath(**asdict(int8_rnn.fast_path()))
