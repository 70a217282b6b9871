"""Servers under load: how long a client waits, and how many answers there are a second."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..common import checks
from ..common.errors import ArgumentError
from ..common.language import Text, _
from ..common.settings import time_to_measure
from ..common.tables import Shown, Table, microseconds
from ..recipe.timing import check_budget
from .serving import Server, ask

CLIENTS = (1, 4, 16)
PERCENTILES = (50, 95, 99)
BUDGET_S = 1.0
_ROUNDS = 4


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
            Text(
                "server is {server!r} and clients {clients!r}; measured were {measured}.",
                server=server,
                clients=clients,
                measured=[(load.server, load.clients) for load in self.loads],
            )
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
    seconds_each = time_to_measure(budget_s) / _ROUNDS
    if not servers or not questions:
        name = "questions" if servers else "servers"
        raise ArgumentError(Text("{name} is empty; pass at least one.", name=name))
    asked = [json.dumps({"words": list(words)}) for words in questions]
    found: dict[tuple[str, int], list[float]] = {}
    seconds: dict[tuple[str, int], float] = {}
    for _round in range(_ROUNDS):
        for number in numbers:
            for name, server in servers.items():
                times_us, lasted_s = _one_round(server, asked, number, seconds_each)
                found.setdefault((name, number), []).extend(times_us)
                seconds[name, number] = seconds.get((name, number), 0.0) + lasted_s
    order = [(name, number) for number in numbers for name in servers]
    return Loads(tuple(Load(*key, tuple(found[key]), seconds[key]) for key in order))


def _one_round(
    server: Server, questions: Sequence[str], clients: int, seconds: float
) -> tuple[list[float], float]:
    """The times of all answers, and how long it lasted from the moment all were connected."""
    start: list[float] = []
    ready = threading.Barrier(clients, action=lambda: start.append(time.perf_counter()))

    def client(turn: int) -> list[float]:
        times_us: list[float] = []
        connection = server.connect()
        try:
            ask(connection, questions[turn % len(questions)])  # opens the connection
            ready.wait()
            while (before := time.perf_counter()) < start[0] + seconds:
                ask(connection, questions[turn % len(questions)])
                times_us.append((time.perf_counter() - before) * 1e6)
                turn += clients
        except threading.BrokenBarrierError:
            pass  # another client failed, and says why
        except BaseException:
            ready.abort()
            raise
        finally:
            connection.close()
        return times_us

    with ThreadPoolExecutor(clients) as pool:
        found = [one for times_us in pool.map(client, range(clients)) for one in times_us]
    return found, time.perf_counter() - start[0]
