"""`rh.check`: the twelve exercises, and the one call that judges an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..common import settings
from ..common.checks import first_line
from ..common.language import N_, Text
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
        return Text(
            'notebooks/{notebook}.ipynb, "{heading}"',
            notebook=self.notebook,
            heading=Text(self.heading),
        )


EXERCISES = {
    "E1": Exercise(
        N_("predict a ratio of sizes, then measure it"),
        "C13",
        RECIPE,
        N_("3. Size"),
        predicted_ratio,
    ),
    "E2": Exercise(N_("where INT8 starts to win"), "C17", RECIPE, N_("The crossover"), crossover),
    "E3": Exercise(N_("the law of file sizes"), "C2", RECIPE, N_("3. Size"), size_law),
    "E4": Exercise(N_("quantize by hand"), "C1", RECIPE, N_("Scaling and rounding"), by_hand),
    "E5": Exercise(
        N_("a benchmark with a control"), "C16", RECIPE, N_("4. Latency"), controlled_benchmark
    ),
    "E6": Exercise(
        N_("is the accuracy kept"), "C18", TRAINED, N_("More widths, more seeds"), keeps_accuracy
    ),
    "E7": Exercise(N_("shrink or quantize"), "C13", TRAINED, N_("Shrink or quantize?"), pareto),
    "E8": Exercise(
        N_("which matrix breaks the model"),
        "C12",
        TRAINED,
        N_("A unit that nothing reads"),
        culprit,
    ),
    "E9": Exercise(
        N_("a scale for each channel"),
        "C7",
        HOOD,
        N_("One scale for the matrix, or one for each row?"),
        per_channel,
    ),
    "E10": Exercise(
        N_("an input that ruins torch.ao"),
        "C6",
        HOOD,
        N_("One activation scale for the sequence, for each step, or for each row?"),
        ruinous_input,
    ),
    "E11": Exercise(
        N_("reduced range cannot saturate"),
        "C9",
        HOOD,
        N_("Pairs of products in 16 bits"),
        no_saturation,
    ),
    "E12": Exercise(
        N_("one step in integers"),
        "C10",
        HOOD,
        N_("One step, and the whole sequence"),
        step_in_integers,
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
        fault = Text(
            "There is no exercise {name}; there are {known}.",
            name=repr(exercise),
            known=", ".join(EXERCISES),
        )
        return Verdict(str(exercise), N_("no exercise"), "", "exercises/", faults=(fault,))
    notes = Notes()
    try:
        with settings.seeded(SEED):
            task.judge(answered(answer), notes)
    except NoAnswer:
        return Verdict(exercise, task.title, task.claim, task.where, answered=False)
    except WrongAnswer as fault:
        notes.wrong.append(fault.args[0])
    except Exception as error:  # noqa: BLE001  (an answer so strange that a check stumbles over it)
        notes.bad(
            "The answer cannot be read: {kind}, {what}.",
            kind=type(error).__name__,
            what=first_line(error),
        )
    correct, faults = tuple(dict.fromkeys(notes.right)), tuple(notes.wrong)
    return Verdict(exercise, task.title, task.claim, task.where, correct, faults)
