"""The command line: what may be written after `python -m recipe_helpers`, and its help."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from ..common.language import _
from ..recipe.latency import BUDGET_S
from ..recipe.model import LAYERS, SEQUENCE_LENGTH, WIDTH
from .candidates import EVERY_WAY
from .promises import (
    MAX_METRIC_DROP,
    MAX_RELATIVE_ERROR,
    MIN_SIZE_RATIO,
    MIN_SPEEDUP,
    WORTH_SIZE_RATIO,
    WORTH_SPEEDUP,
)

WRONG_USE = 2

_FACTORY = """\
    def factory():
        model = Tagger()
        model.load_state_dict(torch.load("tagger.pt", weights_only=True))
        return model.eval(), (tokens, lengths)
"""

_COMMANDS = """\
  python -m recipe_helpers report tagger.export:factory
  python -m recipe_helpers report tagger:factory --backend plain --threads 1 --html report.html
  python -m recipe_helpers report tagger:factory --max-relative-error 0.02 --min-size-ratio 3 \\
      --min-speedup 0 --json report.json
"""


class _SaysUsage(argparse.HelpFormatter):
    """Writes "usage:" in the language in force, as argparse itself cannot."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Add the line of the usage."""
        super().add_usage(usage, actions, groups, _("usage: ") if prefix is None else prefix)


class _AsWritten(_SaysUsage, argparse.RawDescriptionHelpFormatter):
    """Leaves the line breaks of a description where they are."""


class Parser(argparse.ArgumentParser):
    """Speaks the language in force; says what is wrong in one sentence, and where help is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _SaysUsage, **options, "add_help": False})
        self._positionals.title = _("positional arguments")
        self._optionals.title = _("options")
        help_text = _("show this help message and exit")
        self.add_argument("-h", "--help", action="help", help=help_text)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end the program."""
        said = _("{program}: {message}; try {program} --help.", program=self.prog, message=message)
        self.exit(WRONG_USE, f"{said}\n")


def add_report(commands: Any) -> Parser:
    """The command `report`, for a model of one's own."""
    judged: Parser = commands.add_parser(
        "report",
        help=_("measure and judge a model of your own"),
        description=_(
            "Quantize a model of your own in several ways; measure size, speed and output;\n"
            "say whether to ship INT8, ship it with some modules left FP32, or keep FP32."
        ),
        epilog=_examples(),
        formatter_class=_AsWritten,
    )
    judged.add_argument("factory", metavar="MODULE:FUNCTION", help=_("what makes model and inputs"))
    _add_shared(judged)
    return judged


def _examples() -> str:
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
        "  2  wrong use; one sentence on stderr says what is wrong"
    )
    return "\n".join((factory, "", _("examples:"), _COMMANDS, status, ""))


def add_recipe(commands: Any) -> Parser:
    """The command `recipe`, for the recipe's own model."""
    shown: Parser = commands.add_parser(
        "recipe",
        aliases=["demo"],
        help=_("measure and judge the recipe's own model"),
        description=_(
            "Quantize the recipe's LSTM and print size, speed, accuracy and the verdict.\n"
            "The exit status is 0 whatever the verdict is."
        ),
        formatter_class=_AsWritten,
    )
    for name, value, text in (
        ("--width", WIDTH, _("units of the LSTM (default: %(default)s)")),
        ("--layers", LAYERS, _("layers of the LSTM (default: %(default)s)")),
        ("--steps", SEQUENCE_LENGTH, _("time steps in its input (default: %(default)s)")),
    ):
        shown.add_argument(name, type=int, default=value, metavar="N", help=text)
    _add_shared(shown)
    return shown


def add_ledger(commands: Any) -> Parser:
    """The command `ledger`, for the recipe's claims."""
    ledger: Parser = commands.add_parser(
        "ledger",
        help=_("judge every claim of the recipe on this machine"),
        description=_(
            "Measure every claim of the recipe on this machine, which takes about twenty seconds "
            "on one thread, and print the ledger. The file says what kind of machine this is and "
            "what it measured; it holds no name of host or user and no path."
        ),
    )
    ledger.add_argument("--json", type=Path, metavar="FILE", help=_("write all findings as JSON"))
    ledger.add_argument(
        "--quickly",
        action="store_true",
        help=_("measure for a tenth of the time, for a first look"),
    )
    return ledger


def _add_shared(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group(_("how to measure"))
    how.add_argument(
        "--backend",
        action="append",
        choices=EVERY_WAY,
        help=_("a conversion to try; may be given more than once (default: all but onnxruntime)"),
    )
    how.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help=_("threads to judge the speed on (default: as many as PyTorch takes)"),
    )
    how.add_argument(
        "--budget",
        type=float,
        default=BUDGET_S,
        metavar="SECONDS",
        help=_("time for each timing (default: %(default)s)"),
    )
    how.add_argument(
        "--no-memory",
        dest="memory",
        action="store_false",
        help=_("do not measure memory, which takes a process of its own for each model"),
    )
    _add_limits(parser.add_argument_group(_("limits")))
    output = parser.add_argument_group(_("output"))
    output.add_argument("--json", type=Path, metavar="FILE", help=_("write all numbers as JSON"))
    output.add_argument("--html", type=Path, metavar="FILE", help=_("write a page with the figure"))


def _add_limits(limits: Any) -> None:
    limits.add_argument(
        "--max-relative-error",
        type=float,
        metavar="X",
        help=_(
            "largest mean |difference| / mean |FP32| of an output tensor, 0.02 for 2 %% (default: "
            "{limit:g}, or none with a metric)",
            limit=MAX_RELATIVE_ERROR,
        ),
    )
    for name, value, text in (
        (
            "--min-size-ratio",
            MIN_SIZE_RATIO,
            _("FP32 bytes / INT8 bytes, at least (default: %(default)g)"),
        ),
        (
            "--min-speedup",
            MIN_SPEEDUP,
            _("FP32 time / INT8 time, at least; 0: speed is no matter (default: %(default)g)"),
        ),
        (
            "--max-metric-drop",
            MAX_METRIC_DROP,
            _("how much the metric may fall, as a share (default: %(default)g)"),
        ),
        (
            "--worth-size-ratio",
            WORTH_SIZE_RATIO,
            _("a gain is at least so many times smaller (default: %(default)g)"),
        ),
        (
            "--worth-speedup",
            WORTH_SPEEDUP,
            _("or at least so many times faster beyond doubt (default: %(default)g)"),
        ),
    ):
        limits.add_argument(name, type=float, default=value, metavar="X", help=text)
