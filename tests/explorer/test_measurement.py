"""What the explorer measures, and the HTML and figures it makes of it."""

import base64
import re
from dataclasses import FrozenInstanceError, replace
from html.parser import HTMLParser

import pytest
import torch

import recipe_helpers as rh
from recipe_helpers.explorer import measurement, page, plots
from recipe_helpers.explorer.measurement import Choice, engines, measure_choice, sweep_choices
from recipe_helpers.recipe.timing import FASTER, INCONCLUSIVE, SLOWER, Ratio, Timing

QUICK_S = 0.01


@pytest.fixture(scope="module")
def recipe():
    return measure_choice(Choice(), budget_s=QUICK_S)


@pytest.fixture(scope="module")
def two_layers():
    choice = Choice(dimension=24, layers=2, batch_size=3, sequence_length=5)
    return measure_choice(choice, budget_s=QUICK_S)


def with_latency(result, speedup, verdict, times=((300.0,), (100.0,))):
    before, after = (Timing(t) for t in times)
    latency = replace(
        result.latency, reference=before, candidate=after, speedup=speedup, verdict=verdict
    )
    return replace(result, latency=latency)


class Document(HTMLParser):
    """The elements of a piece of HTML with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(source.partition("</style>")[2])

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data + " "


class TestMeasure:
    def test_finds_the_published_figures_of_the_recipe(self, recipe):
        if torch.backends.quantized.engine not in ("x86", "fbgemm"):
            pytest.skip("the published figures of this engine are others")
        assert recipe.accuracy.reference_mean == pytest.approx(0.12887, abs=5e-6)
        assert recipe.accuracy.candidate_mean == pytest.approx(0.12912, abs=5e-6)
        assert recipe.accuracy.relative == pytest.approx(0.0121, abs=5e-5)

    def test_every_size_reaches_the_model(self, two_layers):
        """Four gates of two matrices and two biases per layer, four bytes each."""
        parameters = 2 * (4 * 24 * 24 * 2 + 4 * 24 * 2)
        assert two_layers.size.reference.payload_bytes == 4 * parameters
        assert two_layers.size.candidate.int8_bytes == 2 * (4 * 24 * 24 * 2)
        shapes = {t.name: t.worst.index for t in two_layers.accuracy.tensors}
        assert all(len(index) == 3 for index in shapes.values())
        assert len(two_layers.outputs) == min(300, 5 * 3 * 24)

    @pytest.mark.parametrize("field", ["batch_size", "sequence_length"])
    def test_batch_and_steps_change_what_runs(self, monkeypatch, field):
        seen = []
        real = measurement.compare_latency

        def spy(reference, candidate, inputs, hidden, **options):
            seen.append((tuple(inputs.shape), tuple(hidden[0].shape)))
            return real(reference, candidate, inputs, hidden, **options)

        monkeypatch.setattr(measurement, "compare_latency", spy)
        measure_choice(Choice(**{field: 3}), budget_s=QUICK_S)
        batch, steps = (3, 20) if field == "batch_size" else (1, 3)
        assert seen == [((steps, batch, 8), (1, batch, 8))]

    def test_agrees_with_the_helpers_called_directly(self, two_layers):
        demo = rh.demonstration(dimension=24, layers=2, batch_size=3, sequence_length=5)
        quantized = rh.quantize_dynamic(demo.model)
        assert two_layers.size == rh.compare_size(demo.model, quantized)
        direct = rh.compare_outputs(demo.model, quantized, *demo.arguments)
        assert two_layers.accuracy.relative == pytest.approx(direct.relative, rel=1e-6)
        with torch.inference_mode():
            float_output = demo.model(*demo.arguments)[0].flatten()
            int8_output = quantized(*demo.arguments)[0].flatten()
        before, after = map(torch.tensor, zip(*two_layers.outputs, strict=True))
        assert len(before) == 300
        assert before[0] == pytest.approx(float_output[0].item(), abs=1e-6)
        assert before[-1] == pytest.approx(float_output[-1].item(), abs=1e-6)
        assert after[-1] == pytest.approx(int8_output[-1].item(), abs=1e-6)
        assert not torch.equal(before, after)

    def test_runs_on_the_chosen_threads_and_puts_them_back(self, monkeypatch):
        seen = []
        real = measurement.quantize_dynamic

        def spy(*args, **options):
            seen.append(torch.get_num_threads())
            return real(*args, **options)

        monkeypatch.setattr(measurement, "quantize_dynamic", spy)
        before = torch.get_num_threads()
        other = 1 if before > 1 else 2
        result = measure_choice(Choice(threads=other), budget_s=QUICK_S)
        assert seen == [other]
        assert result.latency.threads == other
        assert torch.get_num_threads() == before

    @pytest.mark.parametrize("engine", engines())
    def test_every_engine_offered_works_and_is_used(self, engine):
        result = measure_choice(Choice(engine=engine), budget_s=QUICK_S)
        demo = rh.demonstration()
        options = {"backend": "plain"} if engine == "plain" else {"engine": engine}
        quantized = rh.quantize_dynamic(demo.model, **options)
        direct = rh.compare_outputs(demo.model, quantized, *demo.arguments)
        assert result.accuracy.relative == pytest.approx(direct.relative, rel=1e-6)
        assert f", {engine}" in str(result.choice)

    def test_qnnpack_is_more_exact_than_x86(self):
        if not {"x86", "qnnpack"} <= set(engines()):
            pytest.skip("this PyTorch lacks one of the two engines")
        x86, qnnpack = (
            measure_choice(Choice(engine=engine), budget_s=QUICK_S) for engine in ("x86", "qnnpack")
        )
        assert qnnpack.accuracy.relative < x86.accuracy.relative

    def test_is_frozen(self, recipe):
        with pytest.raises(FrozenInstanceError):
            recipe.choice = Choice()
        assert hash(Choice()) == hash(Choice(dimension=8))


class TestRefusals:
    @pytest.mark.parametrize(
        "field", ["dimension", "layers", "batch_size", "sequence_length", "threads"]
    )
    def test_a_size_of_zero_is_named(self, field):
        with pytest.raises(rh.ArgumentError, match=f"{field} is 0; pass a whole number"):
            measure_choice(Choice(**{field: 0}))

    def test_an_unknown_engine_is_named_with_those_there_are(self):
        with pytest.raises(rh.ArgumentError, match=r"engine is 'steam'; pass one of '"):
            measure_choice(Choice(engine="steam"))

    def test_too_much_work_is_refused_before_anything_is_built(self, monkeypatch):
        monkeypatch.setattr(measurement, "demonstration", lambda **_: pytest.fail("built"))
        with pytest.raises(rh.ArgumentError, match=r"width 1024, .* takes 10\.7 billion") as raised:
            measure_choice(Choice(dimension=1024, batch_size=64))
        assert "choose a smaller width or batch" in str(raised.value)

    def test_work_counts_the_products_of_every_matrix(self):
        model = rh.demonstration(dimension=16, layers=3).model
        matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
        choice = Choice(dimension=16, layers=3, batch_size=5, sequence_length=7)
        assert choice.multiply_adds == matrices * 5 * 7


class TestWords:
    @pytest.mark.parametrize(
        ("ratio", "verdict", "words"),
        [
            (Ratio(3.0, 2.9, 3.1), FASTER, "a call is 3.00 times faster"),
            (Ratio(0.25, 0.2, 0.3), SLOWER, "a call is 4.00 times slower"),
            (Ratio(1.01, 0.9, 1.1), INCONCLUSIVE, "does not differ by more than the noise"),
        ],
    )
    def test_the_verdict_says_how_many_times(self, recipe, ratio, verdict, words):
        assert words in with_latency(recipe, ratio, verdict).verdict

    def test_a_file_that_grew_is_not_called_smaller(self, recipe):
        swapped = replace(
            recipe.size, reference=recipe.size.candidate, candidate=recipe.size.reference
        )
        assert "1.29 times smaller" in recipe.verdict
        assert "1.29 times larger" in replace(recipe, size=swapped).verdict

    def test_table_holds_both_models_of_all_three_measures(self, recipe):
        result = with_latency(recipe, Ratio(3.0, 2.9, 3.1), FASTER)
        size, latency, accuracy = result.table().rows
        assert size[1:] == ("4,573 bytes", "3,549 bytes", "1.29 to 1")
        assert latency[1:] == ("300 µs", "100 µs", "3.00 to 1, INT8 is faster")
        assert accuracy[1] == f"{result.accuracy.reference_mean:.5f}"
        assert accuracy[2] == f"{result.accuracy.candidate_mean:.5f}"

    def test_choice_in_words(self):
        choice = Choice(dimension=16, layers=2, sequence_length=1, threads=2, engine="x86")
        assert str(choice) == "width 16, 2 layers, batch 1, 1 step, 2 threads, x86"


class TestPage:
    def test_numbers_and_verdict_are_those_of_the_result(self, recipe):
        shown = Document(page.numbers(recipe, "<img alt='picture'>"))
        assert recipe.verdict in shown.text
        for row in recipe.table().rows:
            assert all(cell in shown.text for cell in row)
        scopes = [attributes.get("scope") for tag, attributes in shown.elements if tag == "th"]
        assert scopes == ["col"] * 4 + ["row"] * 3

    def test_image_carries_the_very_bytes_and_an_escaped_text(self):
        png = b"\x89PNG\r\n\x1a\n and the rest"
        (box, (tag, attributes)) = Document("</style>" + page.image(png, 'a "b" <c>')).elements
        assert box[1]["tabindex"] == "0"
        assert tag == "img"
        assert attributes["alt"] == 'a "b" <c>'
        head, _, data = attributes["src"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data) == png

    def test_sentences_are_escaped_and_announced(self):
        for make, role in ((page.status, "status"), (page.error, "alert")):
            shown = Document(make("1 < 2 <script>"))
            assert "1 < 2 <script>" in shown.text
            assert [a["role"] for _, a in shown.elements if "role" in a] == [role]
            assert "script" not in [tag for tag, _ in shown.elements]

    def test_no_colour_of_text_is_fixed(self):
        """Text in a fixed dark colour cannot be read in a dark theme."""
        style = page.status("").partition("</style>")[0]
        colours = re.findall(r"[;{\s]color:([^;}]*)", style)
        assert colours
        assert all(colour.strip().startswith("var(--jp-") for colour in colours)


class TestFigures:
    def test_bars_have_the_lengths_measured_in_the_unit_of_their_label(self, recipe):
        result = with_latency(recipe, Ratio(3.0, 2.9, 3.1), FASTER, ((3000.0,) * 3, (1000.0,) * 3))
        size, latency, _ = plots.panel(result).axes
        assert [bar.get_width() for bar in size.patches] == [4.573, 3.549]
        assert size.get_xlabel() == "size of the file (kB)"
        assert [bar.get_width() for bar in latency.patches] == [3.0, 1.0]
        assert latency.get_xlabel() == "time of one call (ms)"
        for axes in (size, latency):
            assert [label.get_text() for label in axes.get_yticklabels()] == ["FP32", "INT8"]

    def test_quartiles_are_drawn_on_their_own_bar(self, recipe):
        times = ((1.0, 2.0, 3.0, 4.0, 5.0), (10.0, 20.0, 30.0, 40.0, 50.0))
        result = with_latency(recipe, Ratio(0.1, 0.1, 0.1), SLOWER, times)
        lines = plots.panel(result).axes[1].lines
        assert [list(line.get_xdata()) for line in lines] == [[2.0, 4.0], [20.0, 40.0]]
        assert [set(line.get_ydata()) for line in lines] == [{0}, {1}]

    def test_dots_are_the_outputs_fp32_across_int8_up(self, recipe):
        axes = plots.panel(recipe).axes[2]
        dots = axes.lines[-1]
        pairs = list(zip(dots.get_xdata(), dots.get_ydata(), strict=True))
        assert pairs == list(recipe.outputs)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("FP32 output", "INT8 output")

    def test_alternative_text_says_what_was_measured(self, recipe):
        figure = plots.panel(recipe)
        assert recipe.verdict in figure.alt
        assert str(recipe.choice) in figure.alt
        assert not re.search(r"\d", repr(figure).replace("FP32", "").replace("INT8", ""))

    def test_sweep_draws_each_measure_and_marks_the_choice(self, recipe, two_layers):
        points = [recipe, with_latency(two_layers, Ratio(3.0, 2.0, 4.0), FASTER)]
        figure = plots.sweep(points, points[1])
        expected = (
            [p.size.ratio for p in points],
            [p.latency.speedup.median for p in points],
            [100 * p.accuracy.relative for p in points],
        )
        for axes, values in zip(figure.axes, expected, strict=True):
            line, star = axes.lines[:2]
            assert list(line.get_xdata()) == [8, 24]
            assert list(line.get_ydata()) == values
            assert star.get_marker() == "*"
            assert (star.get_xdata()[0], star.get_ydata()[0]) == (24, values[1])
            assert axes.get_xlabel() == "width (units)"
        assert [axes.get_ylabel() for axes in figure.axes] == [
            "FP32 bytes / INT8 bytes",
            "FP32 time / INT8 time",
            "relative difference (%)",
        ]
        assert "A star marks width 24, 2 layers" in figure.alt

    def test_static_figure_is_the_panels_own(self):
        figure = rh.explore_static(Choice(dimension=16))
        assert "width 16, 1 layer, batch 1" in figure.alt
        assert repr(figure) == repr(rh.explore_static())


class TestSweepChoices:
    def test_same_choice_at_rising_widths_with_its_own(self):
        choice = Choice(dimension=100, batch_size=2)
        choices = sweep_choices(choice)
        dimensions = [c.dimension for c in choices]
        assert dimensions == sorted({*measurement.SWEEP_DIMENSIONS, 100})
        assert {replace(c, dimension=100) for c in choices} == {choice}

    def test_leaves_out_what_would_be_refused(self):
        choices = sweep_choices(Choice(batch_size=64))
        assert max(c.dimension for c in choices) == 256
        assert all(c.multiply_adds <= measurement.MOST_MULTIPLY_ADDS for c in choices)
