"""The exercises: the students' version is made from the solutions, and gives none of them away."""

import re

import nbformat
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager

import recipe_helpers as rh
from recipe_helpers.exercises.checking import EXERCISES
from recipe_helpers.exercises.verdicts import Verdict

from .files import ROOT, SOLUTIONS, code, language, named, plain, prose, read, tags, text, tool

ENGLISH, KOREAN = (sorted(SOLUTIONS.glob(names)) for names in ("*.ipynb", "ko/*.ipynb"))
MINUTES = {"Ten": "10", "Fifteen": "15", "Twenty": "20", "Half an hour": "30"}
EXERCISE = re.compile(r"## (E\d+)\. .*(?:\n\n\*(.*?)(?: minutes|분)?\.\*)")
exercises = tool("exercises")


def handed_out(path):
    """The students' version of a solution."""
    return ROOT / "exercises" / path.relative_to(SOLUTIONS)


@pytest.fixture(params=[*ENGLISH, *KOREAN], ids=named)
def path(request):
    return request.param


def test_there_is_a_students_version_of_each_and_no_other():
    made = {path for path in ROOT.glob("exercises/**/*.ipynb") if SOLUTIONS not in path.parents}
    assert made == set(map(handed_out, [*ENGLISH, *KOREAN]))
    assert len(made) == 6


def test_the_students_version_is_what_the_tool_makes_and_holds_no_line_of_a_solution(path):
    held = text(handed_out(path))
    assert held == exercises.students_text(path), "run `make exercises`"
    assert f"<b>{exercises.HINTS[language(path)]}</b>" in held
    solved, given = set(), set()
    for cell in read(path).cells:
        mine = solved if "solution" in tags(cell) else given
        mine |= {line.strip() for line in cell.source.splitlines()}
    secret = {line for line in solved - given if not re.match(r'def |"""|# ', line)}
    assert len(secret) > 20
    lines = {line.strip() for c in read(handed_out(path)).cells for line in c.source.splitlines()}
    assert secret & lines == set()


def test_each_exercise_has_a_task_a_hint_a_solution_and_a_check_that_says_right(path):
    found, kinds, current = [], [], None
    for cell in read(path).cells:
        if heading := EXERCISE.match(cell.source):
            current, kinds = heading[1], ["task"]
        kinds += [tag for tag in ("hint", "solution") if tag in tags(cell)]
        if check := re.match(r'rh\.check\("(E\d+)", \(?[a-z]', cell.source):
            assert check[1] == current
            assert list(dict.fromkeys(kinds)) == ["task", "hint", "solution"]
            assert re.match(rf"{current}: (right|맞음)\s", plain(cell)), cell.source
            found.append(current)
    assert len(found) >= 3
    first = list(EXERCISES).index(found[0])
    assert found == list(EXERCISES)[first : first + len(found)]


@pytest.mark.parametrize("path", ENGLISH, ids=named)
def test_the_students_version_runs_and_nothing_is_answered_yet(path):
    """From top to bottom, each cell as a notebook would run it; nbval does not."""
    verdicts, names = [], {"get_ipython": lambda: None}
    for cell in code(read(handed_out(path))):
        assert (cell.outputs, cell.execution_count, cell.metadata) == ([], None, {})
        source = TransformerManager().transform_cell(cell.source)
        if cell.source.startswith("rh.check("):
            verdicts.append(eval(source, names))
        elif "rh.digit_study" not in source:  # it takes long, and is for after an answer
            with torch.enable_grad():
                exec(source, names)
    assert len(verdicts) >= 3
    assert {(type(one), one.verdict) for one in verdicts} == {(Verdict, "not yet answered")}


def test_what_the_teacher_is_told_to_use_is_there():
    guide = text("TEACHING.md")
    assert [n for n in re.findall(r"`rh\.(\w+)", guide) if not hasattr(rh, n)] == []
    paths = re.findall(r"`((?:notebooks|exercises|recipe_helpers)/[\w/.]+)`", guide)
    paths += [f"notebooks/{name}" for name in re.findall(r"`(\w+\.ipynb)`", guide)]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert set(re.findall(r"\*\*(E\d+)\*\*", guide)) <= set(EXERCISES)


