"""The command line: what may be written, what comes out, and what the exit status says."""

import json
import subprocess
import sys

import pytest

from recipe_helpers.common.language import speaking
from recipe_helpers.your_model import command_line as command, measurement

from ..korean import english_in
from .made_up import made_up_latency

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
"""

FAST = ["--threads", "1", "--backend", "plain", "--min-speedup", "0", "--no-memory"]
LINEAR = ["report", "factories_here:linear", *FAST]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "factories_here.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(measurement, "compare_latency", made_up_latency)
    yield
    sys.modules.pop("factories_here", None)


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ([], 0),
        (["--max-relative-error", "1e-9"], 1),
        (["--max-relative-error=0"], 1),
        (["--min-size-ratio", "4"], 1),
        (["--worth-size-ratio", "3.9"], 1),
    ],
)
def test_the_exit_status_is_the_verdict(capsys, limit, status):
    assert command.main([*LINEAR, *limit]) == status
    out, err = capsys.readouterr()
    assert out.startswith("Keep FP32." if status else "Ship INT8.")
    assert err == ""


@pytest.mark.parametrize(
    ("factory", "more", "says"),
    [
        ("Holder.factory", [], "Sequential"),
        ("several", [], "3 sets of inputs"),
        ("with_metric", [], "the metric changes by"),
        ("linear", ["--scores", "output"], "the highest score is the same in"),
    ],
)
def test_a_method_several_inputs_a_metric_and_scores(capsys, factory, more, says):
    assert command.main(["report", f"factories_here:{factory}", *FAST, *more]) == 0
    assert says in " ".join(capsys.readouterr().out.split())


def test_files_are_written_and_no_other(tmp_path):
    before = {*tmp_path.iterdir()}
    assert command.main([*LINEAR, "--json", "found.json", "--html", "found.html"]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["passed"] is True
    assert (tmp_path / "found.html").read_text().startswith("<!DOCTYPE html>")
    made = {entry.name for entry in {*tmp_path.iterdir()} - before}
    assert made - {"__pycache__"} == {"found.json", "found.html"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", "factories_here"], "TypeError"),
        (["report", "nothing_here:linear"], "ModuleNotFoundError: No module named 'nothing_here'"),
        (["report", "factories_here:raises"], "OSError: no weights here); pass MODULE:FUNCTION"),
        (["report", "factories_here:leaves"], "SystemExit: 3"),
        (["report", "factories_here:nothing"], "NoneType"),
        (["report", "factories_here:training"], "training mode"),
        ([*LINEAR, "--threads", "0"], "threads"),
        ([*LINEAR, "--budget", "0"], "budget_s"),
        ([*LINEAR, "--scores", "logits"], "scores is 'logits'"),
        ([*LINEAR, "--json", "no/such/folder.json"], "folder.json"),
        ([*LINEAR, "--html", "."], "cannot be written"),
        (["recipe", "--width", "0"], "width"),
    ],
)
def test_wrong_use_is_one_sentence_on_stderr(capsys, monkeypatch, words, says):
    measured = pytest.fail if {"--json", "--html"} & {*words} else made_up_latency
    monkeypatch.setattr(measurement, "compare_latency", measured)
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "COMMAND"),
        (["report", "a:b", "--backend", "onnx"], "--backend"),
        (["ledger", "--html", "x"], "--html"),
    ],
)
def test_words_that_cannot_be_parsed(capsys, words, says):
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(measurement, "compare_latency", interrupt)
    assert command.main(LINEAR) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_has_examples_exit_status_and_every_limit_with_its_default(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["report", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for words in ("examples:", "exit status:", "return model.eval()", "MODULE:FUNCTION",
                  "0.02 for 2 % (default: 0.05, or none with a metric)",
                  "--min-size-ratio X FP32 bytes / INT8 bytes, at least (default: 1)",
                  "--worth-speedup X or at least so many times faster beyond doubt (default: 1.1)",
                  "--budget SECONDS time for each timing (default: 0.5)"):  # fmt: skip
        assert words in out
    examples = command._EXAMPLES.replace("\\\n", " ").strip().splitlines()
    assert [command.parser().parse_args(line.split()[3:]).factory for line in examples] == [
        "tagger.export:factory", "tagger:factory", "tagger:factory"
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["recipe", "demo"])
def test_the_recipes_own_model_whose_verdict_is_no_status(capsys, verb):
    sizes = ["--width", "12", "--layers", "2", "--steps", "7"]
    assert command.main([verb, *FAST, "--max-relative-error", "0", *sizes]) == 0
    out = capsys.readouterr().out
    assert f"LSTMModel, {2 * 8 * 12 * 13:,} parameters" in out
    assert "float32 tensor of shape (7, 1, 12)" in out


def test_as_a_process_with_a_reader_that_leaves(tmp_path):
    words = [sys.executable, "-m", "recipe_helpers", *LINEAR, "--budget", "0.01"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("words", [[], ["report"], ["recipe"], ["ledger"]])
def test_the_help_in_korean(capsys, words):
    with speaking("ko"), pytest.raises(SystemExit):
        command.main([*words, "--help"])
    # What argparse itself says stays English.
    own = "show this help message and exit", "channel,plain,onnxruntime", "weights only"
    assert english_in(capsys.readouterr().out, *own) == []


def test_wrong_use_in_korean(capsys):
    with speaking("ko"):
        assert command.main(["report", "nothing"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m recipe_helpers: 'nothing'에서 모델과 입력을")
    assert "'nothing' gives no model and inputs (ModuleNotFoundError: " in err
