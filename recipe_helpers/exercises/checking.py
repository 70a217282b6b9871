"""`rh.check`: the twelve exercises, and the one call that judges an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..common import settings
from ..common.checks import first_line
from ..recipe.model import SEED
from .answers import answered
from .hood_tasks import no_saturation, ruinous_input, step_in_integers
from .rounding_tasks import by_hand, per_channel
from .size_tasks import pareto, predicted_ratio, size_law
from .timing_tasks import controlled_benchmark, crossover
from .trained_tasks import culprit, keeps_accuracy
from .verdicts import NoAnswer, Notes, Verdict, WrongAnswer

RECIPE, TRAINED, HOOD = "dynamic_quantization", "trained_models", "under_the_hood"


@dataclass(frozen=True)
class Exercise:
    """One task: the claim it belongs to, where the notebooks speak of it, and what judges it."""

    title: str
    claim: str
    notebook: str
    heading: str
    judge: Callable[[Any, Notes], None]

    @property
    def where(self) -> str:
        """Notebook and section, for a reader."""
        return f'notebooks/{self.notebook}.ipynb, "{self.heading}"'


EXERCISES = {
    "E1": Exercise(
        "predict a ratio of sizes, then measure it", "C13", RECIPE, "3. Size", predicted_ratio
    ),
    "E2": Exercise("where INT8 starts to win", "C17", RECIPE, "The crossover", crossover),
    "E3": Exercise("the law of file sizes", "C2", RECIPE, "3. Size", size_law),
    "E4": Exercise("quantize by hand", "C1", RECIPE, "Scaling and rounding", by_hand),
    "E5": Exercise("a benchmark with a control", "C16", RECIPE, "4. Latency", controlled_benchmark),
    "E6": Exercise(
        "is the accuracy kept", "C18", TRAINED, "More widths, more seeds", keeps_accuracy
    ),
    "E7": Exercise("shrink or quantize", "C13", TRAINED, "Shrink or quantize?", pareto),
    "E8": Exercise(
        "which matrix breaks the model", "C12", TRAINED, "A unit that nothing reads", culprit
    ),
    "E9": Exercise(
        "a scale for each channel",
        "C7",
        HOOD,
        "One scale for the matrix, or one for each row?",
        per_channel,
    ),
    "E10": Exercise(
        "an input that ruins torch.ao",
        "C6",
        HOOD,
        "One activation scale for the sequence, for each step, or for each row?",
        ruinous_input,
    ),
    "E11": Exercise(
        "reduced range cannot saturate", "C9", HOOD, "Pairs of products in 16 bits", no_saturation
    ),
    "E12": Exercise(
        "one step in integers", "C10", HOOD, "One step, and the whole sequence", step_in_integers
    ),
}


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
        known = ", ".join(EXERCISES)
        fault = f"There is no exercise {exercise!r}; there are {known}."
        return Verdict(str(exercise), "no exercise", "", "exercises/", faults=(fault,))
    notes = Notes()
    try:
        with settings.seeded(SEED):
            task.judge(answered(answer), notes)
    except NoAnswer:
        return Verdict(exercise, task.title, task.claim, task.where, answered=False)
    except WrongAnswer as fault:
        notes.wrong.append(str(fault))
    except Exception as error:  # noqa: BLE001  (an answer so strange that a check stumbles over it)
        notes.bad(
            "The answer cannot be read: {kind}, {what}.",
            kind=type(error).__name__,
            what=first_line(error),
        )
    correct, faults = tuple(dict.fromkeys(notes.right)), tuple(notes.wrong)
    return Verdict(exercise, task.title, task.claim, task.where, correct, faults)
