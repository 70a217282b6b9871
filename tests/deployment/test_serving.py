"""The server process from outside: that it answers, what load does to it, that it is gone."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import save_file

import recipe_helpers as rh
from recipe_helpers.deployment import serving as module
from recipe_helpers.deployment.server import LONGEST_REQUEST, answer
from recipe_helpers.deployment.serving import Load, Server
from recipe_helpers.trained_models.training import LanguageModel

from .made_up import LOADS, WAIT_S, stand_in

FACTORY, SIZES = "recipe_helpers.trained_models.training:LanguageModel", [50, 8, 16]
PARENT = """
import os, sys, recipe_helpers as rh
path, factory, *sizes = sys.argv[1:]
with rh.serving(path, factory, [int(size) for size in sizes]) as server:
    print(server.port, server.process_id, server.file_bytes, flush=True)
    sys.stdin.read()
    os._exit(1)
"""


def posted(server, body, length=None):
    """The status of an answer, and whether the connection is then closed."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.timeout = 5
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", length or str(len(body)))
        connection.endheaders(body)
        sock = connection.sock
        response = connection.getresponse()
        assert "error" in json.loads(response.read())
        sock.settimeout(0.5)
        try:
            return response.status, sock.recv(1) == b""
        except TimeoutError:
            return response.status, False


