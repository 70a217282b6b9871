"""Perplexity with its interval, texts that are drawn, and the bytes of each part of a model."""

import io
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

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

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.seen = []  # steps before a call, and threads in it
        self.eval()

    def forward(self, words, hidden):
        self.seen.append((hidden or 0, torch.get_num_threads()))
        return self.logits.expand(*words.shape, -1), (hidden or 0) + len(words)


def test_perplexity_is_the_number_of_equally_likely_words():
    even, words = Constant(0.0, 0.0, 0.0, 0.0), torch.randint(4, (1003,))
    torch.set_num_threads(2)
    found = compare_perplexity(even, even, words)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert found.reference == pytest.approx(4)
    assert found.difference_nats == Interval(0, 0, 0)
    assert found.words == 990  # ten streams of 100 words, of which the first is not foretold
    assert even.seen == [(0, 1), (35, 1), (70, 1)] * 2, "the state is carried, on one thread"


def test_the_difference_is_candidate_less_reference_per_word():
    found = compare_perplexity(
        Constant(math.log(3), 0.0), Constant(0.0, 0.0), torch.zeros(40).long()
    )
    assert (found.reference, found.candidate) == pytest.approx((4 / 3, 2))
    assert found.difference_nats.mean == pytest.approx(math.log(2 / (4 / 3)))
    assert found.relative.mean == pytest.approx(0.5)
    assert "+50.00" in str(found)


def test_perplexity_agrees_with_one_call_over_the_whole_text():
    words, models = torch.randint(12, (1200,)), (random_model(1), random_model(2))
    found = compare_perplexity(*models, words)
    streams, losses = words.view(10, 120).t(), []
    for model in models:
        with torch.inference_mode():
            logits = model.double()(streams[:-1])[0]
        losses.append(cross_entropy(logits.flatten(0, 1), streams[1:].flatten(), reduction="none"))
    expected = [float(loss.mean().exp()) for loss in losses]
    assert [found.reference, found.candidate] == pytest.approx(expected, rel=1e-5)
    difference = (losses[1] - losses[0]).view(119, 10)
    pieces = torch.cat([piece.mean(0) for piece in difference.split(35)])
    expected, nats = mean_interval(pieces.tolist()), found.difference_nats
    assert (nats.low, nats.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    relative = math.exp(expected.low) - 1, math.exp(expected.high) - 1
    assert (found.relative.low, found.relative.high) == pytest.approx(relative, abs=1e-6)


def test_generated_words_follow_the_probabilities_and_leave_out_the_unknown():
    model = Constant(9.0, math.log(6), math.log(3), math.log(1))
    words = generate_text(model, TEXT, "a b", words=4000, seed=1).split()
    assert words[:2] == ["a", "b"]
    shares = [words[2:].count(word) / 4000 for word in ("<unk>", "a", "b", "c")]
    # Binomial with 4000 draws: four standard deviations are 3.1 points at most.
    assert shares == pytest.approx([0, 0.6, 0.3, 0.1], abs=0.032)
    last = ReferenceText(TEXT.train, TEXT.held_out, ("a", "b", "<unk>"))
    assert set(generate_text(Constant(0.0, 0.0, 50.0), last, "a").split()) == {"a", "b"}


def test_generation_reads_its_own_words_and_depends_on_the_seed_alone(untouched):
    model = random_model(3, 4)
    with untouched():
        first = generate_text(model, TEXT, "a", words=30, seed=5)
    torch.rand(1)
    assert generate_text(model, TEXT, "a", words=30, seed=5) == first
    assert generate_text(model, TEXT, "a", words=30, seed=6) != first
    with torch.no_grad():  # a model that names the word least read so far, first a, then b, then c
        model.encoder.weight.copy_(pad(torch.eye(4) * 20, (0, 2)))
        model.rnn, model.decoder = nn.LSTM(6, 6), nn.Linear(6, 4)
        for weight in model.rnn.parameters():
            weight.zero_()
        model.rnn.weight_ih_l0[12:18] = torch.eye(6)  # the cell counts what it reads
        model.rnn.bias_ih_l0[:12] = model.rnn.bias_ih_l0[18:] = 20  # and every gate is open
        model.decoder.weight.copy_(-99 * torch.eye(4, 6))
        model.decoder.bias.copy_(torch.tensor([0, 20, 10, 0]))
    assert generate_text(model.eval(), TEXT, "a", words=2) == "a b c"
    assert generate_text(model, TEXT, "a b", words=2) == "a b c a"


def test_the_tutorials_model_has_its_published_size_and_shrinks_by_part_as_published():
    model, file = tutorial_language_model(), io.BytesIO()
    torch.save(model.state_dict(), file)
    # "Size (MB): 113.945", the tutorial's own measurement; PyTorch's container may change by
    # some hundred bytes between versions.
    assert file.tell() == pytest.approx(113.945e6, abs=1e3)
    found = size_by_part(model, quantize_dynamic(model))
    encoder, rnn, decoder = found.parts
    assert (encoder.name, rnn.name, decoder.name) == ("encoder", "rnn", "decoder")
    lstm = 4 * 256 * (512 + 256 + 2) + 4 * 4 * 256 * (256 + 256 + 2)
    assert [p.parameters for p in found.parts] == [33278 * 512, lstm, 33278 * 257]
    assert [p.reference_bytes for p in found.parts] == [4 * p.parameters for p in found.parts]
    assert encoder.candidate_bytes == encoder.reference_bytes
    # int8 weights and FP32 biases; a scale for the outputs, and a zero point, which go unused
    assert decoder.candidate_bytes == 33278 * (256 + 4) + 4 + 8
    assert rnn.ratio == pytest.approx(3.96, abs=0.01)
    assert found.ratio == pytest.approx(113.945374 / 79.7398, rel=1e-3)  # the published files
    assert "1.43 to 1" in found.table().note


def test_a_part_has_its_share_of_the_quantized_whole():
    parts = PartSizes((PartSize("a", 10, 400, 100), PartSize("b", 5, 300, 300)))
    assert parts.ratio == 700 / 400
    assert [row[-2:] for row in parts.table().rows] == [("4.00 to 1", "25%"), ("1.00 to 1", "75%")]
