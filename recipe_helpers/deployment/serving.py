"""Start the server process, ask it, measure it under load, and stop it for certain."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, cycle, product
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ..common import checks
from ..common.errors import ArgumentError, SavedModelError
from ..common.language import _
from ..common.settings import time_to_measure
from ..common.tables import Shown, Table, in_bytes, microseconds
from ..recipe.timing import check_budget

CLIENTS = (1, 4, 16)
PERCENTILES = (50, 95, 99)
BUDGET_S = 1.0
_ROUNDS = 4
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
        """The server's answer to one question, over a connection of its own.

        Raises:
            ArgumentError: the server refuses the question.
        """
        with closing(self.connect()) as connection:
            return _ask(connection, words)


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
    with process:  # closes its streams
        try:
            port = cast(IO[str], process.stdout).readline().strip()
            if not port:
                words = process.communicate()[1].strip().splitlines() or ["no message"]
                raise SavedModelError(
                    "the server cannot serve {path}: {words}.",
                    path=os.fspath(path),
                    words=words[-1],
                )
            yield Server(int(port), process.pid, Path(path).stat().st_size)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True)
class Load:
    """What so many clients saw of one server, each asking again as soon as it was answered."""

    server: str
    clients: int
    times_us: tuple[float, ...]  # of every answer, as the client waits for it
    seconds: float  # for which was asked

    def percentile_us(self, percent: float) -> float:
        """The time within which so many percent of the answers came."""
        return float(np.percentile(self.times_us, percent))

    @property
    def throughput(self) -> float:
        """Answers a second, of all clients together."""
        return len(self.times_us) / self.seconds


@dataclass(frozen=True)
class Loads(Shown):
    """Several servers, each under several loads."""

    loads: tuple[Load, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(load.server for load in self.loads))

    def of(self, server: str, clients: int) -> Load:
        """One server under one load.

        Raises:
            ArgumentError: this was not measured.
        """
        for load in self.loads:
            if (load.server, load.clients) == (server, clients):
                return load
        raise ArgumentError(
            "server is {server!r} and clients {clients!r}; measured were {measured}.",
            server=server,
            clients=clients,
            measured=[(load.server, load.clients) for load in self.loads],
        )

    def table(self) -> Table:
        """One row for each server and load."""
        rows = [
            (
                load.server,
                str(load.clients),
                *(microseconds(load.percentile_us(percent)) for percent in PERCENTILES),
                f"{load.throughput:,.0f}",
            )
            for load in self.loads
        ]
        names = [f"p{percent}" for percent in PERCENTILES]
        return Table((_("server"), _("clients"), *names, _("answers per second")), rows)


def measure_load(
    servers: Mapping[str, Server],
    questions: Sequence[Sequence[int]],
    clients: Iterable[int] = CLIENTS,
    *,
    budget_s: float = BUDGET_S,
) -> Loads:
    """Ask servers from several clients at once, in turn and in several rounds.

    Every client is a thread with a connection of its own; it asks the next question as soon as
    the last one is answered. The clients share the machine with the server, so that this is what
    a service and its users on one machine see, not what the server could do alone.

    Args:
        servers: running servers by name; in each round all of them are asked, one after another.
        questions: words, taken in turn.
        clients: rising numbers of clients.
        budget_s: for how long each server is asked under each load, in seconds.

    Raises:
        ArgumentError: there is no server or no question, or a number is out of range.
    """
    numbers = checks.positive_ints("clients", clients)
    check_budget(budget_s)
    for name, given in (("servers", servers), ("questions", questions)):
        if not given:
            raise ArgumentError("{name} is empty; pass at least one.", name=name)
    seconds_each = time_to_measure(budget_s) / _ROUNDS
    loads: dict[tuple[str, int], Load] = {}
    for _round, number, (name, server) in product(range(_ROUNDS), numbers, servers.items()):
        times_us, seconds = _one_round(server, questions, number, seconds_each)
        before = loads.get((name, number), Load(name, number, (), 0.0))
        loads[name, number] = replace(
            before, times_us=(*before.times_us, *times_us), seconds=before.seconds + seconds
        )
    return Loads(tuple(loads.values()))


def _one_round(
    server: Server, questions: Sequence[Sequence[int]], clients: int, seconds: float
) -> tuple[list[float], float]:
    """The times of all answers, and how long it lasted from the moment all were connected."""

    def client(turn: int, connection: http.client.HTTPConnection) -> list[float]:
        times_us: list[float] = []
        while (before := time.perf_counter()) < start + seconds:
            _ask(connection, questions[turn % len(questions)])
            times_us.append((time.perf_counter() - before) * 1e6)
            turn += clients
        return times_us

    with ExitStack() as opened, ThreadPoolExecutor(clients) as pool:
        made = (closing(server.connect()) for _client in range(clients))
        connections = [*map(opened.enter_context, made)]
        list(pool.map(_ask, connections, cycle(questions)))  # opens them
        start = time.perf_counter()
        found = [*chain.from_iterable(pool.map(client, range(clients), connections))]
        return found, time.perf_counter() - start


def _ask(connection: http.client.HTTPConnection, words: Sequence[int]) -> dict[str, Any]:
    """Ask over an open connection, and wait for the answer."""
    asked = json.dumps({"words": list(words)})
    connection.request("POST", "/", asked, {"Content-Type": "application/json"})
    response = connection.getresponse()
    found: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise ArgumentError("the server refuses the question: {error}.", error=found.get("error"))
    return found
