"""The command line: what may be written, what comes out, and what the exit status says."""

import argparse
import json
import subprocess
import sys

import pytest

from recipe_helpers.common.language import use_language
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

number = 3
"""

FAST = ["--threads", "1", "--backend", "plain", "--min-speedup", "0", "--no-memory"]
LINEAR = ["report", "factories_here:linear", *FAST]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "factories_here.py").write_text(FACTORIES)
    (tmp_path / "broken_here.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(measurement, "compare_latency", made_up_latency)
    yield
    for name in ("factories_here", "broken_here"):
        sys.modules.pop(name, None)


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


def test_a_method_several_inputs_a_metric_and_scores(capsys):
    assert command.main(["report", "factories_here:Holder.factory", *FAST]) == 0
    assert command.main(["report", "factories_here:several", *FAST]) == 0
    assert "3 sets of inputs" in capsys.readouterr().out
    assert command.main(["report", "factories_here:with_metric", *FAST]) == 0
    assert "the metric changes by" in " ".join(capsys.readouterr().out.split())
    assert command.main([*LINEAR, "--scores", "output"]) == 0
    assert "the highest score is the same in" in " ".join(capsys.readouterr().out.split())


def test_files_are_written(tmp_path):
    options = ["--json", "found.json", "--html", "found.html"]
    assert command.main([*LINEAR, *options]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["passed"] is True
    assert (tmp_path / "found.html").read_text().startswith("<!DOCTYPE html>")
    files = {"factories_here.py", "broken_here.py", "found.json", "found.html"}
    assert {entry.name for entry in tmp_path.iterdir()} - {"__pycache__"} == files


@pytest.mark.parametrize(
    ("words", "patterns"),
    [
        (["report", "factories_here"], ["TypeError", "MODULE:FUNCTION"]),
        (["report", ":linear"], ["ValueError", "MODULE:FUNCTION"]),
        (["report", "nothing_here:linear"], ["ModuleNotFoundError", "nothing_here"]),
        (["report", "broken_here:linear"], ["ModuleNotFoundError", "nothing_of_this_name"]),
        (["report", "factories_here:absent"], ["AttributeError", "'absent'"]),
        (["report", "factories_here:number"], ["TypeError", "'int' object is not callable"]),
        (["report", "factories_here:raises"], ["OSError: no weights here"]),
        (["report", "factories_here:leaves"], ["SystemExit: 3"]),
        (["report", "factories_here:nothing"], ["TypeError", "NoneType"]),
        (["report", "factories_here:training"], ["training mode"]),
        ([*LINEAR, "--threads", "0"], ["threads"]),
        ([*LINEAR, "--budget", "0"], ["budget_s"]),
        ([*LINEAR, "--min-speedup", "nan"], ["min_speedup"]),
        ([*LINEAR, "--scores", "logits"], ["scores is 'logits'"]),
        ([*LINEAR, "--json", "no/such/folder.json"], ["folder.json"]),
        ([*LINEAR, "--html", "."], ["cannot be written"]),
        (["recipe", "--width", "0"], ["width"]),
    ],
)
def test_wrong_use_is_one_sentence_on_stderr(capsys, words, patterns):
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(pattern in err for pattern in patterns)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "COMMAND"),
        (["judge"], "invalid choice: 'judge'"),
        (["report"], "MODULE:FUNCTION"),
        (["report", "a:b", "--backend", "onnx"], "--backend"),
        (["recipe", "--width", "x"], "--width"),
        (["ledger", "--html", "x"], "--html"),
    ],
)
def test_words_that_cannot_be_parsed(capsys, words, says):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(measurement, "compare_latency", interrupt)
    assert command.main(LINEAR) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_has_examples_exit_status_and_every_limit_with_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["report", "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("examples:", "exit status:", "return model.eval()", "MODULE:FUNCTION",
                  "0.02 for 2 % (default: 0.05, or none with a metric)",
                  "--min-size-ratio X FP32 bytes / INT8 bytes, at least (default: 1)",
                  "--worth-speedup X or at least so many times faster beyond doubt (default: 1.1)",
                  "--budget SECONDS time for each timing (default: 0.5)"):  # fmt: skip
        assert words in out


def test_every_example_of_the_help_is_understood():
    examples = command._EXAMPLES.replace("\\\n", " ").strip().splitlines()
    assert len(examples) == 3
    for line in examples:
        words = line.split()[3:]
        assert isinstance(command.parser().parse_args(words), argparse.Namespace)


@pytest.mark.parametrize("verb", ["recipe", "demo"])
@pytest.mark.parametrize("size", [["--width", "12"], ["--layers", "2"], ["--steps", "7"]])
def test_the_recipes_own_model(capsys, verb, size):
    assert command.main([verb, *FAST, "--max-relative-error", "0", *size]) == 0, "whatever it is"
    out = capsys.readouterr().out
    width, layers, steps = (int(size[1]) if size[0] == one else normal for one, normal in
                            (("--width", 8), ("--layers", 1), ("--steps", 20)))  # fmt: skip
    assert f"LSTMModel, {layers * 8 * width * (width + 1):,} parameters" in out
    assert f"float32 tensor of shape ({steps}, 1, {width})" in out


def test_as_a_process_with_a_reader_that_leaves(tmp_path):
    words = [sys.executable, "-m", "recipe_helpers", *LINEAR, "--budget", "0.01"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err == b""


@pytest.fixture
def korean():
    use_language("ko")
    yield
    use_language("en")


@pytest.mark.parametrize("words", [[], ["report"], ["recipe"], ["ledger"]])
def test_the_help_in_korean(korean, capsys, words):
    with pytest.raises(SystemExit):
        command.main([*words, "--help"])
    # What argparse itself says stays English.
    own = "show this help message and exit", "channel,plain,onnxruntime", "weights only"
    assert english_in(capsys.readouterr().out, *own) == []


def test_wrong_use_in_korean(korean, capsys):
    assert command.main(["report", "nothing"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m recipe_helpers: 'nothing'에서 모델과 입력을")
    assert "'nothing' gives no model and inputs (ModuleNotFoundError: " in err