def test_a_real_server_answers_refuses_and_ends_with_its_parent(tmp_path):
    model = LanguageModel(*SIZES).eval()
    path = tmp_path / "weights"
    save_file(model.state_dict(), path)
    words = [sys.executable, "-c", PARENT, path, FACTORY, *map(str, SIZES)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as parent:  # leaves without a word
        server = Server(*map(int, parent.stdout.readline().split()))
        process = psutil.Process(server.process_id)
        assert server.file_bytes == path.stat().st_size
        found = server.ask([1, 2, 3])
        with torch.inference_mode():
            assert found == pytest.approx(answer(model, {"words": [1, 2, 3]}), abs=1e-4)
        with pytest.raises(rh.ArgumentError, match="does not know"):
            server.ask([50])
        for body in (b"no JSON", b"[" * 60_000, b" " * LONGEST_REQUEST):
            assert posted(server, body) == (400, False)
        for length in (str(LONGEST_REQUEST + 1), "-1", "many"):  # no body is waited for
            assert posted(server, b"", length) == (413, True)
        assert server.ask([1, 2, 3]) == found
    psutil.wait_procs([process], timeout=5)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(ConnectionError):
        server.ask([1])


# --- with a process that stands in for the server -------------------------------------------------

SERVES = "import sys; print(1234, flush=True); sys.stdin.read()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES


@pytest.fixture
def process(monkeypatch, tmp_path):
    """A function that starts `serving` with another program; the processes that it started."""
    started = []
    real = subprocess.Popen
    (tmp_path / "weights").write_bytes(b"12345")

    def serve(program):
        def popen(words, **options):
            assert words[1:] == ["-m", "recipe_helpers.deployment.server", "a:B", "[1, 2]", path]
            started.append(real([sys.executable, "-c", program], **options))
            return started[-1]

        path = str(tmp_path / "weights")
        monkeypatch.setattr(module.subprocess, "Popen", popen)
        return rh.serving(path, "a:B", (1, 2))

    return serve, started


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_it_ends_with_its_block_whatever_happens_there(process, error):
    serve, started = process
    with contextlib.nullcontext() if error is None else pytest.raises(error), serve(SERVES) as one:
        assert (one.port, one.file_bytes) == (1234, 5)
        assert started[0].poll() is None
        if error is not None:
            raise error
    assert started[0].poll() == (-15 if os.name == "posix" else 1), "asked to end, not killed"
    assert all(s.closed for s in (started[0].stdin, started[0].stdout, started[0].stderr))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_one_that_does_not_end_is_killed(process, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    serve, started = process
    with serve(DEAF):
        pass
    assert started[0].returncode == -9


@pytest.mark.parametrize(
    ("program", "says"),
    [("raise SystemExit('first\\nno weights')", "no weights"), ("", "no message")],
)
def test_the_last_words_of_one_that_cannot_serve_are_in_the_error(process, refuses, program, says):
    serve, started = process
    with refuses(rh.SavedModelError, "cannot serve", "weights", f": {says}."), serve(program):
        pass
    assert started[0].poll() is not None


# --- under load -----------------------------------------------------------------------------------


def test_every_answer_is_timed_and_clients_ask_at_once():
    with stand_in() as (server, asked):
        found = rh.measure_load({"it": server}, [[1], [2], [3]], [1, 4], budget_s=0.5)
    one, four = found.of("it", 1), found.of("it", 4)
    assert min(*one.times_us, *four.times_us) >= WAIT_S * 1e6 * 0.95
    # Four rounds, in each of which every client asks once before the clock starts.
    assert len(asked) == len(one.times_us) + len(four.times_us) + 4 * (1 + 4)
    assert set(asked) == {b'{"words": [1]}', b'{"words": [2]}', b'{"words": [3]}'}
    # It waits without computing, so four clients get far more answers than one.
    assert four.throughput > 2 * one.throughput


def test_clients_share_the_questions_and_each_answer_has_its_own_time(monkeypatch):
    asked = defaultdict(list)

    class Connection:
        def close(self):
            asked[self].append("closed")

    def ask(connection, words):
        asked[connection].append(words)
        time.sleep(0.005)

    monkeypatch.setattr(module, "_ask", ask)
    made = [Connection(), Connection()]
    server = SimpleNamespace(connect=iter(made).__next__)
    times_us, seconds = module._one_round(server, ["a", "b", "c"], 2, 0.1)
    first, second = (asked[one] for one in made)
    # The first question opens the connection; then each takes every second one of all.
    assert (first[:5], second[:5]) == (["a", "a", "c", "b", "a"], ["b", "b", "a", "c", "b"])
    assert first[-1] == second[-1] == "closed"
    assert len(times_us) == len(first) + len(second) - 4
    assert min(times_us) >= 4900
    assert sum(times_us) / 1e6 <= 2 * seconds


def test_rounds_go_over_all_loads_in_turn_and_are_added_up(monkeypatch):
    asked = []

    def one_round(server, questions, clients, seconds):
        asked.append((server, clients, seconds))
        return [float(len(asked))] * clients, 10.0 * clients

    monkeypatch.setattr(module, "_one_round", one_round)
    found = rh.measure_load({"a": "A", "b": "B"}, [[1]], [1, 2], budget_s=2)
    assert asked == 4 * [("A", 1, 0.5), ("B", 1, 0.5), ("A", 2, 0.5), ("B", 2, 0.5)]
    assert found.loads == (
        Load("a", 1, (1.0, 5.0, 9.0, 13.0), 40.0),
        Load("b", 1, (2.0, 6.0, 10.0, 14.0), 40.0),
        Load("a", 2, (3.0, 3.0, 7.0, 7.0, 11.0, 11.0, 15.0, 15.0), 80.0),
        Load("b", 2, (4.0, 4.0, 8.0, 8.0, 12.0, 12.0, 16.0, 16.0), 80.0),
    )
    monkeypatch.setenv("RECIPE_BUDGET", "0.1")
    rh.measure_load({"a": "A"}, [[1]], [1], budget_s=2)
    assert asked[-1] == ("A", 1, pytest.approx(0.05))


def test_a_server_that_refuses_is_told_and_no_client_is_left():
    before = threading.active_count()
    with (
        stand_in(status=400) as (server, _),
        pytest.raises(rh.ArgumentError, match="the server refuses the question: no"),
    ):
        rh.measure_load({"it": server}, [[1]], [3], budget_s=0.2)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("servers", "questions", "options", "says"),
    [
        ({}, [[1]], {}, "servers is empty"),
        ({"it": Server(1, 0, 1)}, [], {}, "questions is empty"),
        ({"it": Server(1, 0, 1)}, [[1]], {"clients": [4, 1]}, "clients is"),
        ({"it": Server(1, 0, 1)}, [[1]], {"budget_s": 0}, "budget_s is"),
    ],
)
def test_what_cannot_be_measured(refuses, servers, questions, options, says):
    with refuses(rh.ArgumentError, says):
        rh.measure_load(servers, questions, **options)


def test_percentiles_and_the_table():
    assert LOADS.servers == ("FP32", "INT8")
    load = LOADS.of("INT8", 4)
    assert load.percentile_us(50) == pytest.approx(50 * 4 * 50.5)
    assert load.throughput == 100 / 8
    assert LOADS.table().rows[3] == ("INT8", "4", "10.1 ms", "19 ms", "19.8 ms", "12")
    with pytest.raises(rh.ArgumentError, match="clients 5"):
        LOADS.of("INT8", 5)
