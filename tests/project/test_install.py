"""The installation takes PyTorch's CPU build where its index answers, and goes on where not."""

import http.server
import socket
import threading
import time

import pytest

from .files import tool

install = tool("install")


class Page(http.server.BaseHTTPRequestHandler):
    """A page for torch, one without a word, and no other."""

    def do_GET(self):
        self.send_response(200 if self.path in ("/torch/", "/empty/torch/") else 404)
        self.end_headers()
        self.wfile.write(b"" if "empty" in self.path else b"wheels")

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    """The address of a server on this machine."""
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("named", ["https://mine.example", ""])
def test_on_linux_an_index_that_answers_joins_those_that_are_named(index, monkeypatch, named):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", named)
    for system, expected in (("Linux", f"{named} {index}".strip()), ("Darwin", named)):
        monkeypatch.setattr(install.platform, "system", lambda system=system: system)
        assert install.environment(index)["PIP_EXTRA_INDEX_URL"] == expected


def test_an_index_that_is_silent_missing_or_empty_is_gone_without(index, monkeypatch):
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install, "answers", lambda url, answers=install.answers: answers(url, 0.2))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # it takes calls, and never answers
        silent = f"http://127.0.0.1:{listening.getsockname()[1]}"
        none = (silent, f"{index}/none", f"{index}/empty", "http://127.0.0.1:1", "no address")
        for url in none:
            started = time.monotonic()
            assert "PIP_EXTRA_INDEX_URL" not in install.environment(url)
            assert time.monotonic() - started < 20, url


def test_pip_s_answer_is_passed_on(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "environment", lambda: dict(install.os.environ))
    assert install.main(["--quiet", "--no-index", str(tmp_path / "none.whl")]) != 0
