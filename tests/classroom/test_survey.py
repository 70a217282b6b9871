"""A survey: here, on a process that is killed in the middle, and with clients that do not fit."""

import contextlib
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import create_autospec

import pytest
import torch
from distributed import Client, LocalCluster

import recipe_helpers as rh
from recipe_helpers.classroom import survey as module
from recipe_helpers.common.language import speaking

from .made_up import point, surveyed

# Whatever the cluster's own threads warn of is not ours.
pytestmark = pytest.mark.filterwarnings("default")
WIDTHS, SEEDS = (8, 24), (3, 1, 2)
WANTED = list(itertools.product(WIDTHS, SEEDS))
QUICK = {"budget_s": 0.01}


@pytest.fixture(scope="module")
def here():
    return rh.survey(iter(WIDTHS), iter(SEEDS), **QUICK)


def test_every_width_and_seed_is_measured_once_in_order(here):
    assert [(p.width, p.seed) for p in here.points] == WANTED
    for one in here.points:
        demo = rh.demonstration(width=one.width, seed=one.seed)
        quantized = rh.quantize_dynamic(demo.model)
        found = one.comparison
        sizes = rh.state_dict_bytes(demo.model), rh.state_dict_bytes(quantized)
        assert (found.size.reference_bytes, found.size.candidate_bytes) == sizes
        with torch.inference_mode():
            exact, rounded = (m(*demo.arguments)[0].double() for m in (demo.model, quantized))
        error = float((rounded - exact).abs().mean() / exact.abs().mean())
        assert found.outputs.relative == pytest.approx(error, rel=1e-9)
        assert found.latency.threads == 1
        assert one.machine == f"{rh.machine().cpu}, {rh.machine().vector_instructions}"


def test_the_table_has_a_row_for_each_width_and_says_where_it_was_measured():
    made = surveyed()
    assert made.table().rows == [
        ("8", "4,573 bytes", "3,549 bytes", "2.00% (1.00% to 6.00%)", "0.50 (0.40 to 0.90)",
         "2 slower, 1 inconclusive"),
        ("24", "4,573 bytes", "3,549 bytes", "1.20%", "2.00", "1 faster"),
    ]  # fmt: skip
    assert made.table().caption == "median (range) over 3 seeds, one thread"
    assert made.table().note == "Measured on: CPU, AVX2, with VNNI; other, NEON."
    with speaking("ko"):
        assert "시드 3개" in str(made)
        assert "CPU, AVX2, VNNI" in str(made)
    assert [p.seed for p in made.of(8)] == [3, 1, 2]
    with pytest.raises(rh.ArgumentError, match="width is 9"):
        made.of(9)


def test_a_process_makes_one_measurement_at_a_time_whatever_number_of_threads_it_has(monkeypatch):
    times = []

    def compare(*models, budget_s):
        began = time.perf_counter()
        time.sleep(0.05)
        times.append((began, time.perf_counter()))

    monkeypatch.setattr(module, "compare", compare)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(module.measure_point, (8,) * 3, SEEDS, (0.1,) * 3))
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(sorted(times)))


# --- with a client of Dask ------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path):
    """Two processes of two threads each, or one where there is one core."""
    with (
        LocalCluster(
            n_workers=min(2, module.describe_worker().cores),
            threads_per_worker=2,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        ) as cluster,
        Client(cluster) as made,
    ):
        made.wait_for_workers(len(cluster.workers), timeout=60)
        yield made


