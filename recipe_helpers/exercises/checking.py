"""`rh.check`: the twelve exercises, and the one call that judges an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..common import settings
from ..common.checks import first_line
from ..common.language import N_
from ..recipe.model import SEED
from .answers import answered
from .integer_tasks import no_saturation, ruinous_input, step_in_integers
from .rounding_tasks import by_hand, per_channel
from .size_tasks import pareto, predicted_ratio, size_law
from .timing_tasks import controlled_benchmark, crossover
from .trained_tasks import culprit, keeps_accuracy
from .verdicts import Findings, NoAnswerError, Sentence, Verdict, WrongAnswerError

_TASKS = {
    "dynamic_quantization": (
        (size_law, "C2", N_("the law of file sizes"), N_("3. Size")),
        (crossover, "C17", N_("where INT8 starts to win"), N_("The law again, and the crossover")),
        (predicted_ratio, "C13", N_("predict a ratio of sizes, then measure it"), "3. Size"),
        (by_hand, "C1", N_("quantize by hand"), N_("Scaling and rounding")),
        (controlled_benchmark, "C16", N_("a benchmark with a control"), N_("4. Latency")),
    ),
    "trained_models": (
        (keeps_accuracy, "C18", N_("is the accuracy kept"), N_("More widths, more seeds")),
        (pareto, "C13", N_("shrink or quantize"), N_("Shrink or quantize?")),
        (culprit, "C12", N_("which matrix breaks the model"), N_("A unit that nothing reads")),
    ),
    "under_the_hood": (
        (
            per_channel,
            "C7",
            N_("a scale for each channel"),
            N_("One scale for the matrix, or one for each row?"),
        ),
        (
            ruinous_input,
            "C6",
            N_("an input that ruins torch.ao"),
            N_("One activation scale for the sequence, for each step, or for each row?"),
        ),
        (
            no_saturation,
            "C9",
            N_("reduced range cannot saturate"),
            N_("Pairs of products in 16 bits"),
        ),
        (
            step_in_integers,
            "C10",
            N_("one step in integers"),
            N_("One step, and the whole sequence"),
        ),
    ),
}
_PLACE = N_('notebooks/{notebook}.ipynb, "{heading}"')
# What judges each, and what is said of it before there is an answer.
EXERCISES: dict[str, tuple[Callable[[Any], Findings], Verdict]] = {
    f"E{number}": (
        judge,
        Verdict(f"E{number}", title, claim, Sentence(_PLACE, notebook=notebook, heading=heading)),
    )
    for number, (notebook, (judge, claim, title, heading)) in enumerate(
        ((notebook, task) for notebook, tasks in _TASKS.items() for task in tasks), start=1
    )
}


def check(exercise: str, answer: Any = ...) -> Verdict:
    """Say what is right in an answer, what is not, and where to look; it gives nothing away.

    Whatever is wrong with the answer is told in a sentence: a wrong type, NaN, a function that
    raises or takes other arguments. Nothing is raised, also where there is no such exercise.

    Args:
        exercise: "E1" to "E12".
        answer: what the task asks for; `...`, or a function that returns nothing, stands for none.
    """
    if not isinstance(exercise, str) or exercise not in EXERCISES:
        message, known = N_("There is no exercise {name}; there are {known}."), ", ".join(EXERCISES)
        fault = Sentence(message, name=repr(exercise), known=known)
        return Verdict(str(exercise), N_("no exercise"), "", "exercises/", (), (fault,), True)
    judge, unanswered = EXERCISES[exercise]
    found: list[Sentence] = []
    try:
        with settings.seeded(SEED):
            for one in judge(answered(answer)):
                found.append(one)  # one by one: what was right before a fault is kept
    except NoAnswerError:
        return unanswered
    except WrongAnswerError as fault:
        found.append(fault)
    except Exception as error:  # noqa: BLE001  (an answer so strange that a check stumbles over it)
        kind, what = type(error).__name__, first_line(error)
        found.append(
            WrongAnswerError("The answer cannot be read: {kind}, {what}.", kind=kind, what=what)
        )
    faults = tuple(one for one in found if isinstance(one, WrongAnswerError))
    correct = tuple(one for one in found if one not in faults)
    return replace(unanswered, correct=correct, faults=faults, answered=True)
