"""The controls of the panel: one for each field of a choice."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ..common.errors import extra
from ..common.language import _
from .measurement import engines, recipe_choice

with extra("notebooks"):
    import ipywidgets as widgets

_COLUMNS = "repeat(auto-fit, minmax(270px, 1fr))"


class Controls(dict[str, Any]):
    """One labelled control for each field of `Choice`, by its name.

    Number boxes rather than sliders, whose label is not tied to their handle: a screen reader
    would call each just "slider". And rather than drop-downs, from which JupyterLab takes the
    arrow keys unless they are open. A box that clips by itself would do so in silence: `clip` says
    what it did.
    """

    def __init__(self) -> None:
        self.limits = {  # what each number box is called, its least value, which is its step, too
            "width": (_("Width (units)"), 8, 1024),
            "layers": (_("Layers"), 1, 4),
            "batch_size": (_("Batch (sequences)"), 1, 64),
            "sequence_length": (_("Sequence (steps)"), 1, 200),
            "threads": (_("Threads"), 1, os.cpu_count() or 1),
        }
        same: dict[str, Any] = {
            "style": {"description_width": "10em"},
            "layout": widgets.Layout(width="auto"),
        }
        super().__init__(
            {
                name: widgets.IntText(
                    description=label, step=least, continuous_update=False, **same
                )
                for name, (label, least, _most) in self.limits.items()
            }
        )
        label = _("Quantized engine")
        self["engine"] = widgets.Dropdown(options=engines(), description=label, **same)
        self.reset()

    def __missing__(self, name: str) -> Any:
        if name == "dimension":  # what the width was called before
            return self["width"]
        raise KeyError(name)

    def reset(self) -> None:
        """Go back to the recipe's choice."""
        for name, value in asdict(recipe_choice()).items():
            self[name].value = value

    def clip(self) -> str:
        """Bring every number within its limits; one sentence for each that was not, or nothing."""
        said = []
        for name, (label, least, most) in self.limits.items():
            value = self[name].value
            self[name].value = now = min(max(value, least), most)
            if now != value:
                said.append(
                    _(
                        "{label} goes from {least} to {most}: {value} became {now}.",
                        label=label,
                        least=least,
                        most=most,
                        value=value,
                        now=now,
                    )
                )
        return " ".join(said)

    def grid(self) -> widgets.GridBox:
        """The controls side by side, in as many columns as there is room for."""
        layout = widgets.Layout(
            grid_template_columns=_COLUMNS, grid_gap="0 12px", max_width="920px"
        )
        return widgets.GridBox(list(self.values()), layout=layout)
