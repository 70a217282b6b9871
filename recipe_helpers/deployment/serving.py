"""Start the server process, ask it, and stop it for certain."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..common.errors import ArgumentError, SavedModelError
from ..common.language import Text, _
from ..common.tables import in_bytes

_PATIENCE_S = 5.0  # for a process that was asked to end


@dataclass(frozen=True)
class Server:
    """A running server process on this machine."""

    port: int
    process_id: int
    file_bytes: int  # of the weights

    def __str__(self) -> str:
        return _("a server with {size} of weights", size=in_bytes(self.file_bytes))

    def connect(self) -> http.client.HTTPConnection:
        """A connection that stays open; close it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, words: Sequence[int]) -> dict[str, Any]:
        """The server's answer to one question, over a connection of its own."""
        connection = self.connect()
        try:
            return ask(connection, json.dumps({"words": list(words)}))
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, question: str) -> dict[str, Any]:
    """Ask over an open connection, and wait for the answer.

    Raises:
        ArgumentError: the server refuses the question.
    """
    connection.request("POST", "/", question, {"Content-Type": "application/json"})
    response = connection.getresponse()
    found: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise ArgumentError(
            Text("the server refuses the question: {error}.", error=found.get("error"))
        )
    return found


@contextmanager
def serving(
    path: str | os.PathLike[str], factory: str, arguments: Sequence[Any]
) -> Iterator[Server]:
    """A server process for a `with` block; it ends with the block, and with its parent.

    Args:
        path: the weights, as `rh.save_int8` or safetensors wrote them.
        factory: "package.module:Class", what makes the model that they belong to.
        arguments: what the factory is called with, plain numbers and words.

    Raises:
        SavedModelError: the process could not load them; its last words are in the message.
    """
    command = [sys.executable, "-m", f"{__package__}.server", factory]
    process = subprocess.Popen(
        [*command, json.dumps(list(arguments)), os.fspath(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)},
    )
    try:
        port = cast(IO[str], process.stdout).readline().strip()
        if not port:
            words = cast(IO[str], process.stderr).read().strip().splitlines() or ["no message"]
            raise SavedModelError(
                Text(
                    "the server cannot serve {path}: {words}.",
                    path=os.fspath(path),
                    words=words[-1],
                )
            )
        yield Server(int(port), process.pid, Path(path).stat().st_size)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
