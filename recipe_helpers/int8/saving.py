"""Save a model of the plain backend, and load it again, without pickle.

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
from int8_rnn.files import write_atomically
from torch import Tensor, nn

from ..common import checks
from ..common.errors import ArgumentError, ModelError, SavedModelError
from ..common.language import Text
from ..common.wording import as_text, joined
from .arithmetic import Scheme
from .conversion import convert_modules
from .linear import Int8Module

FORMAT = "recipe_helpers.int8"
VERSION = "1"
# What the schemes of version 1.0 did not say yet.
_OF_VERSION_1_0 = {"columns": False, "pairs": False, "residual": False}


def save_int8(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Save a model that `quantize_dynamic(model, backend="plain")` made, modules left FP32 too.

    The file is replaced in one step, so that a save that fails or is killed leaves the old one.

    Args:
        model: the int8 model.
        path: the file to write; `.safetensors` is the usual ending.

    Raises:
        ModelError: the model holds no int8 module, or something that is no tensor
            on a device that has data.
        OSError: the file cannot be written.
    """
    quantized = _quantized(checks.module("model", model))
    if not quantized:
        raise ModelError(
            Text(
                "model holds no Int8LSTM, Int8GRU or Int8Linear; save what "
                'quantize_dynamic(model, backend="plain") returned.'
            )
        )
    tensors, aliases = _distinct(_state(model))
    layout = json.dumps({"modules": quantized, "aliases": aliases}, sort_keys=True)
    metadata = {"format": FORMAT, "version": VERSION, "layout": layout}
    metadata["sha256"] = _digest(metadata, tensors)
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def load_int8(path: str | os.PathLike[str], model: nn.Module) -> nn.Module:
    """Load what `save_int8` saved.

    Args:
        path: the file.
        model: a model of the same structure that says how to compute: the float model, built
            anew with any weights, or one that the plain backend has converted. It is left as it
            is.

    Returns:
        A new int8 model in eval mode, with the weights from the file.

    Raises:
        SavedModelError: the file is damaged, is not from `save_int8`, is of another version, or
            does not fit the model.
        ModelError: `model` cannot be converted.
        OSError: the file cannot be read.
    """
    checks.module("model", model)
    layout, tensors = _read(path)
    quantized = {
        name: {**how, "scheme": {**_OF_VERSION_1_0, **how["scheme"]}}
        for name, how in layout["modules"].items()
    }
    state = {**tensors, **{name: tensors[first] for name, first in layout["aliases"].items()}}
    made = copy.deepcopy(model) if _quantized(model) else _converted(path, model, quantized)
    _adopt(path, made, quantized, state)
    if _quantized(made) != quantized:
        raise SavedModelError(
            Text(
                "{path} holds other int8 modules than model, or int8 modules of another scheme: "
                "{names}; pass the model it was saved from.",
                path=os.fspath(path),
                names=_difference(_quantized(made), quantized),
            )
        )
    _check_fits(path, _state(made), state)
    made.load_state_dict(state)
    return made.eval()


def _quantized(model: nn.Module) -> dict[str, Any]:
    """Name, type and scheme of each int8 module, as JSON has them."""
    found = {
        name: {"type": type(part).__name__, "scheme": asdict(part.scheme)}
        for name, part in model.named_modules()
        if isinstance(part, Int8Module)
    }
    return json.loads(json.dumps(found))


def _state(model: nn.Module) -> dict[str, Tensor]:
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.is_quantized or value.device.type == "meta":
            what = checks.describe(value)
            if getattr(value, "is_meta", False):
                what = Text("{tensor} on the device {device}", tensor=what, device="meta")
            raise ModelError(
                Text(
                    "model has {name}, which is {what}; only plain tensors with data can be saved.",
                    name=name,
                    what=what,
                )
            )
    return {name: value.detach() for name, value in state.items()}


