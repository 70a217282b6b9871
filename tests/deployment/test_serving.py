"""The server process: what it answers, what it refuses, and that it is gone afterwards."""

import http.client
import json
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import save_file

import recipe_helpers as rh
from recipe_helpers.deployment.server import LONGEST_REQUEST, MOST_WORDS, answer, loaded
from recipe_helpers.trained_models.training import LanguageModel

FACTORY, SIZES = "recipe_helpers.trained_models.training:LanguageModel", [50, 8, 16]


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LanguageModel(*SIZES).eval()


@pytest.fixture(scope="module")
def int8(model):
    return rh.quantize_dynamic(model, backend="plain")


@pytest.fixture(scope="module")
def files(model, int8, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    save_file(model.state_dict(), folder / "float.safetensors")
    rh.save_int8(int8, folder / "int8.safetensors")
    return folder


def likeliest(model, words):
    with torch.inference_mode():
        logits = model(torch.tensor(words)[:, None])[0][-1, 0].double()
    best = int(logits.argmax())
    return best, float(logits[best] - logits.logsumexp(0))


def gone(process_id):
    for _ in range(100):
        if not psutil.pid_exists(process_id):
            return True
        if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("words", [[3], [1, 2, 3, 49], list(range(40))])
def test_the_answer_is_the_models(model, words):
    best, probability = likeliest(model, words)
    found = answer(model, {"words": words})
    assert found["word"] == best
    assert found["log_probability"] == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        {},
        {"words": "1"},
        *({"words": words} for words in ([], [1.0], [True], [-1], [50], [2**70])),
        {"words": [0] * (MOST_WORDS + 1)},
    ],
)
def test_what_is_no_question_is_answered_with_what_is_wrong(model, asked):
    assert list(answer(model, asked)) == ["error"]


def test_the_weights_of_the_file_decide_what_is_loaded(model, int8, files):
    one = loaded(FACTORY, SIZES, str(files / "float.safetensors"))
    other = loaded(FACTORY, SIZES, str(files / "int8.safetensors"))
    assert isinstance(one.rnn, torch.nn.LSTM)
    assert isinstance(other.rnn, rh.Int8LSTM)
    x = torch.randint(0, 50, (9, 1))
    with torch.inference_mode():
        assert torch.equal(one(x)[0], model(x)[0])
        assert torch.equal(other(x)[0], int8(x)[0])


def test_a_server_answers_refuses_and_ends_with_its_block(model, files):
    with rh.serving(files / "float.safetensors", FACTORY, SIZES) as server:
        assert server.file_bytes == (files / "float.safetensors").stat().st_size
        assert server.ask([1, 2, 3])["word"] == likeliest(model, [1, 2, 3])[0]
        with pytest.raises(rh.ArgumentError, match="does not know"):
            server.ask([50])
        assert _post(server, b"no JSON")[0] == 400
        assert _post(server, b"[" * 60_000)[0] == 400
        assert _post(server, b" " * (LONGEST_REQUEST + 1))[0] == 413
        assert server.ask([7])["word"] == likeliest(model, [7])[0]
    assert gone(server.process_id)
    with pytest.raises(ConnectionError):
        server.ask([1])


def _post(server, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", "/", body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_it_ends_with_an_error_in_its_block(files, error):
    with (
        pytest.raises(error),
        rh.serving(files / "int8.safetensors", FACTORY, SIZES) as server,
    ):
        raise error
    assert gone(server.process_id)


def test_it_ends_with_its_parent(files):
    program = (
        "import os, recipe_helpers as rh\n"
        f"with rh.serving({str(files / 'int8.safetensors')!r}, {FACTORY!r}, {SIZES}) as server:\n"
        "    print(server.process_id, flush=True)\n"
        "    os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert gone(int(done.stdout))


def test_weights_that_cannot_be_served(files, tmp_path):
    (tmp_path / "bad").write_bytes(b"nothing")
    for path, factory, sizes in (
        (tmp_path / "bad", FACTORY, SIZES),
        (files / "int8.safetensors", FACTORY, [51, 8, 16]),
        (files / "int8.safetensors", "no_such_module:Model", SIZES),
        (tmp_path / "missing", FACTORY, SIZES),
    ):
        with (
            pytest.raises(rh.SavedModelError, match=f"cannot serve .*{path.name}"),
            rh.serving(path, factory, sizes),
        ):
            pass
