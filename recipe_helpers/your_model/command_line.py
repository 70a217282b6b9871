"""The command line: `python -m recipe_helpers report package.module:factory`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from ..common.errors import RecipeError
from ..common.files import write_atomically
from ..recipe.latency import BUDGET_S
from ..recipe.ledger import Ledger
from ..recipe.model import DIMENSION, LAYERS, SEQUENCE_LENGTH, demonstration
from ..recipe.whole import measure_ledger
from .candidates import EVERY_WAY, WAYS
from .promises import (
    MAX_METRIC_DROP,
    MAX_RELATIVE_ERROR,
    MIN_SIZE_RATIO,
    MIN_SPEEDUP,
    WORTH_SIZE_RATIO,
    WORTH_SPEEDUP,
)
from .report import Report, report

WITHIN, OUTSIDE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

_ABOUT = "Quantize a PyTorch model to INT8 dynamically, measure what that does, and judge."

_EXAMPLES = """\
the factory:
  a function without arguments that returns the model and its inputs, as in

    def factory():
        model = Tagger()
        model.load_state_dict(torch.load("tagger.pt", weights_only=True))
        return model.eval(), (tokens, lengths)

  The inputs are a tuple of positional arguments, a dict of keyword arguments, one tensor, or a
  list of such for several sets of inputs. A third value, if there is one, is the metric: a
  function of a model that returns a number, the larger the better.

examples:
  python -m recipe_helpers report tagger.export:factory
  python -m recipe_helpers report tagger:factory --backend plain --threads 1 --html report.html
  python -m recipe_helpers report tagger:factory --max-relative-error 0.02 --min-size-ratio 3 \\
      --min-speedup 0 --json report.json

exit status:
  0  a conversion keeps within the limits (as a whole, or with the named modules left FP32)
  1  none does
  2  wrong use; one sentence on stderr says what is wrong