def _distinct(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, apart from all others in memory; and which names stand for which."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[object, str] = {}
    for name, value in state.items():
        place = (value.data_ptr(), value.device, value.dtype, value.shape, value.stride())
        if value.numel() and place in first:
            aliases[name] = first[place]
        else:
            first[place] = name
            tensors[name] = value.cpu().clone(memory_format=torch.contiguous_format)
    return tensors, aliases


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the metadata, and the name, dtype, shape and bytes of each tensor."""
    digest = hashlib.sha256()
    for name in ("format", "version", "layout"):
        digest.update(json.dumps([name, metadata[name]]).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), [*value.shape]]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The layout and the tensors of a file, once it is known to be whole and ours."""
    with Path(path).open("rb"):  # what the system refuses is told in its own words
        pass
    try:
        with safetensors.safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, RuntimeError, TypeError) as error:
        raise SavedModelError(
            Text(
                "{path} is damaged or no safetensors file ({error}); save the model again.",
                path=os.fspath(path),
                error=str(error),
            )
        ) from error
    if metadata.get("format") != FORMAT:
        raise SavedModelError(
            Text(
                "{path} is a safetensors file, but not one from save_int8; pass a file that "
                "save_int8 wrote.",
                path=os.fspath(path),
            )
        )
    if metadata.get("version") != VERSION:
        raise SavedModelError(
            Text(
                "{path} has the version {version} of the format; this package reads version {ours}"
                ": load it with the package that saved it.",
                path=os.fspath(path),
                version=repr(metadata.get("version")),
                ours=repr(VERSION),
            )
        )
    if "layout" not in metadata or metadata.get("sha256") != _digest(metadata, tensors):
        raise SavedModelError(
            Text(
                "{path} is damaged: its checksum does not fit its content; save the model again.",
                path=os.fspath(path),
            )
        )
    return json.loads(metadata["layout"]), tensors


def _converted(
    path: str | os.PathLike[str], model: nn.Module, quantized: Mapping[str, Any]
) -> nn.Module:
    """A copy of the float model with the same modules in int8 as in the file."""
    parts = dict(model.named_modules())
    if missing := [name for name in quantized if name not in parts]:
        raise SavedModelError(
            Text(
                "{path} holds the int8 module {name!r}, which model has not; pass the model it was "
                "saved from.",
                path=os.fspath(path),
                name=missing[0],
            )
        )
    by_scheme: dict[str, list[str]] = {}
    for name, how in quantized.items():
        by_scheme.setdefault(json.dumps(how["scheme"], sort_keys=True), []).append(name)
    for scheme, names in by_scheme.items():
        try:
            model = convert_modules(model, names, Scheme(**json.loads(scheme)))
        except (TypeError, ArgumentError) as error:
            raise SavedModelError(
                Text(
                    "{path} has a scheme that this package does not know ({error}); load it with "
                    "the package that saved it.",
                    path=os.fspath(path),
                    error=as_text(error),
                )
            ) from error
    return model


def _adopt(
    path: str | os.PathLike[str],
    made: nn.Module,
    quantized: Mapping[str, Any],
    state: Mapping[str, Tensor],
) -> None:
    """Let converted modules follow the file in what concerns weights alone."""
    for name, part in made.named_modules():
        if not isinstance(part, Int8Module) or name not in quantized:
            continue
        there = quantized[name]["scheme"]
        rules = {rule: bool(there[rule]) for rule in _OF_VERSION_1_0}
        part.follow(**rules)
        try:
            part.follow_residuals(state, f"{name}." if name else "")
        except ModelError as error:
            raise SavedModelError(
                Text("{path} does not fit: {error}", path=os.fspath(path), error=as_text(error))
            ) from error


def _difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> Text:
    names = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    return joined((name or Text("the model itself") for name in names[:3]), ", ")


def _check_fits(
    path: str | os.PathLike[str], here: Mapping[str, Tensor], there: Mapping[str, Tensor]
) -> None:
    """Names, shapes and dtypes, before anything is copied."""
    for name in [*here, *there]:
        file, model = (
            checks.describe(one[name]) if name in one else Text("nothing") for one in (there, here)
        )
        if file != model:
            raise SavedModelError(
                Text(
                    "{path} has {file} for {name}, where model has {model}; pass the model it was "
                    "saved from.",
                    path=os.fspath(path),
                    file=file,
                    name=name,
                    model=model,
                )
            )
