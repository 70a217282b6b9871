"""Load, measured on a stand-in whose times are known."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import recipe_helpers as rh
from recipe_helpers.deployment import plots
from recipe_helpers.deployment.load import Load, Loads
from recipe_helpers.deployment.serving import Server

WAIT_S = 0.03


@contextmanager
def stand_in(status=200):
    """Answers after 30 ms, however many ask at once; counts its questions."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(WAIT_S)
            body = b'{"error": "no"}' if status != 200 else b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Server(server.server_address[1], 0, 1), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_answer_is_timed_and_clients_ask_at_once():
    with stand_in() as (server, asked):
        found = rh.measure_load({"it": server}, [[1], [2], [3]], [1, 4], budget_s=0.8)
    one, four = found.of("it", 1), found.of("it", 4)
    for load in (one, four):
        assert min(load.times_us) >= WAIT_S * 1e6 * 0.95
        assert load.percentile_us(50) < 5 * WAIT_S * 1e6
        assert load.throughput == pytest.approx(len(load.times_us) / load.seconds)
    # Four rounds, in each of which every client asks once before the clock starts.
    assert len(asked) == len(one.times_us) + len(four.times_us) + 4 * (1 + 4)
    assert set(asked) == {b'{"words": [1]}', b'{"words": [2]}', b'{"words": [3]}'}
    # It waits without computing, so four clients get far more answers than one.
    assert four.throughput > 2 * one.throughput
    assert threading.active_count() < 10


def test_a_server_that_refuses_is_told_and_no_client_is_left():
    before = threading.active_count()
    with (
        stand_in(status=400) as (server, _),
        pytest.raises(rh.ArgumentError, match="the server refuses the question: no"),
    ):
        rh.measure_load({"it": server}, [[1]], [3], budget_s=0.2)
    assert threading.active_count() <= before + 1


def test_what_cannot_be_measured(refuses):
    server = Server(1, 0, 1)
    with refuses(rh.ArgumentError, "servers is empty"):
        rh.measure_load({}, [[1]])
    with refuses(rh.ArgumentError, "questions is empty"):
        rh.measure_load({"it": server}, [])
    with refuses(rh.ArgumentError, "clients is"):
        rh.measure_load({"it": server}, [[1]], [4, 1])
    with refuses(rh.ArgumentError, "budget_s is"):
        rh.measure_load({"it": server}, [[1]], budget_s=0)


LOADS = Loads(
    tuple(
        Load(name, clients, tuple(base * clients * (i + 1) for i in range(100)), 2.0 * clients)
        for clients in (1, 4)
        for name, base in (("FP32", 100.0), ("INT8", 50.0))
    )
)


def test_percentiles_and_the_table():
    assert LOADS.servers == ("FP32", "INT8")
    load = LOADS.of("INT8", 4)
    assert load.percentile_us(50) == pytest.approx(50 * 4 * 50.5)
    assert load.percentile_us(99) == pytest.approx(50 * 4 * 99.01)
    assert load.throughput == 100 / 8
    assert LOADS.table().rows[3] == ("INT8", "4", "10.1 ms", "19 ms", "19.8 ms", "12")
    with pytest.raises(rh.ArgumentError, match="clients 5"):
        LOADS.of("INT8", 5)


def test_the_figure_has_each_server_in_both_panels():
    waits, answers = plots.loads(LOADS).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in waits.get_lines()}
    assert drawn["FP32, p50"] == pytest.approx([5.05, 20.2])
    assert drawn["INT8, p99"] == pytest.approx([4.9505, 19.802])
    drawn = {line.get_label(): list(line.get_ydata()) for line in answers.get_lines()}
    assert drawn == {"FP32": [50, 12.5], "INT8": [50, 12.5]}
    assert "p99 19.8 ms" in plots.loads(LOADS).alt
