"""What the server answers and refuses, and what it loads."""

import pytest
import torch
from safetensors.torch import save_file

import recipe_helpers as rh
from recipe_helpers.deployment.server import MOST_WORDS, answer, loaded
from recipe_helpers.trained_models.training import LanguageModel

FACTORY, SIZES = "recipe_helpers.trained_models.training:LanguageModel", [50, 8, 16]


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LanguageModel(*SIZES).eval()


@pytest.mark.parametrize("words", [[3], [1, 2, 3, 49], list(range(40)), [0] * MOST_WORDS])
def test_the_answer_is_the_models(model, words):
    with torch.inference_mode():
        logits = model(torch.tensor(words)[:, None])[0][-1, 0].double()
    found = answer(model, {"words": words})
    assert found["word"] == int(logits.argmax())
    expected = float(logits.max() - logits.logsumexp(0))
    assert found["log_probability"] == pytest.approx(expected, abs=1e-4)


def test_what_is_no_question_is_answered_with_what_is_wrong(model):
    too_many = [0] * (MOST_WORDS + 1)
    for words in ("1", [], [1.0], [True], [-1], [50], [2**70], too_many):
        assert list(answer(model, {"words": words})) == ["error"]
    for asked in (None, [], {}):
        assert list(answer(model, asked)) == ["error"]


def test_the_weights_of_the_file_decide_what_is_loaded(model, tmp_path):
    int8 = rh.quantize_dynamic(model, backend="plain")
    save_file(model.state_dict(), tmp_path / "float.safetensors")
    rh.save_int8(int8, tmp_path / "int8.safetensors")
    x = torch.randint(0, 50, (9, 1))
    for name, kind, expected in (("float", torch.nn.LSTM, model), ("int8", rh.Int8LSTM, int8)):
        one = loaded(FACTORY, SIZES, str(tmp_path / f"{name}.safetensors"))
        assert isinstance(one.rnn, kind)
        assert not one.training
        with torch.inference_mode():
            assert torch.equal(one(x)[0], expected(x)[0])


@pytest.mark.parametrize(
    ("factory", "sizes", "name", "says"),
    [
        (FACTORY, SIZES, "bad", "eader"),
        (FACTORY, SIZES, "missing", "No such file"),
        (FACTORY, [51, 8, 16], "float", "size mismatch"),
        ("no_such_module:Model", SIZES, "float", "no_such_module"),
    ],
)
def test_what_does_not_fit_is_not_loaded(model, tmp_path, factory, sizes, name, says):
    (tmp_path / "bad").write_bytes(b"nothing")
    save_file(model.state_dict(), tmp_path / "float")
    with pytest.raises(Exception, match=says):
        loaded(factory, sizes, str(tmp_path / name))
