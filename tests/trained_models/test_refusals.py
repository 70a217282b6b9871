"""What the functions of this room refuse: one clear sentence each, and nothing changed."""

import pytest
import torch
from torch import nn

import recipe_helpers as rh
from recipe_helpers.trained_models.fragility import change_unit_of_feature

from .made_up import FIRST, LABELS, STUDY, TEXT, classifier, cycle, data, random_model

LSTM, TRAINING = nn.LSTM(12, 20).eval(), nn.LSTM(12, 20)
OTHER, STEPS = nn.Sequential(nn.Linear(2, 2)), torch.ones(4, 3, 12)
WORDS = torch.zeros(100).long()


def trained(**sizes):
    return lambda: rh.train_classifier(data(), **{"width": 4} | sizes)


def language(**sizes):
    return lambda: rh.train_language_model(cycle(), **sizes)


REFUSED = [
    *((lambda f=f: rh.digits(test_fraction=f), rh.ArgumentError, "test_fraction is", "between 0")
      for f in (0, 1, -0.5, "half", None)),
    *((lambda f=f: rh.reference_text(held_out_fraction=f), rh.ArgumentError, "held_out_fraction is")
      for f in (0, 1)),
    (lambda: rh.reference_text(least_count=0), rh.ArgumentError, "least_count is 0"),
    (lambda: TEXT.numbers("a Qwertz c"), rh.ArgumentError, "'Qwertz'", "4 lower-case words"),
    (lambda: TEXT.numbers(" "), rh.ArgumentError, "words is ' '; pass at least one word."),
    (trained(width=0), rh.ArgumentError, "width is 0"),
    (trained(width="8"), rh.ArgumentError, "width is '8'"),
    (trained(epochs=0), rh.ArgumentError, "epochs is 0"),
    (language(width=0), rh.ArgumentError, "width is 0"),
    (language(embedding=1.5), rh.ArgumentError, "embedding is 1.5"),
    (language(epochs=0), rh.ArgumentError, "epochs is 0"),
    *((lambda n=n: rh.in_streams(torch.arange(11), n), rh.ArgumentError, f"streams is {n};")
      for n in (0, 12, 2.0)),
    (lambda: rh.in_streams(torch.arange(0), 2), rh.ArgumentError, "streams is 2;"),
    (lambda: rh.disagreements(classifier(), FIRST, LABELS), rh.InputError, "not fit reference"),
    (lambda: rh.disagreements(FIRST, classifier(), LABELS), rh.InputError, "not fit candidate"),
    (lambda: rh.classification_accuracy(classifier(), LABELS), rh.InputError, "do not fit model"),
    (lambda: rh.digit_study([], [0, 1]), rh.ArgumentError, "widths is empty"),
    (lambda: rh.digit_study([8, 4], [0, 1]), rh.ArgumentError, "pass rising numbers"),
    (lambda: rh.digit_study([4], [1, 1]), rh.ArgumentError, "seeds is [1];", "at least two"),
    (lambda: STUDY.of(5), rh.ArgumentError, "width is 5; pass one of 4, 8."),
    (lambda: rh.compare_perplexity(random_model(0), random_model(0), WORDS[:39]), rh.InputError,
     "words has 39 elements", "at least 40"),
    (lambda: rh.compare_perplexity(random_model(0), random_model(0), WORDS + 12), rh.InputError,
     "do not fit reference"),
    (lambda: rh.compare_perplexity(random_model(0), random_model(0, 5), WORDS + 11), rh.InputError,
     "do not fit candidate"),
    (lambda: rh.compare_perplexity(random_model(0).train(), random_model(0), WORDS), rh.ModelError,
     "reference is in training mode"),
    (lambda: rh.compare_perplexity(random_model(0), random_model(0).train(), WORDS), rh.ModelError,
     "candidate is in training mode"),
    (lambda: rh.generate_text(random_model(0, 4), TEXT, "a z"), rh.ArgumentError, "'z'"),
    (lambda: rh.generate_text(random_model(0, 4), TEXT, "a", 0), rh.ArgumentError, "words is 0"),
    (lambda: rh.generate_text(random_model(0, 4).train(), TEXT, "a"), rh.ModelError, "model is in"),
    (lambda: rh.size_by_part(random_model(0), OTHER), rh.InputError,
     "candidate has no encoder, only 0;"),
    (lambda: rh.size_by_part(random_model(0), nn.Sequential()), rh.InputError, "only nothing;"),
    (lambda: rh.size_by_part(random_model(0), "model"), rh.ModelError, "candidate is of type str"),
    (lambda: rh.size_by_part("model", random_model(0)), rh.ModelError, "reference is of type str"),
    *((lambda f=f: change_unit_of_feature(classifier(), data().test, f, 2.0), rh.ArgumentError,
       f"feature is {f}; the LSTM has features 0 to 7.") for f in (8, -1)),
    *((lambda f=f: rh.unread_unit_cliff(classifier(), data().test, f), rh.ArgumentError, "factors",
       "power") for f in ([], [3], [0], [-2], ["2"], [True, 0.3])),
    (lambda: rh.fake_quantized(LSTM, STEPS, ["bias"]), rh.ArgumentError, "'weights', 'inputs'"),
    (lambda: rh.fake_quantized(LSTM, STEPS[0], []), rh.InputError, "pass (steps, batch, width)"),
    (lambda: rh.sensitivity_by_part({"x": (TRAINING, STEPS)}), rh.ModelError, "training"),
    (lambda: rh.sensitivity_by_part({"x": (LSTM, STEPS[..., :5])}), rh.InputError, "not fit lstm"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [(c, e, w) for c, e, *w in REFUSED])
@pytest.mark.filterwarnings("ignore")
def test_it_is_refused(call, error, words, refuses):
    data(), classifier()
    with refuses(error, *words):
        call()
