"""Section 3, size: what a state dict weighs, and how much of that is weights."""

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ..common import checks
from ..common.checks import renamed
from ..common.language import N_, _
from ..common.tables import Shown, Table, in_bytes
from .inspection import stored_weights
from .pair import Sweep, sweep

WIDTHS = (8, 16, 32, 64, 80, 128, 256, 512)
_PARTS = (
    (N_("weight matrices"), "weight_bytes"),
    (N_("biases and scales"), "other_bytes"),
    (N_("container"), "container_bytes"),
    (N_("total"), "total_bytes"),
)
_TENSOR_RECORD = re.compile(r"/data/\d+$")


def state_dict_bytes(model: nn.Module) -> int:
    """The size of the file that `torch.save(model.state_dict(), path)` writes, in bytes.

    It is written to memory; no file is made. A file repeats its own name in every record, so that
    one of another name than "archive" is larger or smaller by some tens of bytes.

    For the recipe's LSTM of any width it is a law: a container, and 4 bytes a parameter in FP32;
    a larger container, 1 byte a weight and 4 bytes a bias in INT8.

    Raises:
        ModelError: `model` is not a module.
    """
    return _saved(model).getbuffer().nbytes


@dataclass(frozen=True)
class SizeBreakdown(Shown):
    """Where the bytes of one state dict go: numbers, and the container around them."""

    int8_bytes: int  # weight matrices stored as integers
    matrix_bytes: int  # weight matrices stored as floats
    other_bytes: int  # every other tensor: biases, scales that are kept as tensors
    container_bytes: int  # names, shapes, scales kept as numbers, padding, the archive itself

    @property
    def weight_bytes(self) -> int:
        """The weight matrices, whatever they are stored as."""
        return self.int8_bytes + self.matrix_bytes

    @property
    def payload_bytes(self) -> int:
        """The tensors' elements alone."""
        return self.weight_bytes + self.other_bytes

    @property
    def total_bytes(self) -> int:
        """The whole file."""
        return self.payload_bytes + self.container_bytes

    def table(self) -> Table:
        """Payload by kind, container, total."""
        rows = [(_(name), in_bytes(getattr(self, field))) for name, field in _PARTS]
        return Table((_("part of the state dict"), _("size")), rows)


def size_breakdown(model: nn.Module) -> SizeBreakdown:
    """Split the size of a state dict into payload and container overhead.

    A file of `torch.save` is a zip archive that holds each tensor's elements as one record; the
    records are the payload, and all the rest is the container.

    Raises:
        ModelError: `model` is not a module.
    """
    archive = _saved(model)
    with zipfile.ZipFile(archive) as directory:
        records = directory.infolist()
    payload = sum(r.file_size for r in records if _TENSOR_RECORD.search(r.filename))
    int8 = sum(
        weight.integers.numel() + (weight.residual.values.numel() if weight.residual else 0)
        for weight in stored_weights(model)
    )
    stored = (value for value in model.state_dict().values() if isinstance(value, torch.Tensor))
    # By address: a tensor that two modules share is written once.
    matrices = {t.data_ptr(): t for t in stored if t.ndim >= 2 and t.is_floating_point()}
    matrix = sum(tensor.nbytes for tensor in matrices.values())
    container = archive.getbuffer().nbytes - payload
    return SizeBreakdown(int8, matrix, payload - int8 - matrix, container)


@dataclass(frozen=True)
class SizeComparison(Shown):
    """The state dicts of two models, in bytes."""

    reference: SizeBreakdown
    candidate: SizeBreakdown

    @property
    def reference_bytes(self) -> int:
        """The reference's state dict."""
        return self.reference.total_bytes

    @property
    def candidate_bytes(self) -> int:
        """The candidate's state dict."""
        return self.candidate.total_bytes

    @property
    def ratio(self) -> float:
        """Reference / candidate: above 1 the candidate is smaller."""
        return self.reference_bytes / self.candidate_bytes

    def table(self) -> Table:
        """Both breakdowns side by side."""
        rows = []
        for name, field in _PARTS:
            before, after = getattr(self.reference, field), getattr(self.candidate, field)
            ratio = _("{ratio:.2f} to 1", ratio=before / after) if before and after else ""
            rows.append((_(name), in_bytes(before), in_bytes(after), ratio))
        return Table((_("part of the state dict"), "FP32", "INT8", _("ratio")), rows)


def compare_size(reference: nn.Module, candidate: nn.Module) -> SizeComparison:
    """The state dicts of two models, broken down.

    Raises:
        ModelError: one of the two is not a module.
    """
    checks.module("reference", reference)
    checks.module("candidate", candidate)
    return SizeComparison(size_breakdown(reference), size_breakdown(candidate))


class SizeSweep(Sweep[SizeComparison]):
    """State-dict sizes of the recipe's one-layer LSTM over a range of widths."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """FP32 bytes / INT8 bytes at each width."""
        return tuple(point.comparison.ratio for point in self.points)

    def table(self) -> Table:
        """One row per width."""
        rows = [
            (
                str(point.width),
                f"{point.parameters:,}",
                in_bytes(point.comparison.reference_bytes),
                in_bytes(point.comparison.candidate_bytes),
                _("{ratio:.2f} to 1", ratio=point.comparison.ratio),
            )
            for point in self.points
        ]
        return Table((_("width"), _("parameters"), "FP32", "INT8", _("ratio")), rows)


@renamed(dimensions="widths")
def size_sweep(widths: Iterable[int] = WIDTHS, *, backend: str = "torch.ao") -> SizeSweep:
    """Measure the state dicts of the recipe's one-layer LSTM at several widths.

    Args:
        widths: rising widths (`dimensions` in versions 1.0 and 2.0).
        backend: what quantizes, see `quantize_dynamic`.

    Raises:
        ArgumentError: the widths are not rising whole numbers of at least 1.
    """
    return SizeSweep(
        sweep(widths, lambda pair: compare_size(pair.model, pair.quantized), backend=backend)
    )


def _saved(model: nn.Module) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(checks.module("model", model).state_dict(), buffer)
    return buffer
