"""Save a quantized model, and load it again, without pickle.

The file is a safetensors file, which any tool for that format can read. Its metadata say what
belongs to it: the format and its version, which modules are quantized and how, which names stand
for one tensor, and a SHA-256 of all that and of every tensor. A file is checked as a whole before
anything of it is used. Source of the format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from . import checks
from .conversion import COUNTERPARTS
from .errors import ArgumentError, ModelError, SavedModelError
from .files import write_atomically
from .modules import Int8Module
from .obstacles import require_plain
from .scheme import Scheme

FORMAT = "recipe_helpers.int8"  # the package that brought it up
VERSION = "1"
# What files do not say that were written before there was a choice: 1.0 knew none of these, 2.0
# all but the last, which is left out where it is None, so that 2.0 reads such a file.
_UNSAID = {"columns": False, "pairs": False, "residual": False, "hidden_bits": None}
_KINDS = {made.__name__: (kind, made) for kind, made in COUNTERPARTS.items()}


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Save a model that `quantize` made, with the modules that it left in float.

    The file is replaced in one step, so that a save that fails or is killed leaves the old one.

    Args:
        model: the int8 model.
        path: the file to write; `.safetensors` is the usual ending.

    Raises:
        ModelError: the model holds no int8 module, or something that is no tensor
            on a device that has data.
        OSError: the file cannot be written.
    """
    quantized = {}
    for name, part in checks.module("model", model).named_modules():
        if isinstance(part, Int8Module):
            said = asdict(part.scheme).items()
            scheme = {key: value for key, value in said if (key, value) != ("hidden_bits", None)}
            quantized[name] = {"type": type(part).__name__, "scheme": scheme}
    if not quantized:
        raise ModelError(
            "model holds no Int8LSTM, Int8GRU or Int8Linear; save what quantize(model) returned."
        )
    tensors, aliases = _distinct(model)
    layout = json.dumps({"modules": quantized, "aliases": aliases}, sort_keys=True)
    metadata = {"format": FORMAT, "version": VERSION, "layout": layout}
    metadata["sha256"] = _digest(metadata, tensors)
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def load(path: str | os.PathLike[str], model: nn.Module) -> nn.Module:
    """Load what `save` saved, in this version or an earlier one.

    Args:
        path: the file.
        model: a model of the same structure that says how to compute: the float model, built
            anew with any weights, or one that is quantized. It is left as it is.

    Returns:
        A new int8 model in eval mode, with the weights and the schemes from the file.

    Raises:
        SavedModelError: the file is damaged, is not from `save`, is of another version, or
            does not fit the model.
        OSError: the file cannot be read.
    """
    checks.module("model", model)
    file = os.fspath(path)
    layout, tensors = _read(file)
    state = {**tensors, **{name: tensors[first] for name, first in layout["aliases"].items()}}
    quantized, parts = layout["modules"], dict(model.named_modules())
    # Other modules than those that the file names are refused below: they have other tensors.
    made = {id(parts.get(n)): _built(file, n, how, parts.get(n)) for n, how in quantized.items()}
    loaded = copy.deepcopy(model, made)
    here = loaded.state_dict()
    for name in [*here, *state]:
        came, wanted = (
            checks.describe(one[name]) if name in one else "nothing" for one in (state, here)
        )
        if came != wanted and "_residual" not in name:  # of which only the file knows
            raise SavedModelError(
                "{path} has {file} for {name}, where model has {model}; pass the model it was "
                "saved from.",
                path=file,
                file=came,
                name=name,
                model=wanted,
            )
    try:
        loaded.load_state_dict(state)
    except RuntimeError as error:
        message = " ".join(str(error).split())
        raise SavedModelError("{path} does not fit: {error}.", path=file, error=message) from error
    return loaded.eval()


def _distinct(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each content once, apart from all others in memory; and which names stand for which."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[object, str] = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or value.is_quantized or value.is_meta:
            meta = " on the device meta" if isinstance(value, Tensor) and value.is_meta else ""
            raise ModelError(
                "model has {name}, which is {what}; only plain tensors with data can be saved.",
                name=name,
                what=checks.describe(value) + meta,
            )
        value = value.detach().cpu().contiguous()
        content = value.dtype, value.shape, hashlib.sha256(_bytes(value)).digest()
        first = names.setdefault(content, name)
        if first == name:
            tensors[name] = value.clone()
        else:
            aliases[name] = first
    return tensors, aliases


def _bytes(value: Tensor) -> memoryview:
    return value.reshape(-1).view(torch.uint8).numpy().data


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the metadata, and the name, dtype, shape and bytes of each tensor."""
    digest = hashlib.sha256()
    for name in ("format", "version", "layout"):
        digest.update(json.dumps([name, metadata[name]]).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), [*value.shape]]).encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _read(path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The layout and the tensors of a file, once it is known to be whole and ours."""
    Path(path).open("rb").close()  # what the system refuses is told in its own words
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, RuntimeError, TypeError) as error:
        raise SavedModelError(
            "{path} is damaged or no safetensors file ({error}); save the model again.",
            path=path,
            error=str(error),
        ) from error
    if metadata.get("format") != FORMAT:
        raise SavedModelError(
            "{path} is a safetensors file, but not one from save; pass a file that save wrote.",
            path=path,
        )
    if metadata.get("version") != VERSION:
        raise SavedModelError(
            "{path} has the version {version} of the format; this package reads version {ours}: "
            "load it with the package that saved it.",
            path=path,
            version=repr(metadata.get("version")),
            ours=repr(VERSION),
        )
    if "layout" not in metadata or metadata.get("sha256") != _digest(metadata, tensors):
        raise SavedModelError(
            "{path} is damaged: its checksum does not fit its content; save the model again.",
            path=path,
        )
    return json.loads(metadata["layout"]), tensors


def _built(path: str, name: str, how: Mapping[str, Any], part: nn.Module | None) -> Int8Module:
    """The int8 module that the file describes, in the sizes of its counterpart in the model."""
    if part is None:
        raise SavedModelError(
            "{path} holds the int8 module {name!r}, which model has not; pass the model it was "
            "saved from.",
            path=path,
            name=name,
        )
    try:
        kind, made = _KINDS[how["type"]]
        scheme = Scheme(**{**_UNSAID, **how["scheme"]})
    except (KeyError, TypeError, ArgumentError) as error:
        raise SavedModelError(
            "{path} has a scheme that this package does not know ({error}); load it with the "
            "package that saved it.",
            path=path,
            error=str(error),
        ) from error
    if not isinstance(part, made):
        require_plain(f"model.{name}" if name else "model", part, kind)
    return made._like(part, scheme, device="cpu")
