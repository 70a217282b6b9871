"""Perplexity with its interval, texts that are drawn, and the bytes of each part of a model."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from recipe_helpers.common.intervals import Interval, mean_interval
from recipe_helpers.recipe.quantize import quantize_dynamic
from recipe_helpers.trained_models.data import ReferenceText
from recipe_helpers.trained_models.language_model import (
    PartSize,
    PartSizes,
    compare_perplexity,
    generate_text,
    size_by_part,
)
from recipe_helpers.trained_models.training import tutorial_language_model

from .made_up import TEXT, random_model


class Constant(nn.Module):
    """Gives every word the same logits, and counts its steps in the hidden state."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.steps: list[int] = []

    def forward(self, words, hidden):
        self.steps.append(hidden or 0)
        return self.logits.expand(*words.shape, -1), (hidden or 0) + len(words)


def test_perplexity_is_the_number_of_equally_likely_words():
    even = Constant([0.0, 0.0, 0.0, 0.0]).eval()
    words = torch.randint(4, (1003,))
    found = compare_perplexity(even, even, words)
    assert found.reference == pytest.approx(4)
    assert found.difference_nats == Interval(0, 0, 0)
    assert found.words == 990  # ten streams of 100 words, of which the first is not foretold


def test_the_difference_is_candidate_less_reference_per_word():
    words = torch.zeros(1000).long()
    even, sure = Constant([0.0, 0.0]).eval(), Constant([math.log(3), 0.0]).eval()
    found = compare_perplexity(sure, even, words)
    assert (found.reference, found.candidate) == pytest.approx((4 / 3, 2))
    assert found.difference_nats.mean == pytest.approx(math.log(2 / (4 / 3)))
    assert found.relative.mean == pytest.approx(0.5)
    assert "+50.00" in str(found)


def test_the_hidden_state_is_carried_from_piece_to_piece():
    model = Constant([0.0, 0.0]).eval()
    compare_perplexity(model, model, torch.zeros(1000).long())
    assert model.steps == [0, 35, 70] * 2


def test_perplexity_agrees_with_one_call_over_the_whole_text():
    words = torch.randint(12, (1200,))
    models = [random_model(1), random_model(2)]
    found = compare_perplexity(*models, words)
    streams = words.view(10, 120).t()
    losses = []
    for model in models:
        with torch.inference_mode():
            logits = model.double()(streams[:-1])[0]
        losses.append(cross_entropy(logits.flatten(0, 1), streams[1:].flatten(), reduction="none"))
        model.float()
    assert found.reference == pytest.approx(losses[0].mean().exp().item(), rel=1e-5)
    assert found.candidate == pytest.approx(losses[1].mean().exp().item(), rel=1e-5)
    difference = (losses[1] - losses[0]).view(119, 10)
    pieces = torch.cat([piece.mean(0) for piece in difference.split(35)])
    expected = mean_interval(pieces.tolist())
    assert found.difference_nats.low == pytest.approx(expected.low, abs=1e-6)
    assert found.difference_nats.high == pytest.approx(expected.high, abs=1e-6)


def test_generated_words_follow_the_probabilities_and_leave_out_the_unknown():
    model = Constant([9.0, math.log(6), math.log(3), math.log(1)]).eval()
    words = generate_text(model, TEXT, "a b", words=4000, seed=1).split()
    assert words[:2] == ["a", "b"]
    shares = [words[2:].count(word) / 4000 for word in ("<unk>", "a", "b", "c")]
    # Binomial with 4000 draws: four standard deviations are 3.1 points at most.
    assert shares == pytest.approx([0, 0.6, 0.3, 0.1], abs=0.032)


def test_generation_reads_its_own_words_and_depends_on_the_seed_alone():
    model = random_model(3, 4)
    state = torch.random.get_rng_state()
    first = generate_text(model, TEXT, "a", words=30, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    assert generate_text(model, TEXT, "a", words=30, seed=5) == first
    assert generate_text(model, TEXT, "a", words=30, seed=6) != first
    with torch.no_grad():  # a model that repeats the word before
        model.encoder.weight.copy_(nn.functional.pad(torch.eye(4) * 20, (0, 2)))
        model.rnn = nn.LSTM(6, 6)
        model.decoder = nn.Linear(6, 4, bias=False)
        model.decoder.weight.copy_(nn.functional.pad(torch.eye(4), (0, 2)) * 99)
        for weight in model.rnn.parameters():
            weight.zero_()
        model.rnn.weight_ih_l0[12:18] = torch.eye(6)  # the cell reads the word
        model.rnn.bias_ih_l0[:6] = 20  # in full
        model.rnn.bias_ih_l0[6:12] = -20  # and forgets the one before
        model.rnn.bias_ih_l0[18:] = 20
    assert generate_text(model.eval(), TEXT, "a c", words=3, seed=0) == "a c c c c"


def test_the_tutorials_model_shrinks_by_part_as_published():
    model = tutorial_language_model()
    found = size_by_part(model, quantize_dynamic(model))
    encoder, rnn, decoder = found.parts
    assert (encoder.name, rnn.name, decoder.name) == ("encoder", "rnn", "decoder")
    assert encoder.reference_bytes == encoder.candidate_bytes == 4 * 33278 * 512
    assert decoder.reference_bytes == 4 * 33278 * 257
    # int8 weights and FP32 biases; a scale for the outputs, and a zero point, which go unused
    assert decoder.candidate_bytes == 33278 * (256 + 4) + 4 + 8
    assert rnn.reference_bytes == 4 * rnn.parameters
    assert rnn.reference_bytes / rnn.candidate_bytes == pytest.approx(3.96, abs=0.01)
    assert found.ratio == pytest.approx(113.945374 / 79.7398, rel=1e-3)  # the published files
    assert "1.43 to 1" in found.table().note


def test_a_part_has_its_share_of_the_quantized_whole():
    parts = PartSizes((PartSize("a", 10, 400, 100), PartSize("b", 5, 300, 300)))
    assert parts.ratio == 700 / 400
    assert [row[-2:] for row in parts.table().rows] == [("4.00 to 1", "25%"), ("1.00 to 1", "75%")]


def test_the_unknown_word_is_left_out_wherever_it_stands_in_the_vocabulary():
    text = ReferenceText(TEXT.train, TEXT.held_out, ("a", "b", "<unk>"))
    model = Constant([0.0, 0.0, 50.0]).eval()
    assert set(generate_text(model, text, "a", words=40).split()) == {"a", "b"}


def test_one_thread_scores_and_the_callers_number_comes_back():
    seen: list[int] = []

    class Counting(Constant):
        def forward(self, *given):
            seen.append(torch.get_num_threads())
            return super().forward(*given)

    torch.set_num_threads(2)
    model = Counting([0.0, 0.0]).eval()
    compare_perplexity(model, model, torch.zeros(40).long())
    assert (set(seen), torch.get_num_threads()) == ({1}, 2)
    torch.set_num_threads(1)
