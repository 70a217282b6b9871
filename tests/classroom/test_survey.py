"""A survey: here, on two processes, and with one of them killed in the middle."""

import io
import itertools
import os
import time

import pytest
import torch
from distributed import Client, LocalCluster

import recipe_helpers as rh
from recipe_helpers.classroom import survey as module
from recipe_helpers.common.language import speaking

# Whatever the cluster's own threads warn of is not ours.
pytestmark = pytest.mark.filterwarnings("default")
WIDTHS, SEEDS = (8, 24), (3, 1, 2)
QUICK = {"budget_s": 0.01}


@pytest.fixture(scope="module")
def here():
    return rh.survey(iter(WIDTHS), iter(SEEDS), **QUICK)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two processes of two threads each, or one where there is one core."""
    with LocalCluster(
        n_workers=min(2, module.describe_worker().cores),
        threads_per_worker=2,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        made.wait_for_workers(len(cluster.workers), timeout=60)
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
        assert point.machine == f"{rh.machine().cpu}, {rh.machine().vector_instructions}"


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


class Noted:
    """`measure_point`, with a note of when it ran; the first one may take its worker along."""

    def __init__(self, folder, deadly=False, seconds=0.05):
        self.folder, self.deadly, self.seconds = folder, deadly, seconds

    def __call__(self, width, seed, budget_s):
        began = time.monotonic()
        if self.deadly and (width, seed) == (WIDTHS[0], SEEDS[0]):
            try:
                (self.folder / "died").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os._exit(1)
        found = MEASURE_POINT(width, seed, budget_s)
        time.sleep(self.seconds)
        with (self.folder / f"{width}_{seed}_{os.getpid()}").open("a") as note:
            note.write(f"{began} {time.monotonic()}\n")
        return found

    def notes(self):
        """Of each measurement that ended: width and seed, the process, its beginning and end."""
        for file in self.folder.glob("*_*"):
            width, seed, pid = map(int, file.name.split("_"))
            for line in file.read_text().splitlines():
                yield (width, seed), pid, *map(float, line.split())


MEASURE_POINT = module.measure_point


def test_a_worker_of_two_threads_measures_one_at_a_time(client, tmp_path, monkeypatch):
    noted = Noted(tmp_path)
    monkeypatch.setattr(module, "measure_point", noted)
    rh.survey(WIDTHS, SEEDS, client, **QUICK)
    found = sorted(noted.notes(), key=lambda note: note[2])
    assert len(found) == len(WIDTHS) * len(SEEDS)
    for worker in {pid for _, pid, *_ in found}:
        times = [note[2:] for note in found if note[1] == worker]
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(times))


def test_a_lost_worker_costs_its_measurement_a_retry_and_nothing_else(
    here, client, tmp_path, monkeypatch
):
    """It is lost in the middle of the first measurement, whatever the machine is busy with."""
    noted = Noted(tmp_path, deadly=True)
    monkeypatch.setattr(module, "measure_point", noted)
    there = rh.survey(WIDTHS, SEEDS, client, **QUICK)
    assert (tmp_path / "died").exists()
    assert [p.computed for p in there.points] == [p.computed for p in here.points]
    assert sorted(at for at, *_ in noted.notes()) == sorted(itertools.product(WIDTHS, SEEDS))


def fail(*_):
    raise rh.EngineError("no engine here.")


def test_a_measurement_that_fails_on_a_worker_is_told(client, monkeypatch, refuses):
    monkeypatch.setattr(module, "measure_point", fail)
    with refuses(rh.SurveyError, "seed 5 did not come back", "EngineError, no engine here"):
        rh.survey((8, 16), (5,), client, **QUICK)


class Future:
    def __init__(self, at):
        self.at, self.released = at, False

    def result(self):
        if self.at == (16, 5):
            raise rh.EngineError("no engine here.")
        return f"the point of {self.at}"

    def release(self):
        self.released = True

    def done(self):
        return self.at in ((8, 5), (16, 5))


class FakeClient:
    """A client of one worker, as far as a survey asks anything of it."""

    asynchronous = False

    def __init__(self, workers=None, **attributes):
        self.workers = {"tcp://w": module.describe_worker()} if workers is None else workers
        self.cancelled, self.asked, self.made = [], [], []
        self.__dict__ |= attributes

    def run(self, function):
        if isinstance(self.workers, Exception):
            raise self.workers
        return self.workers

    def register_plugin(self, plugin, name):
        self.plugin = plugin

    def submit(self, function, width, seed, budget_s, **options):
        self.asked.append(options)
        self.made.append(Future((width, seed)))
        return self.made[-1]

    def cancel(self, futures):
        self.cancelled += [future.at for future in futures]


def test_after_an_error_what_has_not_begun_is_cancelled(monkeypatch):
    monkeypatch.setattr("distributed.as_completed", iter)
    client = FakeClient()
    with pytest.raises(rh.SurveyError, match="width 16, seed 5"):
        rh.survey((8, 16, 24, 32), (5,), client)
    assert client.cancelled == [(24, 5), (32, 5)]
    assert [future.released for future in client.made] == [True, False, False, False]
    assert client.asked[0] == {"pure": False, "resources": {module.ONE_AT_A_TIME: 1}}


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "seeds", "fragment"),
    [
        ([], [1], "widths is empty"),
        ([8, 8], [1], "rising"),
        ([0], [1], "widths[0] is 0"),
        ([8], [], "seeds is empty"),
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


HERE = ("2.13.0", "2.0.0")


@pytest.mark.parametrize(
    ("workers", "fragment"),
    [
        ([("a", 2, HERE), ("a", 2, HERE)], ""),
        ([("a", 1, HERE), ("b", 1, HERE)], ""),
        ([("b", 3, HERE), ("a", 1, HERE), ("a", 1, HERE)], "2 workers on a machine of 1 cores"),
        ([("a", 2, HERE), ("b", 2, ("2.12.0", "2.0.0"))], "PyTorch 2.12.0"),
        ([("a", 2, HERE), ("b", 2, ("2.13.0", "1.9"))], "recipe_helpers 1.9"),
    ],
)
def test_workers_that_cannot_keep_the_promise(workers, fragment, refuses):
    described = {f"tcp://w{i}": module.Worker(*worker) for i, worker in enumerate(workers)}
    if fragment:
        with refuses(rh.ArgumentError, fragment):
            module._check_workers(described, HERE)
    else:
        module._check_workers(described, HERE)


@pytest.mark.parametrize(
    ("client", "fragment"),
    [
        (FakeClient(asynchronous=True), "asynchronous"),
        (FakeClient({}), "no workers"),
        (FakeClient(ModuleNotFoundError("No module named 'recipe_helpers'")), "without this"),
        (FakeClient(submit=None), "pass a dask.distributed.Client"),
    ],
)
def test_clients_that_cannot_be_used(client, fragment, refuses):
    with refuses(rh.ArgumentError, fragment):
        rh.survey([8], [1], client)
