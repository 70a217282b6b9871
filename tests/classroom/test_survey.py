"""A survey: here, on two processes, and with one of them killed in the middle."""

import io
import itertools
import os
import signal
import threading
import time
from collections import Counter

import pytest
import torch
from distributed import Client, LocalCluster

import recipe_helpers as rh
from recipe_helpers.classroom import survey as module
from recipe_helpers.classroom.own_core import cores_can_be_held, own_core
from recipe_helpers.common.language import speaking

# Whatever the cluster's own threads warn of is not ours.
pytestmark = pytest.mark.filterwarnings("default")
WIDTHS, SEEDS = (8, 24), (3, 1, 2)
QUICK = {"budget_s": 0.01}


@pytest.fixture(scope="module")
def here():
    return rh.survey(WIDTHS, SEEDS, **QUICK)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two processes of two threads each."""
    if not cores_can_be_held():
        pytest.skip("two workers on one machine take Linux, where each can have a core to itself")
    with LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        made.wait_for_workers(2, timeout=60)
        yield made


def written(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.tell()


def test_every_width_and_seed_is_measured_once_in_order(here):
    assert [(p.width, p.seed) for p in here.points] == [(w, s) for w in WIDTHS for s in SEEDS]
    for point in here.points:
        demo = rh.demonstration(dimension=point.width, seed=point.seed)
        quantized = rh.quantize_dynamic(demo.model)
        sizes = (written(demo.model), written(quantized))
        assert (point.reference_bytes, point.candidate_bytes) == sizes
        with torch.inference_mode():
            exact, rounded = (m(*demo.arguments)[0].double() for m in (demo.model, quantized))
        error = float((rounded - exact).abs().mean() / exact.abs().mean())
        assert point.relative_error == pytest.approx(error, rel=1e-9)
        assert point.speedup.low <= point.speedup.median <= point.speedup.high
        assert point.reference_us > 0
        assert point.verdict in ("faster", "slower", "inconclusive")
        assert rh.machine().cpu in point.machine


def test_the_table_has_a_row_for_each_width(here):
    rows = here.table().rows
    assert [row[0] for row in rows] == ["8", "24"]
    assert rows[0][1] == "4,573 bytes"
    errors = sorted(p.relative_error for p in here.of(8))
    assert rows[0][3] == f"{errors[1]:.2%} ({errors[0]:.2%} to {errors[2]:.2%})"
    assert sum(int(part.split()[0]) for part in rows[0][5].split(", ")) == len(SEEDS)
    assert "3 seeds" in str(here)
    with speaking("ko"):
        assert "시드 3개" in str(here)
    with pytest.raises(rh.ArgumentError, match="width is 9"):
        here.of(9)


def test_here_and_on_two_processes_the_numbers_are_the_same(here, client):
    there = rh.survey(WIDTHS, SEEDS, client, **QUICK)
    assert [p.computed for p in there.points] == [p.computed for p in here.points]


def hold(number):
    with own_core() as core:
        began = time.monotonic()
        time.sleep(0.05)
        return os.getpid(), core, began, time.monotonic()


def test_a_worker_measures_one_at_a_time_and_a_core_serves_one(client):
    found = client.gather(client.map(hold, range(12), pure=False))
    assert len({pid for pid, *_ in found}) == 2
    for place in (0, 1):  # in one process, on one core
        for name in {entry[place] for entry in found}:
            times = sorted(entry[2:] for entry in found if entry[place] == name)
            for (_, ended), (began, _) in itertools.pairwise(times):
                assert ended <= began


def finished(dask_scheduler):
    """How often each measurement came to an end, of those that the scheduler remembers."""
    log = (entry[:3] for entry in dask_scheduler.transition_log)
    return Counter(key for key, _, state in log if "measure_point" in key and state == "memory")


def test_a_lost_worker_costs_its_measurement_a_retry_and_nothing_else(here, client):
    before = set(client.run_on_scheduler(finished))
    found = []
    task = threading.Thread(
        target=lambda: found.append(rh.survey(WIDTHS, SEEDS, client, budget_s=0.4))
    )
    task.start()
    while len(set(client.run_on_scheduler(finished)) - before) < 2:  # in the middle of it
        time.sleep(0.05)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGTERM)
    task.join(120)
    (there,) = found
    assert [p.computed for p in there.points] == [p.computed for p in here.points]
    ends = client.run_on_scheduler(finished)
    assert [ends[key] for key in set(ends) - before] == [1] * len(here.points)


def fail(*_):
    raise rh.EngineError("no engine here.")


def test_a_measurement_that_fails_on_a_worker_is_told(client, monkeypatch, refuses):
    monkeypatch.setattr(module, "measure_point", fail)
    with refuses(rh.SurveyError, "seed 5 did not come back", "EngineError, no engine here"):
        rh.survey((8, 16), (5,), client, **QUICK)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "seeds", "fragment"),
    [
        ([], [1], "widths is empty"),
        ([8, 8], [1], "rising"),
        ([0], [1], "widths[0] is 0"),
        ([8], [], "seeds is []"),
        ([8], [1, 1], "none twice"),
        ([8], 3, "seeds is 3"),
        ([8], "12", "seeds is '12'"),
        ([8], [1.5], "a whole number"),
    ],
)
def test_arguments_that_do_not_fit(widths, seeds, fragment, refuses):
    with refuses(rh.ArgumentError, fragment):
        rh.survey(widths, seeds)


def test_a_budget_that_does_not_fit(refuses):
    with refuses(rh.ArgumentError, "budget_s is 0"):
        rh.survey([8], [1], budget_s=0)


@pytest.mark.parametrize("client", ["tcp://somewhere:8786", 4, object(), Client])
def test_what_is_no_client(client, refuses):
    with refuses(rh.ArgumentError, "pass a dask.distributed.Client"):
        rh.survey([8], [1], client)


def described(*workers):
    return {f"tcp://w{number}": worker for number, worker in enumerate(workers)}


HERE = ("2.13.0", "2.0.0")


@pytest.mark.parametrize(
    ("workers", "fragment"),
    [
        ([("a", True, HERE), ("a", True, HERE)], ""),
        ([("a", False, HERE), ("b", False, HERE)], ""),
        ([("a", False, HERE), ("a", False, HERE)], "2 workers on one machine"),
        ([("a", True, HERE), ("b", True, ("2.12.0", "2.0.0"))], "PyTorch 2.12.0"),
        ([("a", True, HERE), ("b", True, ("2.13.0", "1.9"))], "recipe_helpers 1.9"),
    ],
)
def test_workers_that_cannot_keep_the_promise(workers, fragment, refuses):
    if fragment:
        with refuses(rh.ArgumentError, fragment):
            module._check_workers(described(*workers), HERE)
    else:
        module._check_workers(described(*workers), HERE)


def test_clients_that_cannot_be_used(refuses):
    class Fake(Client):
        def __init__(self, asynchronous, answer):
            self._is_asynchronous, self.answer = asynchronous, answer

        asynchronous = property(lambda self: self._is_asynchronous)

        def run(self, function):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        def __del__(self):
            pass

    for fake, fragment in (
        (Fake(True, {}), "asynchronous"),
        (Fake(False, {}), "no workers"),
        (Fake(False, ModuleNotFoundError("No module named 'recipe_helpers'")), "without this"),
    ):
        with refuses(rh.ArgumentError, fragment):
            rh.survey([8], [1], fake)
