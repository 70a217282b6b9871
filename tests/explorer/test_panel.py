"""The explorer without a browser: controls are set, and what the panel says is read."""

import asyncio
import functools
import html
import re
import threading
from dataclasses import fields, replace

import ipywidgets as widgets
import pytest

import recipe_helpers as rh
from recipe_helpers.explorer import panel as module
from recipe_helpers.explorer.measurement import Choice, engines, measure_choice

# The measurements themselves have tests of their own; here each choice is measured once.
_measured_once = functools.cache(functools.partial(measure_choice, budget_s=0.01))
RECIPE = Choice(engine=engines()[0])


@pytest.fixture
def measured(monkeypatch):
    """The choices that the explorer measured, in order."""
    log = []

    def measure(choice):
        log.append(choice)
        return _measured_once(choice)

    monkeypatch.setattr(module, "measure_choice", measure)
    return log


def said(widget):
    """The text of an HTML widget, without its style sheet and tags."""
    content = widget.value.partition("</style>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content)).split())


def picture(widget):
    found = re.search(r'<img src="([^"]*)" alt="([^"]*)"', widget.value)
    return found[1], html.unescape(found[2])


async def settle(explorer, seconds=0.3):
    """Let the event loop run until nothing is booked any more."""
    await asyncio.sleep(module.PAUSE_S)
    for _ in range(100):
        booked = explorer._booking
        await asyncio.sleep(seconds)
        if booked == explorer._booking and "Measuring" not in said(explorer.message):
            return
    pytest.fail("the explorer never comes to rest")


class TestPanel:
    def test_opens_with_the_recipe_measured(self, measured):
        explorer = rh.explore()
        assert measured == [RECIPE]
        assert explorer.choice == RECIPE
        assert explorer.last_error is None
        assert explorer.result == _measured_once(RECIPE)
        assert _measured_once(RECIPE).verdict in said(explorer.numbers)
        assert picture(explorer.numbers)[1].startswith("Two bar charts")

    def test_has_one_control_per_field_in_order(self):
        assert list(rh.explore().controls) == [field.name for field in fields(Choice)]

    def test_every_control_is_labelled_and_takes_arrow_keys(self):
        for control in rh.explore().controls.values():
            assert control.description
            assert control.style.description_width == "10em"
            assert isinstance(control, widgets.BoundedIntText | widgets.Dropdown)

    def test_offers_the_engines_there_are(self):
        assert rh.explore().controls["engine"].options == engines()

    def test_is_built_without_output_widgets(self):
        """Output widgets swallow exceptions, and need a front end."""
        explorer = rh.explore()
        parts, kinds = [explorer], set()
        while parts:
            part = parts.pop()
            kinds.add(type(part))
            parts.extend(getattr(part, "children", ()))
        assert widgets.HTML in kinds
        assert not any(issubclass(kind, widgets.Output) for kind in kinds)

    def test_shows_itself_as_the_same_words_everywhere(self):
        bundle = rh.explore()._repr_mimebundle_()
        words = "<Explorer: size, latency and accuracy of FP32 and INT8>"
        assert bundle["text/plain"] == words
        assert "application/vnd.jupyter.widget-view+json" in bundle


class TestControls:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dimension", 32),
            ("layers", 2),
            ("batch_size", 4),
            ("sequence_length", 7),
            ("threads", 2),
            ("engine", engines()[-1]),
        ],
    )
    def test_each_control_changes_its_field_and_nothing_else(self, measured, name, value):
        explorer = rh.explore()
        explorer.controls["threads"].max = 2
        before = picture(explorer.numbers)
        explorer.controls[name].value = value
        expected = replace(RECIPE, **{name: value})
        assert measured == list(dict.fromkeys([RECIPE, expected]))
        assert explorer.result == _measured_once(expected)
        assert str(expected) in said(explorer.numbers)
        assert _measured_once(expected).verdict in said(explorer.numbers)
        if expected != RECIPE:
            assert picture(explorer.numbers) != before

    def test_panel_says_what_the_helpers_say(self):
        """Nothing replaced: the numbers of size and accuracy are the same at every measurement."""
        explorer = rh.explore()
        explorer.controls["dimension"].value = 16
        demo = rh.demonstration(dimension=16)
        quantized = rh.quantize_dynamic(demo.model, engine=engine_of(explorer))
        size = rh.compare_size(demo.model, quantized)
        accuracy = rh.compare_outputs(demo.model, quantized, *demo.arguments)
        words = said(explorer.numbers)
        assert f"{size.reference_bytes:,} bytes {size.candidate_bytes:,} bytes" in words
        assert f"differ by {accuracy.relative:.2%}" in words
        assert f"{accuracy.sqnr_db:.1f} dB" in words

    def test_reset_goes_back_and_measures_nothing(self, measured):
        explorer = rh.explore()
        shown = explorer.numbers.value
        explorer.controls["dimension"].value = 16
        explorer.controls["layers"].value = 2
        del measured[:]
        explorer.reset.click()
        assert explorer.choice == RECIPE
        assert explorer.numbers.value == shown
        assert measured == []

    def test_a_choice_measured_before_comes_back_at_once(self, measured):
        explorer = rh.explore()
        explorer.controls["dimension"].value = 16
        shown = explorer.numbers.value
        explorer.controls["dimension"].value = 8
        explorer.controls["dimension"].value = 16
        assert explorer.numbers.value == shown
        assert [choice.dimension for choice in measured] == [8, 16]

    def test_measure_again_does(self, measured):
        explorer = rh.explore()
        explorer.again.click()
        assert measured == [RECIPE, RECIPE]

    def test_forget_drops_the_results_but_not_what_is_shown(self, measured):
        explorer = rh.explore()
        shown = explorer.numbers.value
        explorer.forget()
        assert explorer.numbers.value == shown
        explorer.wait()
        assert measured == [RECIPE, RECIPE]

    def test_remembers_a_bounded_number_of_choices(self, measured, monkeypatch):
        monkeypatch.setattr(module, "_REMEMBERED", 2)
        explorer = rh.explore()
        for dimension in (16, 24, 16, 8):
            explorer.controls["dimension"].value = dimension
        assert [choice.dimension for choice in measured] == [8, 16, 24, 8]


