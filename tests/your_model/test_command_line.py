import json
import subprocess
import sys

import pytest
import torch

from recipe_helpers.your_model import command_line as command, reference

from .report_models import made_up_latency

FACTORIES = """
import sys
import torch
from torch import nn

torch.manual_seed(0)

def linear():
    return nn.Sequential(nn.Linear(64, 64)).eval(), torch.linspace(-1, 1, 128).view(2, 64)

def training():
    return nn.Sequential(nn.Linear(64, 64)), torch.ones(2, 64)

def several():
    model, x = linear()
    return model, [(x,), {"input": 2 * x}, 3 * x]

def with_metric():
    return *linear(), lambda model: 1.0

def raises():
    raise OSError("no weights here")

def leaves():
    sys.exit(3)

def nothing():
    return None

class Holder:
    factory = staticmethod(linear)

number = 3
"""

FAST = ["--threads", "1", "--backend", "plain", "--min-speedup", "0", "--no-memory"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "factories_here.py").write_text(FACTORIES)
    (tmp_path / "broken_here.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(reference, "compare_latency", made_up_latency)
    yield
    for name in ("factories_here", "broken_here"):
        sys.modules.pop(name, None)


def test_within_the_limits(capsys):
    assert command.main(["report", "factories_here:linear", *FAST]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Ship INT8.")
    assert err == ""


@pytest.mark.parametrize(
    "limit",
    [["--max-relative-error", "1e-9"], ["--min-size-ratio", "4"], ["--max-relative-error=0"]],
)
def test_outside_the_limits(capsys, limit):
    assert command.main(["report", "factories_here:linear", *FAST, *limit]) == 1
    assert capsys.readouterr().out.startswith("Keep FP32.")


def test_a_method_several_inputs_and_a_metric(capsys):
    assert command.main(["report", "factories_here:Holder.factory", *FAST]) == 0
    assert command.main(["report", "factories_here:several", *FAST]) == 0
    assert "3 sets of inputs" in capsys.readouterr().out
    assert command.main(["report", "factories_here:with_metric", *FAST]) == 0
    assert "the metric does not fall" in " ".join(capsys.readouterr().out.split())


def test_files_are_written(tmp_path, capsys):
    options = ["--json", "found.json", "--html", "found.html"]
    assert command.main(["report", "factories_here:linear", *FAST, *options]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["passed"] is True
    assert (tmp_path / "found.html").read_text().startswith("<!DOCTYPE html>")
    files = {"factories_here.py", "broken_here.py", "found.json", "found.html"}
    assert {entry.name for entry in tmp_path.iterdir()} - {"__pycache__"} == files


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["report", "factories_here"], "MODULE:FUNCTION"),
        (["report", ":linear"], "MODULE:FUNCTION"),
        (["report", "factories_here:"], "MODULE:FUNCTION"),
        (["report", "nothing_here:linear"], "cannot be imported"),
        (["report", "broken_here:linear"], "nothing_of_this_name"),
        (["report", "factories_here:absent"], "no function 'absent'"),
        (["report", "factories_here:number"], "no function 'number'"),
        (["report", "factories_here:raises"], "OSError: no weights here"),
        (["report", "factories_here:leaves"], "SystemExit"),
        (["report", "factories_here:nothing"], "returned a NoneType"),
        (["report", "factories_here:training"], "training mode"),
        (["report", "factories_here:linear", "--threads", "0"], "threads"),
        (["report", "factories_here:linear", "--budget", "0"], "budget_s"),
        (["report", "factories_here:linear", "--min-speedup", "nan"], "min_speedup"),
        (["report", "factories_here:linear", "--json", "no/such/folder.json"], "folder.json"),
        (["report", "factories_here:linear", "--html", "."], "cannot be written"),
        (["recipe", "--width", "0"], "dimension"),
    ],
)
def test_wrong_use_is_one_sentence_on_stderr(capsys, words, pattern):
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert pattern in err


@pytest.mark.parametrize(
    "words",
    [[], ["judge"], ["report"], ["report", "a:b", "--backend", "onnx"], ["recipe", "--width", "x"]],
)
def test_words_that_cannot_be_parsed(capsys, words):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--help" in err


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(reference, "compare_latency", interrupt)
    assert command.main(["report", "factories_here:linear", *FAST]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_has_examples_limits_and_exit_status(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["report", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for words in ("examples:", "exit status:", "--min-size-ratio", "return model.eval()"):
        assert words in out


@pytest.mark.parametrize("verb", ["recipe", "demo"])
def test_the_recipes_own_model(capsys, verb):
    assert command.main([verb, "--backend", "torch.ao", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "LSTMModel, 576 parameters" in out
    for word in ("state dict", "relative", "time of one call"):
        assert word in out


def test_as_a_process_with_a_reader_that_leaves(tmp_path):
    words = [sys.executable, "-m", "recipe_helpers", "report", "factories_here:linear"]
    with subprocess.Popen(
        [*words, *FAST, "--budget", "0.01"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err == b""


def test_threads_are_put_back(capsys):
    before = torch.get_num_threads()
    command.main(["report", "factories_here:linear", *FAST])
    assert torch.get_num_threads() == before
