"""The controls of the panel: one for each field of a choice."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ..common.errors import extra
from ..common.language import _
from .measurement import Choice, engines, recipe_choice

with extra("notebooks"):
    import ipywidgets as widgets

_COLUMNS = "repeat(auto-fit, minmax(270px, 1fr))"


class Controls(dict[str, Any]):
    """One labelled control for each field of `Choice`, by its name.

    Number boxes rather than sliders, whose label is not tied to their handle: a screen reader
    would call each just "slider". And rather than drop-downs, from which JupyterLab takes the
    arrow keys unless they are open. A box that clips by itself would do so in silence; here every
    change is told to `changed`, with a sentence on each number that was beyond its limits.
    """

    def __init__(self, changed: Callable[[str], object]) -> None:
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
        for name, (label, least, _most) in self.limits.items():
            self[name] = widgets.IntText(
                description=label, step=least, continuous_update=False, **same
            )
        label = _("Quantized engine")
        self["engine"] = widgets.Dropdown(options=engines(), description=label, **same)
        self._changed = changed
        self._held = False  # whether changes are only steps of a greater one
        self._set(recipe_choice())
        for control in self.values():
            control.observe(self._tell, "value")

    def __missing__(self, name: str) -> Any:
        if name == "dimension":  # what the width was called before
            return self["width"]
        raise KeyError(name)

    @property
    def choice(self) -> Choice:
        """What the controls say now."""
        return Choice(**{name: control.value for name, control in self.items()})

    def reset(self) -> None:
        """Go back to the recipe's choice; one change."""
        self._set(recipe_choice())
        self._changed("")

    def grid(self) -> widgets.GridBox:
        """The controls side by side, in as many columns as there is room for."""
        layout = widgets.Layout(
            grid_template_columns=_COLUMNS, grid_gap="0 12px", max_width="920px"
        )
        return widgets.GridBox(list(self.values()), layout=layout)

    def _set(self, choice: Choice) -> None:
        self._held = True
        for name, value in asdict(choice).items():
            self[name].value = value
        self._held = False

    def _tell(self, event: Any) -> None:
        """Bring every number within its limits, and say the change and what was beyond them."""
        if self._held:
            return
        asked, said = self.choice, []
        within = {
            name: min(max(getattr(asked, name), least), most)
            for name, (_label, least, most) in self.limits.items()
        }
        for name, (label, least, most) in self.limits.items():
            if (value := getattr(asked, name)) != within[name]:
                said.append(
                    _(
                        "{label} goes from {least} to {most}: {value} became {now}.",
                        label=label,
                        least=least,
                        most=most,
                        value=value,
                        now=within[name],
                    )
                )
        self._set(replace(asked, **within))
        self._changed(" ".join(said))
