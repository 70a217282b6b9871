"""`rh.check`: the twelve exercises, and the one call that judges an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..common import settings
from ..common.checks import first_line
from ..common.language import N_, Text
from ..common.wording import as_text
from ..recipe.model import SEED
from .answers import answered
from .integer_tasks import no_saturation, ruinous_input, step_in_integers
from .rounding_tasks import by_hand, per_channel
from .size_tasks import pareto, predicted_ratio, size_law
from .timing_tasks import controlled_benchmark, crossover
from .trained_tasks import culprit, keeps_accuracy
from .verdicts import Finding, NoAnswerError, Verdict, WrongAnswerError

RECIPE, TRAINED, HOOD = "dynamic_quantization", "trained_models", "under_the_hood"


@dataclass(frozen=True)
class Exercise:
    """One task: what judges it, its title, its claim, and where the notebooks speak of it."""

    judge: Callable[[Any], Iterator[Finding]]
    title: str
    claim: str
    notebook: str
    heading: str

    @property
    def where(self) -> Text:
        """Notebook and section, for a reader."""
        return Text(
            'notebooks/{notebook}.ipynb, "{heading}"',
            notebook=self.notebook,
            heading=Text(self.heading),
        )


_TASKS = (
    (size_law, N_("the law of file sizes"), "C2", RECIPE, N_("3. Size")),
    (
        crossover,
        N_("where INT8 starts to win"),
        "C17",
        RECIPE,
        N_("The law again, and the crossover"),
    ),
    (predicted_ratio, N_("predict a ratio of sizes, then measure it"), "C13", RECIPE, "3. Size"),
    (by_hand, N_("quantize by hand"), "C1", RECIPE, N_("Scaling and rounding")),
    (controlled_benchmark, N_("a benchmark with a control"), "C16", RECIPE, N_("4. Latency")),
    (keeps_accuracy, N_("is the accuracy kept"), "C18", TRAINED, N_("More widths, more seeds")),
    (pareto, N_("shrink or quantize"), "C13", TRAINED, N_("Shrink or quantize?")),
    (culprit, N_("which matrix breaks the model"), "C12", TRAINED, N_("A unit that nothing reads")),
    (
        *(per_channel, N_("a scale for each channel"), "C7", HOOD),
        N_("One scale for the matrix, or one for each row?"),
    ),
    (
        *(ruinous_input, N_("an input that ruins torch.ao"), "C6", HOOD),
        N_("One activation scale for the sequence, for each step, or for each row?"),
    ),
    (
        *(no_saturation, N_("reduced range cannot saturate"), "C9", HOOD),
        N_("Pairs of products in 16 bits"),
    ),
    (
        *(step_in_integers, N_("one step in integers"), "C10", HOOD),
        N_("One step, and the whole sequence"),
    ),
)
EXERCISES = {f"E{number}": Exercise(*task) for number, task in enumerate(_TASKS, start=1)}


def check(exercise: str, answer: Any = ...) -> Verdict:
    """Say what is right in an answer, what is not, and where to look; it gives nothing away.

    Whatever is wrong with the answer is told in a sentence: a wrong type, NaN, a function that
    raises or takes other arguments. Nothing is raised, also where there is no such exercise.

    Args:
        exercise: "E1" to "E12".
        answer: what the task asks for; `...`, or a function that returns nothing, stands for none.
    """
    task = EXERCISES.get(exercise) if isinstance(exercise, str) else None
    if task is None:
        fault = Text(
            "There is no exercise {name}; there are {known}.",
            name=repr(exercise),
            known=", ".join(EXERCISES),
        )
        return Verdict(str(exercise), N_("no exercise"), "", "exercises/", faults=(fault,))
    found: list[Finding] = []
    try:
        with settings.seeded(SEED):
            for one in task.judge(answered(answer)):
                found.append(one)  # one by one: what was right before a fault is kept
    except NoAnswerError:
        return Verdict(exercise, task.title, task.claim, task.where, answered=False)
    except WrongAnswerError as fault:
        found.append(fault)
    except Exception as error:  # noqa: BLE001  (an answer so strange that a check stumbles over it)
        found.append(
            WrongAnswerError(
                "The answer cannot be read: {kind}, {what}.",
                kind=type(error).__name__,
                what=first_line(error),
            )
        )
    correct = tuple(one for one in found if isinstance(one, Text))
    faults = tuple(as_text(one) for one in found if isinstance(one, WrongAnswerError))
    return Verdict(exercise, task.title, task.claim, task.where, correct, faults)
