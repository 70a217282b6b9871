"""The installation takes PyTorch's CPU build where its index answers, and goes on where not."""

import http.server
import socket
import threading
import time

import pytest

from .tool import tool

install = tool("install")


@pytest.fixture
def index():
    """A server on this machine that has a page for torch and for nothing else."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/torch/" else 404)
            self.end_headers()
            self.wfile.write(b"wheels")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def silent():
    """A server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_index_that_answers_joins_those_that_are_named(index, monkeypatch):
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://mine.example")
    assert install.environment(index)["PIP_EXTRA_INDEX_URL"] == f"https://mine.example {index}"
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL")
    assert install.environment(index)["PIP_EXTRA_INDEX_URL"] == index


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems_need_no_other_build(index, monkeypatch, system):
    monkeypatch.setattr(install.platform, "system", lambda: system)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    assert "PIP_EXTRA_INDEX_URL" not in install.environment(index)


def test_an_index_that_is_silent_missing_or_empty_is_gone_without(index, silent, monkeypatch):
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install, "answers", lambda url, answers=install.answers: answers(url, 0.2))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    for url in (silent, f"{index}/none", "http://127.0.0.1:1", "no address"):
        started = time.monotonic()
        assert "PIP_EXTRA_INDEX_URL" not in install.environment(url)
        assert time.monotonic() - started < 20, url


def test_pip_s_answer_is_passed_on(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "environment", lambda: dict(install.os.environ))
    assert install.main(["--quiet", "--no-index", str(tmp_path / "none.whl")]) != 0