class TestErrors:
    def test_an_impossible_choice_is_one_sentence_and_the_picture_stays(self, measured):
        explorer = rh.explore()
        shown, result = explorer.numbers.value, explorer.result
        explorer.controls["sequence_length"].value = 200
        good = explorer.numbers.value, explorer.result
        assert good != (shown, result)
        explorer.controls["dimension"].value = 1024
        assert isinstance(explorer.last_error, rh.ArgumentError)
        assert said(explorer.message).startswith(str(explorer.last_error))
        assert said(explorer.message).endswith(f"The panel still shows {good[1].choice}.")
        assert 'role="alert"' in explorer.message.value
        assert (explorer.numbers.value, explorer.result) == good

    def test_an_unforeseen_exception_is_kept_and_told(self, measured, monkeypatch):
        explorer = rh.explore()
        broken = RuntimeError("the <engine> stalled\nat line 7")

        def measure(choice):
            raise broken

        monkeypatch.setattr(module, "measure_choice", measure)
        explorer.controls["layers"].value = 3
        assert explorer.last_error is broken
        words = said(explorer.message)
        assert "2 layers" not in words
        assert "could not be measured: RuntimeError: the <engine> stalled" in words
        assert "line 7" not in words
        assert explorer.result == _measured_once(RECIPE)

    def test_the_next_good_measurement_clears_the_error(self, measured):
        explorer = rh.explore()
        explorer.controls["batch_size"].value = 64
        explorer.controls["dimension"].value = 1024
        assert explorer.last_error is not None
        explorer.controls["dimension"].value = 16
        assert explorer.last_error is None
        assert said(explorer.message) == ""
        assert explorer.result.choice.dimension == 16

    def test_an_error_at_the_start_still_gives_a_panel(self, monkeypatch):
        def measure(choice):
            raise rh.EngineError("no engine works here.")

        monkeypatch.setattr(module, "measure_choice", measure)
        explorer = rh.explore()
        assert isinstance(explorer.last_error, rh.EngineError)
        assert said(explorer.message) == "no engine works here."
        assert explorer.result is None


class TestSweep:
    def test_is_measured_when_its_tab_is_opened(self, measured, monkeypatch):
        monkeypatch.setattr("recipe_helpers.explorer.measurement.SWEEP_DIMENSIONS", (8, 16, 32))
        explorer = rh.explore()
        assert measured == [RECIPE]
        assert explorer.sweep.value == ""
        explorer.tabs.selected_index = 1
        assert [choice.dimension for choice in measured] == [8, 16, 32]
        assert picture(explorer.sweep)[1].startswith("Three line plots over widths 8 to 32")
        assert said(explorer.message) == ""

    def test_follows_the_choice_and_measures_only_what_is_new(self, measured, monkeypatch):
        monkeypatch.setattr("recipe_helpers.explorer.measurement.SWEEP_DIMENSIONS", (8, 16))
        explorer = rh.explore()
        explorer.tabs.selected_index = 1
        del measured[:]
        explorer.controls["dimension"].value = 24
        assert measured == [replace(RECIPE, dimension=24)]
        assert f"A star marks {replace(RECIPE, dimension=24)}" in picture(explorer.sweep)[1]
        explorer.controls["dimension"].value = 16
        assert len(measured) == 1
        assert f"A star marks {replace(RECIPE, dimension=16)}" in picture(explorer.sweep)[1]