"""


class _WrongUseError(Exception):
    """What was asked for on the command line cannot be done."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}; try {self.prog} --help.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: the words after `python -m recipe_helpers`; those of the process unless given.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        for path in (options.json, options.html):
            _refuse_unwritable(path)
        found = options.run(options)
        _write(options, found)
        _say(str(found))
        return options.status(found)
    except (RecipeError, _WrongUseError, OSError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m recipe_helpers",
        description=_ABOUT,
        epilog="Each command has its own help: python -m recipe_helpers report --help",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    judged = commands.add_parser(
        "report",
        help="measure and judge a model of your own",
        description="Quantize a model of your own in several ways; measure size, speed and "
        "output;\nsay whether to ship INT8, ship it with some modules left FP32, or keep FP32.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    judged.add_argument("factory", metavar="MODULE:FUNCTION", help="what makes model and inputs")
    _add_shared(judged)
    judged.set_defaults(run=_report, status=lambda found: WITHIN if found.passed else OUTSIDE)
    shown = commands.add_parser(
        "recipe",
        aliases=["demo"],
        help="measure and judge the recipe's own model",
        description="Quantize the recipe's LSTM and print size, speed, accuracy and the verdict.\n"
        "The exit status is 0 whatever the verdict is.",
        formatter_class=raw,
    )
    sizes = (("width", DIMENSION, "units"), ("layers", LAYERS, "layers"))
    for name, value, unit in (*sizes, ("steps", SEQUENCE_LENGTH, "time steps")):
        text = f"{unit} of the LSTM (default: {value})" if name != "steps" else ""
        text = text or f"{unit} in its input (default: {value})"
        shown.add_argument(f"--{name}", type=int, default=value, metavar="N", help=text)
    _add_shared(shown)
    shown.set_defaults(run=_recipe, status=lambda found: WITHIN)
    _add_ledger(commands)
    return parser


def _add_ledger(commands: Any) -> None:
    about = (
        "Measure every claim of the recipe on this machine, which takes about twenty seconds on "
        "one thread, and print the ledger. The file says what kind of machine this is and what it "
        "measured; it holds no name of host or user and no path."
    )
    ledger = commands.add_parser(
        "ledger", help="judge every claim of the recipe on this machine", description=about
    )
    ledger.add_argument("--json", type=Path, metavar="FILE", help="write all findings as JSON")
    ledger.add_argument(
        "--quickly", action="store_true", help="measure for a tenth of the time, for a first look"
    )
    ledger.set_defaults(
        run=lambda options: measure_ledger(quickly=options.quickly),
        status=lambda found: WITHIN,
        html=None,
    )


def _add_shared(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to measure")
    how.add_argument(
        "--backend",
        action="append",
        choices=EVERY_WAY,
        help="a conversion to try; may be given more than once (default: all but onnxruntime)",
    )
    how.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads to judge the speed on (default: as many as PyTorch takes)",
    )
    how.add_argument(
        "--budget",
        type=float,
        default=BUDGET_S,
        metavar="SECONDS",
        help="time for each timing (default: %(default)s)",
    )
    how.add_argument(
        "--no-memory",
        dest="memory",
        action="store_false",
        help="do not measure memory, which takes a process of its own for each model",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-relative-error",
        type=float,
        metavar="X",
        help="largest mean |difference| / mean |FP32| of an output tensor, 0.02 for 2 %% "
        f"(default: {MAX_RELATIVE_ERROR:g}, or none with a metric)",
    )
    for name, value, text in (
        ("--min-size-ratio", MIN_SIZE_RATIO, "FP32 bytes / INT8 bytes, at least"),
        ("--min-speedup", MIN_SPEEDUP, "FP32 time / INT8 time, at least; 0: speed is no matter"),
        ("--max-metric-drop", MAX_METRIC_DROP, "how much the metric may fall, as a share"),
        ("--worth-size-ratio", WORTH_SIZE_RATIO, "a gain is at least so many times smaller"),
        ("--worth-speedup", WORTH_SPEEDUP, "or at least so many times faster beyond doubt"),
    ):
        limits.add_argument(
            name, type=float, default=value, metavar="X", help=f"{text} (default: %(default)g)"
        )
    output = parser.add_argument_group("output")
    output.add_argument("--json", type=Path, metavar="FILE", help="write all numbers as JSON")
    output.add_argument("--html", type=Path, metavar="FILE", help="write a page with the figure")


def _report(options: argparse.Namespace) -> Report:
    model, sets, metric = _made(options.factory)
    return _judged(options, model, sets, metric)


def _recipe(options: argparse.Namespace) -> Report:
    demo = demonstration(
        dimension=options.width, layers=options.layers, sequence_length=options.steps
    )
    return _judged(options, demo.model, [demo.arguments], None)


def _judged(options: argparse.Namespace, model: nn.Module, sets: list[Any], metric: Any) -> Report:
    return report(
        model,
        input_sets=sets,
        backends=options.backend or tuple(WAYS),
        metric=metric,
        threads=options.threads,
        budget_s=options.budget,
        memory=options.memory,
        max_relative_error=options.max_relative_error,
        min_size_ratio=options.min_size_ratio,
        min_speedup=options.min_speedup,
        max_metric_drop=options.max_metric_drop,
        worth_size_ratio=options.worth_size_ratio,
        worth_speedup=options.worth_speedup,
    )


def _made(named: str) -> tuple[nn.Module, list[Any], Any]:
    """The model, its input sets and the metric that the factory returns."""
    module_name, colon, function_name = named.partition(":")
    if not (module_name and colon and function_name):
        raise _WrongUseError(f"{named!r} is no factory; pass MODULE:FUNCTION, as tagger:factory.")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        factory: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise what it likes
        raise _WrongUseError(
            f"{module_name!r} cannot be imported ({type(error).__name__}: {error}); pass a module "
            "that can be imported from the current folder."
        ) from error
    for part in function_name.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        raise _WrongUseError(f"{module_name!r} has no function {function_name!r}.")
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise _WrongUseError(f"{named} raised {type(error).__name__}: {error}.") from error
    if not isinstance(made, tuple | list) or not 2 <= len(made) <= 3:
        raise _WrongUseError(
            f"{named} returned a {type(made).__name__}; let it return the model and its inputs, "
            "and the metric if there is one."
        )
    model, inputs, metric = (*made, None)[:3]
    sets = inputs if isinstance(inputs, list) else [inputs]
    return model, [one if isinstance(one, tuple | dict) else (one,) for one in sets], metric


def _say(text: str) -> None:
    """Print, also where a terminal lacks a character or nobody reads to the end."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # As Python's documentation has it: what is left must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse_unwritable(path: Path | None) -> None:
    """Before anything is measured: measuring takes long."""
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise _WrongUseError(f"{path} cannot be written; pass a file in a folder that exists.")


def _write(options: argparse.Namespace, found: Report | Ledger) -> None:
    if options.json is not None:
        write_atomically(options.json, found.to_json().encode())
    if options.html is not None and isinstance(found, Report):
        write_atomically(options.html, found.to_html().encode())
