"""The command line: `python -m recipe_helpers report package.module:factory`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from int8_rnn.files import write_atomically

from ..common import checks
from ..common.errors import RecipeError
from ..common.language import _
from ..recipe.latency import BUDGET_S
from ..recipe.ledger import Ledger, measure_ledger
from ..recipe.model import LAYERS, SEQUENCE_LENGTH, WIDTH, demonstration
from .candidates import EVERY_WAY, WAYS
from .promises import MAX_RELATIVE_ERROR, Limits, flag
from .report import Report, report

WITHIN, OUTSIDE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "python -m recipe_helpers"

_FACTORY = """\
    def factory():
        model = Tagger()
        model.load_state_dict(torch.load("tagger.pt", weights_only=True))
        return model.eval(), (tokens, lengths)
"""
_EXAMPLES = """\
  python -m recipe_helpers report tagger.export:factory
  python -m recipe_helpers report tagger:factory --backend plain --threads 1 --html report.html
  python -m recipe_helpers report tagger:factory --max-relative-error 0.02 --min-size-ratio 3 \\
      --min-speedup 0 --json report.json
"""


class WrongUseError(RecipeError):
    """What was asked for on the command line cannot be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: the words after `python -m recipe_helpers`; those of the process unless given.
    """
    options = parser().parse_args(arguments)
    try:
        for path in (options.json, options.html):
            _refuse_unwritable(path)
        found: Report | Ledger = options.run(options)
        if options.json is not None:
            write_atomically(options.json, found.to_json().encode())
        if options.html is not None and isinstance(found, Report):
            write_atomically(options.html, found.to_html().encode())
        _say(str(found))
    except (RecipeError, OSError) as error:
        print(f"{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print(_("{program}: interrupted.", program=PROGRAM), file=sys.stderr)
        return INTERRUPTED
    judged = options.run is _report and isinstance(found, Report)
    return OUTSIDE if judged and not found.passed else WITHIN


def parser() -> argparse.ArgumentParser:
    """What may be written after `python -m recipe_helpers`, and its help."""
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description=_(
            "Quantize a PyTorch model to INT8 dynamically, measure what that does, and judge."
        ),
        epilog=_("Each command has its own help: python -m recipe_helpers report --help"),
    )
    commands = made.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)
    judged = commands.add_parser(
        "report",
        help=_("measure and judge a model of your own"),
        description=_(
            "Quantize a model of your own in several ways; measure size, speed and output;\n"
            "say whether to ship INT8, ship it with some modules left FP32, or keep FP32."
        ),
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    judged.add_argument("factory", metavar="MODULE:FUNCTION", help=_("what makes model and inputs"))
    judged.set_defaults(run=_report)
    shown = commands.add_parser(
        "recipe",
        aliases=["demo"],
        help=_("measure and judge the recipe's own model"),
        description=_(
            "Quantize the recipe's LSTM and print size, speed, accuracy and the verdict.\n"
            "The exit status is 0 whatever the verdict is."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, value, what in (
        ("--width", WIDTH, _("units of the LSTM")),
        ("--layers", LAYERS, _("layers of the LSTM")),
        ("--steps", SEQUENCE_LENGTH, _("time steps in its input")),
    ):
        shown.add_argument(
            name, type=int, metavar="N", default=value, help=_with_default(what, value)
        )
    shown.set_defaults(run=_recipe)
    for command in (judged, shown):
        _add_measuring(command.add_argument_group(_("how to measure")))
        _add_limits(command.add_argument_group(_("limits")))
        output = command.add_argument_group(_("output"))
        _add_file(output, "--json", _("write all numbers as JSON"))
        _add_file(output, "--html", _("write a page with the figure"))
    ledger = commands.add_parser(
        "ledger",
        help=_("judge every claim of the recipe on this machine"),
        description=_(
            "Measure every claim of the recipe on this machine, which takes about twenty seconds "
            "on one thread, and print the ledger. The file says what kind of machine this is and "
            "what it measured; it holds no name of host or user and no path."
        ),
    )
    _add_file(ledger, "--json", _("write all findings as JSON"))
    quickly = _("measure for a tenth of the time, for a first look")
    ledger.add_argument("--quickly", action="store_true", help=quickly)
    ledger.set_defaults(run=lambda options: measure_ledger(quickly=options.quickly), html=None)
    return made


def _add_measuring(how: Any) -> None:
    said = _("a conversion to try; may be given more than once; all but onnxruntime if not")
    how.add_argument("--backend", action="append", choices=EVERY_WAY, help=said)
    said = _("threads to judge the speed on; as many as PyTorch takes if not given")
    how.add_argument("--threads", type=int, metavar="N", help=said)
    said = _with_default(_("time for each timing"), BUDGET_S)
    how.add_argument("--budget", type=float, default=BUDGET_S, metavar="SECONDS", help=said)
    said = _("do not measure memory, which takes a process of its own for each model")
    how.add_argument("--no-memory", dest="memory", action="store_false", help=said)
    said = _("the output whose highest number in each row counts, as output[0]")
    how.add_argument("--scores", metavar="OUTPUT", help=said)


def _add_limits(limits: Any) -> None:
    for one in dataclasses.fields(Limits):
        said = _with_default(_(one.metadata["meaning"]), one.default)
        limits.add_argument(flag(one.name), type=float, default=one.default, metavar="X", help=said)


def _add_file(group: Any, name: str, what: str) -> None:
    group.add_argument(name, type=Path, metavar="FILE", help=what)


def _with_default(what: str, value: Any) -> str:
    """The help of a flag and its default, as argparse wants it: with each percent sign twice."""
    if value is None:
        said = _(
            "{what} (default: {value}, or none with a metric)", what=what, value=MAX_RELATIVE_ERROR
        )
    else:
        said = _("{what} (default: {value})", what=what, value=f"{value:g}")
    return said.replace("%", "%%")


def _epilog() -> str:
    """What stands below the help of `report`."""
    factory = _(
        "the factory:\n"
        "  a function without arguments that returns the model and its inputs, as in\n"
        "\n"
        "{factory}\n"
        "  The inputs are a tuple of positional arguments, a dict of keyword arguments, one "
        "tensor, or a\n"
        "  list of such for several sets of inputs. A third value, if there is one, is the metric: "
        "a\n"
        "  function of a model that returns a number, the larger the better.",
        factory=_FACTORY,
    )
    status = _(
        "exit status:\n"
        "  0  a conversion keeps within the limits (as a whole, or with the named modules left "
        "FP32)\n"
        "  1  none does\n"
        "  2  wrong use; the last line on stderr says what is wrong"
    )
    return "\n".join((factory, "", _("examples:"), _EXAMPLES, status, ""))


def _report(options: argparse.Namespace) -> Report:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        model, inputs, metric = (*pkgutil.resolve_name(options.factory)(), None)[:3]
    except (Exception, SystemExit) as error:  # a factory may raise what it likes
        raise WrongUseError(
            "{named!r} gives no model and inputs ({kind}: {error}); pass MODULE:FUNCTION, as "
            "tagger:factory, a function that returns the two, and the metric if there is one.",
            named=options.factory,
            kind=type(error).__name__,
            error=checks.first_line(error),
        ) from error
    return _judged(options, model, inputs if isinstance(inputs, list) else [inputs], metric)


def _recipe(options: argparse.Namespace) -> Report:
    demo = demonstration(width=options.width, layers=options.layers, sequence_length=options.steps)
    return _judged(options, demo.model, [demo.arguments], None)


def _judged(options: argparse.Namespace, model: Any, sets: list[Any], metric: Any) -> Report:
    return report(
        model,
        input_sets=[one if isinstance(one, tuple | dict) else (one,) for one in sets],
        backends=options.backend or tuple(WAYS),
        metric=metric,
        scores=options.scores,
        threads=options.threads,
        budget_s=options.budget,
        memory=options.memory,
        **limits_of(options),
    )


def limits_of(options: argparse.Namespace) -> dict[str, Any]:
    """The limits that were given on the command line, or their defaults."""
    return {one.name: getattr(options, one.name) for one in dataclasses.fields(Limits)}


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
        raise WrongUseError(
            "{path} cannot be written; pass a file in a folder that exists.", path=path
        )