def test_the_teacher_plans_the_minutes_that_the_students_are_told():
    """In the table of TEACHING, in the tasks, and in both languages."""
    for guide, paths in (("TEACHING.md", ENGLISH), ("TEACHING.ko.md", KOREAN)):
        planned = dict(re.findall(r"^\| (E\d+), .*? \| (\d+) \|", text(guide), re.M))
        tasks = [EXERCISE.match(cell.source) for path in paths for cell in prose(read(path))]
        told = {task[1]: MINUTES.get(task[2], task[2]) for task in tasks if task}
        assert list(planned) == list(EXERCISES)
        assert told == planned


# --- the tool itself ------------------------------------------------------------------------------

SOURCE = '''
# Say what it is.
import os
from math import pi

SECRET = 42
answer, other = pi * SECRET, os.getpid()


def helper(x):
    return x + SECRET


def asked(
    x, y=2
):
    """What comes, and what goes."""
    return helper(x) * y


def bare(z): return z
'''.strip()
ASKED = 'def asked(\n    x, y=2\n):\n    """What comes, and what goes."""\n    ...'


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"answer"}, "answer = ..."),
        ({"answer", "other"}, "answer = ...\nother = ..."),
        ({"answer", "asked"}, f"answer = ...\n\n{ASKED}"),
        ({"helper"}, "def helper(x):\n    ..."),
        ({"nothing", "SECRETS"}, "..."),
    ],
)
def test_what_is_left_of_a_solution(wanted, left):
    comment, _, rest = SOURCE.partition("\n")
    assert exercises.stub(SOURCE, wanted) == f"{comment}\n{left}"
    assert exercises.stub(rest, wanted) == ("" if left == "..." else left)


def test_no_question_is_lost_and_the_study_and_the_imports_are_of_use():
    """A question stands above three dots; what a plain cell makes or imports is named again."""
    left = {path.stem: [c.source for c in read(handed_out(path)).cells] for path in ENGLISH}
    for path in ENGLISH:
        asked = [c.source for c in read(path).cells if c.source.rstrip().endswith("?")]
        assert all(any(q.split("](")[0] in cell for cell in left[path.stem]) for q in asked)
    trained, recipe = left["trained_models"], left["recipe"]
    assert any(s.startswith("And what does") and "study.of(8)" in s for s in trained)
    assert sum(s.endswith("\n...") for s in trained) == 2, "a question each of E6 and E7"
    assert any("time.perf_counter" in s and s.startswith("Try your benchmark") for s in recipe)


def test_only_what_later_plain_cells_use_is_left():
    new = nbformat.v4.new_code_cell
    tagged = {tag: {"tags": [tag]} for tag in ("solution", "hint", "nbval-ignore-output")}
    link = "A [link](../../notebooks/a.ipynb)."
    cells = [
        new("early = unused"),
        new("late = 1\nunused = 2", metadata=tagged["solution"]),
        new("unused + 1", metadata=tagged["solution"]),
        nbformat.v4.new_markdown_cell(link, metadata=tagged["hint"]),
        nbformat.v4.new_markdown_cell("For teachers.", metadata=tagged["solution"]),
        new("%matplotlib inline\nlate", metadata=tagged["nbval-ignore-output"], execution_count=4),
    ]
    cells[-1].outputs = [nbformat.v4.new_output("stream", text="1")]
    made = exercises.student_version(nbformat.v4.new_notebook(cells=cells))
    first, second, hint, last = (cell.source for cell in made.cells)
    assert [first, second, last] == ["early = unused", "late = ...", "%matplotlib inline\nlate"]
    assert hint.startswith("<details>\n<summary><b>Hint</b>")
    assert "A [link](../notebooks/a.ipynb)." in hint
    assert (made.cells[-1].outputs, made.cells[-1].execution_count) == ([], None)
    assert cells[-1].outputs, "the solution itself is left as it was"
