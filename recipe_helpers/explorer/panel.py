"""The interactive panel: choose a model and how to run it, and see FP32 against INT8 change.

What is measured is in `measurement`, what is shown in `page` and `plots`, what chooses in
`controls`; here is only the order of events.

Measuring blocks, and choices arrive in bursts (an arrow key held down). So a change only books a
measurement with the event loop on which the kernel runs cells, a moment later; a later change
makes the booking void. Measurements thus never run beside a cell of the notebook or beside each
other, wherever the front end has its messages handled (JupyterLab uses a thread of its own for
them). Without a running loop, in plain Python, a change is measured at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..common.errors import RecipeError, extra
from ..common.language import N_, _
from ..common.plots import RecipeFigure
from . import page, plots
from .controls import Controls
from .measurement import (
    Choice,
    Exploration,
    measure_choice,
    measure_memory,
    recipe_choice,
    sweep_choices,
)

with extra("notebooks"):
    import ipywidgets as widgets

PAUSE_S = 0.04  # longer than a burst of messages takes to arrive, shorter than one notices
_REMEMBERED = 384  # a result, its page and its memory, for so many choices together
_DPI = 150
_SWEEP_TAB, _MEMORY_TAB = 1, 2
_READ_THE_SWEEP = N_(
    "The same choice at other widths. The star is the width chosen; above the dashed line INT8 "
    "is smaller or faster; the band is the 95 % interval."
)
_READ_THE_MEMORY = N_(
    "Each model in a fresh process of its own, on one thread: what became resident there once it "
    "was loaded, and at the peak of a call."
)


def explore() -> Explorer:
    """The interactive panel, for the last line of a cell.

    Its controls choose the recipe's LSTM (width, layers, batch, sequence length), the threads and
    the engine; it shows size, latency and accuracy of FP32 and INT8, in a second tab how they
    change with the width, and in a third the memory that both take.
    """
    return Explorer()


def explore_static(choice: Choice | None = None) -> RecipeFigure:
    """The panel's figure for one choice, which needs no kernel once it is drawn.

    Args:
        choice: what to measure; the recipe's own model unless given.

    Raises:
        ArgumentError: see `measure_choice`.
    """
    return plots.panel(measure_choice(choice or recipe_choice()))


class Explorer(widgets.VBox):
    """The panel that `explore` returns; read `result` and `last_error`, set `controls`.

    Attributes:
        controls: the widgets that choose, by the name of their field of `Choice`.
        reset: the button that goes back to the recipe's choice.
        again: the button that measures the current choice anew.
        tabs: this choice, the sweep over widths, and memory.
        numbers: HTML of the current choice: verdict, table, picture.
        sweep: HTML of the sweep.
        memory: HTML of the memory that the current choice takes.
        message: HTML of what goes on, or went wrong.
        result: the exploration that is shown, or None before the first.
        last_error: the exception that the last measurement raised, or None.
    """

    def __init__(self) -> None:
        self.controls = Controls(self._changed)
        self.reset = _button(_("Reset to the recipe's values"), self.controls.reset)
        self.again = _button(_("Measure again"), self._measure_again)
        self.numbers, self.sweep, self.memory = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.message = widgets.HTML(layout=widgets.Layout(min_height="2.4em"))
        self.tabs = widgets.Tab(
            [self.numbers, self.sweep, self.memory],
            titles=(_("This choice"), _("Across widths"), _("Memory")),
            selected_index=0,
        )
        self.tabs.observe(lambda event: self._changed(), "selected_index")
        self.result: Exploration | None = None
        self.last_error: Exception | None = None
        self._loop = _running_loop()
        self._booking = 0  # the number of the latest one; all earlier ones are void
        self._clipped = ""  # what is to be said of numbers beyond their limits
        self._kept: dict[tuple[str, Choice], Any] = {}
        layout = widgets.Layout(flex_flow="row wrap")
        row = widgets.HBox([self.reset, self.again], layout=layout)
        super().__init__([self.controls.grid(), row, self.message, self.tabs])
        self._measure(self._booking)

    def __repr__(self) -> str:
        return _("<Explorer: size, latency and accuracy of FP32 and INT8>")

    @property
    def choice(self) -> Choice:
        """What the controls say now."""
        return self.controls.choice

    def wait(self) -> Exploration | None:
        """Measure what is booked now rather than in a moment; returns `result`.

        For a cell or program that sets controls and reads the result in one go. With the tab of
        the sweep open, the whole sweep is measured.
        """
        loop, self._loop = self._loop, None
        try:
            self._changed()
        finally:
            self._loop = loop
        return self.result

    def forget(self) -> None:
        """Drop every result measured before, but not what is shown."""
        self._kept.clear()

    def _measure_again(self) -> None:
        for what in ("result", "page", "memory"):
            self._kept.pop((what, self.choice), None)
        self._changed()

    def _changed(self, clipped: str = "") -> None:
        """Show a choice measured before at once; book the measurement of what is missing."""
        self._clipped = clipped
        self._booking += 1
        choice, tab = self.choice, self.tabs.selected_index
        if ("page", choice) not in self._kept:
            self._say(_("Measuring {choice} …", choice=choice))
        else:
            self._show(choice)
            if tab == _MEMORY_TAB and ("memory", choice) not in self._kept:
                self._say(_("Measuring the memory of {choice} …", choice=choice))
        self._book(PAUSE_S)

    def _book(self, delay_s: float) -> None:
        if self._loop is None or not self._loop.is_running():
            self._measure(self._booking)
            return
        later = self._loop.call_later
        self._loop.call_soon_threadsafe(later, delay_s, self._measure, self._booking)

    def _measure(self, booking: int) -> None:
        """Measure and show the choice, then what the open tab lacks, unless the booking is void."""
        choice = self.choice
        if booking != self._booking:
            return
        try:
            self._once("page", choice, self._page)
            if booking == self._booking:
                self._show(choice)
                if self.tabs.selected_index == _SWEEP_TAB:
                    self._measure_sweep(choice, booking)
                elif self.tabs.selected_index == _MEMORY_TAB:
                    self._measure_memory(choice, booking)
        except Exception as error:  # noqa: BLE001  (whatever it is, it belongs into the panel)
            if booking == self._booking:
                self._fail(choice, error)

    def _measure_sweep(self, choice: Choice, booking: int) -> None:
        """Measure one more width, draw those there are, and book the next."""
        choices = sweep_choices(choice)
        missing = [c for c in choices if ("result", c) not in self._kept]
        for one in missing[:1]:
            self._once("result", one, measure_choice)
        if booking != self._booking:
            return
        done = [self._kept["result", c] for c in choices if c not in missing[1:]]
        figure = plots.sweep(done, self._once("result", choice, measure_choice))
        picture = page.image(figure, _DPI)
        self.sweep.value = page.content(sentence=_(_READ_THE_SWEEP), picture=picture)
        if missing[1:]:
            said = _("Measuring across widths: {done} of {all} …", done=len(done), all=len(choices))
            self._say(said)
            self._book(0)

    def _measure_memory(self, choice: Choice, booking: int) -> None:
        found = self._once("memory", choice, measure_memory)
        if booking == self._booking:
            self._say("")
            table = replace(found.table(), caption=str(choice))
            self.memory.value = page.content(sentence=_(_READ_THE_MEMORY), table=table)

    def _once(self, what: str, choice: Choice, make: Callable[[Choice], Any]) -> Any:
        """What `make` makes of a choice, kept for the next time; of many, the latest are kept."""
        if (what, choice) not in self._kept:
            self._kept[what, choice] = make(choice)
            while len(self._kept) > _REMEMBERED:
                del self._kept[next(iter(self._kept))]
        return self._kept[what, choice]

    def _page(self, choice: Choice) -> tuple[Exploration, str]:
        found = self._once("result", choice, measure_choice)
        picture = page.image(plots.panel(found), _DPI)
        return found, page.content(table=found.table(), picture=picture)

    def _show(self, choice: Choice) -> None:
        self.result, self.numbers.value = self._kept["page", choice]
        self.last_error = None
        self._say("")

    def _say(self, sentence: str) -> None:
        self.message.value = page.status(f"{self._clipped} {sentence}".strip())

    def _fail(self, choice: Choice, error: Exception) -> None:
        """Say what went wrong; what was shown stays."""
        self.last_error = error
        sentence = str(error)
        if not isinstance(error, RecipeError):
            sentence = _(
                "{choice} could not be measured: {kind}: {reason}",
                choice=choice,
                kind=type(error).__name__,
                reason=next(iter(str(error).splitlines()), "") or _("no reason given"),
            )
        if self.result is not None:
            sentence += " " + _("The panel still shows {choice}.", choice=self.result.choice)
        self.message.value = page.error(f"{self._clipped} {sentence}".strip())


def _button(label: str, clicked: Callable[[], object]) -> widgets.Button:
    button = widgets.Button(description=label, layout=widgets.Layout(width="auto"))
    button.on_click(lambda event: clicked())
    return button


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