class TestUnderAnEventLoop:
    """As in a kernel: a change is booked, and measured a moment later."""

    def test_of_a_burst_only_the_last_is_measured(self, measured):
        async def burst():
            explorer = rh.explore()
            for dimension in (16, 24, 32, 40, 48):
                explorer.controls["dimension"].value = dimension
                assert f"Measuring width {dimension}" in said(explorer.message)
                assert explorer.result.choice == RECIPE
            await settle(explorer)
            return explorer

        explorer = asyncio.run(burst())
        assert [choice.dimension for choice in measured] == [8, 48]
        assert explorer.result.choice.dimension == 48
        assert said(explorer.message) == ""

    def test_going_back_within_a_burst_measures_nothing(self, measured):
        async def there_and_back():
            explorer = rh.explore()
            explorer.controls["dimension"].value = 16
            explorer.controls["dimension"].value = 8
            assert said(explorer.message) == ""
            await settle(explorer)

        asyncio.run(there_and_back())
        assert measured == [RECIPE]

    def test_a_result_that_came_too_late_is_not_shown(self, measured, monkeypatch):
        async def change_while_measuring():
            explorer = rh.explore()
            once = module.measure_choice

            def slow(choice):
                if choice.dimension == 16:  # the next message arrives meanwhile
                    explorer.controls["dimension"].value = 24
                return once(choice)

            monkeypatch.setattr(module, "measure_choice", slow)
            shown = []
            explorer.numbers.observe(lambda change: shown.append(change.new), "value")
            explorer.controls["dimension"].value = 16
            await settle(explorer)
            return explorer, shown

        explorer, shown = asyncio.run(change_while_measuring())
        assert [choice.dimension for choice in measured] == [8, 16, 24]
        assert explorer.result.choice.dimension == 24
        assert len(shown) == 1

    def test_measures_where_cells_run_though_messages_come_elsewhere(self, measured, monkeypatch):
        """JupyterLab has messages of widgets handled in a thread of their own."""
        threads = []
        once = module.measure_choice

        def noting(choice):
            threads.append(threading.current_thread())
            return once(choice)

        monkeypatch.setattr(module, "measure_choice", noting)

        async def change_from_another_thread():
            explorer = rh.explore()
            await asyncio.to_thread(setattr, explorer.controls["dimension"], "value", 16)
            await settle(explorer)
            return explorer

        explorer = asyncio.run(change_from_another_thread())
        assert explorer.result.choice.dimension == 16
        assert threads == [threading.main_thread()] * 2

    def test_wait_measures_now(self, measured):
        async def set_and_read():
            explorer = rh.explore()
            explorer.controls["dimension"].value = 16
            result = explorer.wait()
            await settle(explorer)
            return result

        assert asyncio.run(set_and_read()) == _measured_once(replace(RECIPE, dimension=16))
        assert len(measured) == 2

    def test_sweep_lets_go_when_the_choice_changes(self, measured, monkeypatch):
        monkeypatch.setattr("recipe_helpers.explorer.measurement.SWEEP_DIMENSIONS", (8, 16, 24, 32))

        async def change_during_the_sweep():
            explorer = rh.explore()
            once = module.measure_choice

            def watched(choice):
                if choice == replace(RECIPE, dimension=16):
                    explorer.controls["layers"].value = 2
                return once(choice)

            monkeypatch.setattr(module, "measure_choice", watched)
            explorer.tabs.selected_index = 1
            await settle(explorer)
            return explorer

        explorer = asyncio.run(change_during_the_sweep())
        assert [(c.dimension, c.layers) for c in measured] == [
            *[(8, 1), (16, 1)],
            *[(8, 2), (16, 2), (24, 2), (32, 2)],
        ]
        assert "2 layers" in picture(explorer.sweep)[1]


def engine_of(explorer):
    engine = explorer.controls["engine"].value
    return None if engine == "plain" else engine
