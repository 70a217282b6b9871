"""The controls of the panel: one for each field of a choice."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

from ..common.errors import extra
from ..common.language import _
from .measurement import Choice, engines, recipe_choice

with extra("notebooks"):
    import ipywidgets as widgets

WIDEST = 1024
_WIDE = "minmax(270px, 1fr)"


def controls() -> dict[str, Any]:
    """One labelled control per field of `Choice`.

    Number boxes rather than sliders, whose label is not tied to their handle: a screen reader
    would call each just "slider". And rather than drop-downs, from which JupyterLab takes the
    arrow keys unless they are open.
    """
    start = recipe_values()
    same: dict[str, Any] = {
        "style": {"description_width": "10em"},
        "layout": widgets.Layout(width="auto"),
    }

    def number(name: str, description: str, most: int, step: int = 1) -> widgets.BoundedIntText:
        limits = {"min": step, "max": most, "step": step, "continuous_update": False}
        return widgets.BoundedIntText(value=start[name], description=description, **limits, **same)

    def choice(name: str, description: str, options: tuple[Any, ...]) -> widgets.Dropdown:
        return widgets.Dropdown(options=options, value=start[name], description=description, **same)

    return {
        "dimension": number("dimension", _("Width (units)"), WIDEST, step=8),
        "layers": number("layers", _("Layers"), 4),
        "batch_size": number("batch_size", _("Batch (sequences)"), 64),
        "sequence_length": number("sequence_length", _("Sequence (steps)"), 200),
        "threads": number("threads", _("Threads"), os.cpu_count() or 1),
        "engine": choice("engine", _("Quantized engine"), engines()),
    }


def recipe_values() -> dict[str, Any]:
    """The recipe's choice, with the engine spelled out."""
    recipe = recipe_choice()
    return {field.name: getattr(recipe, field.name) for field in fields(Choice)}


def grid(controls: dict[str, Any]) -> widgets.GridBox:
    """The controls side by side, in as many columns as there is room for."""
    columns = f"repeat(auto-fit, {_WIDE})"
    layout = widgets.Layout(grid_template_columns=columns, grid_gap="0 12px", max_width="920px")
    return widgets.GridBox(list(controls.values()), layout=layout)