class Deadly:
    """`measure_point`, with a note of what was measured; the first takes its worker along."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, width, seed, budget_s):
        if (width, seed) == WANTED[0]:
            with contextlib.suppress(FileExistsError):
                (self.folder / "died").touch(exist_ok=False)
                os._exit(1)
        found = MEASURE_POINT(width, seed, budget_s)
        with (self.folder / f"{width}_{seed}").open("a") as note:
            note.write("measured\n")
        return found


MEASURE_POINT = module.measure_point


def test_a_lost_worker_costs_its_measurement_a_retry_and_nothing_else(
    here, client, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "measure_point", Deadly(tmp_path))
    there = rh.survey(WIDTHS, SEEDS, client, **QUICK)
    assert (tmp_path / "died").exists()

    def computed(survey):
        found = ((p.width, p.seed, p.comparison) for p in survey.points)
        return [(width, seed, c.size, c.outputs) for width, seed, c in found]

    assert computed(there) == computed(here)
    notes = {file.name: file.read_text() for file in tmp_path.glob("*_*")}
    assert notes == dict.fromkeys((f"{w}_{s}" for w, s in WANTED), "measured\n")


class Future:
    """One that has its result; that of seed 5 at width 16 is an error."""

    def __init__(self, at):
        self.at, self.released = at, False

    def result(self):
        if self.at == (16, 5):
            raise rh.EngineError("no engine here.")
        return point(*self.at, 1.0, "faster")

    def release(self):
        self.released = True

    def done(self):
        return self.at in ((8, 5), (16, 5))


def fake_client(workers=None, asynchronous=False):
    """A client of these workers, as far as a survey asks anything of it."""
    made = create_autospec(Client, instance=True, asynchronous=asynchronous)
    described = {"tcp://w": module.describe_worker()} if workers is None else workers
    made.run.side_effect = [described]
    made.submit.side_effect = lambda function, *at, **how: Future(at[:2])
    return made


def test_results_come_back_in_the_order_of_widths_and_seeds(monkeypatch):
    monkeypatch.setattr("distributed.as_completed", lambda futures: reversed([*futures]))
    client, shown = fake_client(), []
    found = rh.survey(
        (8, 24), (5, 4), client, progress=lambda items, label: shown.append(label) or items
    )
    assert [(p.width, p.seed) for p in found.points] == [(8, 5), (8, 4), (24, 5), (24, 4)]
    assert shown == ["survey"]
    client.submit.assert_any_call(module.measure_point, 24, 4, module.BUDGET_S, pure=False)


def test_after_an_error_what_has_not_begun_is_cancelled(monkeypatch, refuses):
    made = []
    monkeypatch.setattr(
        "distributed.as_completed", lambda futures: made.extend(futures) or iter(made)
    )
    client = fake_client()
    with refuses(rh.SurveyError, "width 16, seed 5 did not come back", "EngineError, no engine he"):
        rh.survey((8, 16, 24, 32), (5,), client)
    ((cancelled,), _) = client.cancel.call_args
    assert [future.at for future in cancelled] == [(24, 5), (32, 5)]
    assert [future.released for future in made] == [True, False, False, False]


# --- what is refused ------------------------------------------------------------------------------

HERE = module.describe_worker().versions
OTHER_TORCH, OTHER_HELPERS = ("2.0.1", HERE[1]), (HERE[0], "1.9")


def workers(*described):
    return {f"tcp://w{i}": module.Worker(*one) for i, one in enumerate(described)}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"widths": [8, 8]}, "rising"),
        ({"seeds": [1, 1]}, "none twice"),
        ({"seeds": 3}, "seeds is 3"),
        ({"budget_s": 0}, "budget_s is 0"),
        ({"client": "tcp://somewhere:8786"}, "pass a dask.distributed.Client"),
        ({"client": fake_client(asynchronous=True)}, "asynchronous"),
        ({"client": fake_client({})}, "no workers"),
        ({"client": fake_client(ModuleNotFoundError("No module x"))}, "package (No module x)"),
        ({"client": fake_client(workers(("b", 3, HERE), ("a", 1, HERE), ("a", 1, HERE)))},
         "2 workers on a machine of 1 cores"),
        ({"client": fake_client(workers(("a", 2, HERE), ("b", 2, OTHER_TORCH)))},
         "tcp://w1 with PyTorch 2.0.1"),
        ({"client": fake_client(workers(("a", 2, HERE), ("b", 2, OTHER_HELPERS)))},
         "recipe_helpers 1.9"),
    ],
)  # fmt: skip
def test_what_does_not_fit(changes, fragment, refuses):
    with refuses(rh.ArgumentError, fragment):
        rh.survey(**{"widths": [8], "seeds": [1], **changes})


def test_as_many_workers_as_cores_are_taken():
    module.check_client(fake_client(workers(*((host, 2, HERE) for host in "aabb"))))
