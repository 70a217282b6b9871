"""The server process: it loads weights, says where it listens, and answers until it is told to go.

    python -m recipe_helpers.deployment.server MODULE:CLASS '[ARGUMENTS]' FILE

FILE holds weights as safetensors: those of `rh.save_int8`, or a plain state dict in FP32. A request
is a POST with JSON, {"words": [3, 14, 15]}; the answer names the likeliest next word and its
logarithmic probability. Python's own `http.server` is enough for a measurement on one machine: it
brings no dependency, and a thread for each connection, which computes without the interpreter's
lock. Something that faces a network needs a server that is made for that.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import safetensors.torch
import torch
from torch import nn

from ..common.errors import SavedModelError
from ..common.int8 import load_int8

MOST_WORDS = 1000
LONGEST_REQUEST = 64 * 1024  # bytes
_NO_WORD = 2**31  # beyond any vocabulary


def loaded(factory: str, arguments: list[Any], path: str) -> nn.Module:
    """The model that a factory makes, with the weights of a file, in INT8 where those are."""
    module, _, name = factory.partition(":")
    model: nn.Module = getattr(importlib.import_module(module), name)(*arguments).eval()
    try:
        return load_int8(path, model)
    except SavedModelError:
        model.load_state_dict(safetensors.torch.load_file(path))
        return model


def answer(model: nn.Module, asked: Any) -> dict[str, Any]:
    """The likeliest next word after some words; what is wrong with a question is said instead."""
    words = asked.get("words") if isinstance(asked, dict) else None
    if (
        not isinstance(words, list)
        or not 1 <= len(words) <= MOST_WORDS
        or not all(type(word) is int and 0 <= word < _NO_WORD for word in words)
    ):
        return {"error": f"pass words, a list of 1 to {MOST_WORDS} numbers of words"}
    try:
        with torch.inference_mode():
            logits = model(torch.tensor(words)[:, None])[0][-1, 0].log_softmax(-1)
    except IndexError:
        return {"error": "words holds a number that the model does not know"}
    best = int(logits.argmax())
    return {"word": best, "log_probability": float(logits[best])}


def handler(model: nn.Module) -> type[BaseHTTPRequestHandler]:
    """What answers the requests for a model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body leave together

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > LONGEST_REQUEST:
                self.close_connection = True
                return self._reply(413, {"error": f"at most {LONGEST_REQUEST} bytes"})
            try:
                asked = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                return self._reply(400, {"error": "the body is no JSON"})
            found = answer(model, asked)
            return self._reply(400 if "error" in found else 200, found)

        def _reply(self, status: int, found: dict[str, Any]) -> None:
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return Handler


class Server(ThreadingHTTPServer):
    """Takes as many waiting connections as there are clients in the measurement."""

    request_queue_size = 64
    daemon_threads = True


def main(factory: str, arguments: str, path: str) -> None:
    """Load, say the port in one line, and serve until standard input ends."""
    torch.set_num_threads(1)  # a thread for each connection is enough
    model = loaded(factory, json.loads(arguments), path)
    answer(model, {"words": [0]})  # what the first call has to do is done before the first request
    with Server(("127.0.0.1", 0), handler(model)) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=_until_the_parent_is_gone, daemon=True).start()
        server.serve_forever()


def _until_the_parent_is_gone() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
