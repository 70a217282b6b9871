"""The exercises: the students' version is made from the solutions, and gives none of them away."""

import re
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager

import recipe_helpers as rh
from recipe_helpers.exercises.checking import EXERCISES
from recipe_helpers.exercises.verdicts import Verdict

from .tool import tool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "exercises" / "solutions"
SOLUTIONS, KOREAN = (sorted(FOLDER.glob(names)) for names in ("*.ipynb", "ko/*.ipynb"))
exercises, korean = tool("exercises"), tool("korean")


def named(path):
    return path.relative_to(FOLDER).as_posix()


@pytest.fixture(params=[*SOLUTIONS, *KOREAN], ids=named)
def solution(request):
    return nbformat.read(request.param, as_version=4)


def student(path):
    return nbformat.read(ROOT / "exercises" / path.relative_to(FOLDER), as_version=4)


def test_there_is_a_students_version_of_each_and_no_other():
    found = [path.relative_to(ROOT / "exercises") for path in ROOT.glob("exercises/**/*.ipynb")]
    made = {path.as_posix() for path in found if path.parts[0] != "solutions"}
    assert made == {named(path) for path in [*SOLUTIONS, *KOREAN]}
    assert len(made) == 6


@pytest.mark.parametrize("path", [*SOLUTIONS, *KOREAN], ids=named)
def test_the_students_version_is_what_the_tool_makes(path):
    held = (ROOT / "exercises" / path.relative_to(FOLDER)).read_text(encoding="utf-8")
    assert held == exercises.students_text(path), "run `make exercises`"
    assert ("<b>힌트</b>" in held) == (path in KOREAN)
    assert ("<b>Hint</b>" in held) != (path in KOREAN)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_korean_solutions_are_in_step(path):
    assert korean.differences(*korean.pair(f"exercises/solutions/{path.stem}")) == []


def test_each_exercise_has_a_task_a_hint_a_solution_and_a_check_in_this_order():
    found = []
    for path in SOLUTIONS:
        kinds, current = [], None
        for cell in nbformat.read(path, as_version=4).cells:
            if heading := re.match(r"## (E\d+)\. ", cell.source):
                current = heading[1]
                kinds = ["task"]
            tags = cell.metadata.get("tags", [])
            kinds += [tag for tag in ("hint", "solution") if tag in tags]
            if check := re.match(r'rh\.check\("(E\d+)", \(?[a-z]', cell.source):
                assert check[1] == current
                assert list(dict.fromkeys(kinds)) == ["task", "hint", "solution"]
                found.append(current)
    assert sorted(found, key=list(EXERCISES).index) == list(EXERCISES)


def test_every_stored_check_of_a_solution_says_right(solution):
    checks = [cell for cell in solution.cells if cell.source.startswith("rh.check(")]
    assert checks
    for cell in checks:
        (output,) = cell.outputs
        assert re.match(r"E\d+: (right|맞음)\s", output.data["text/plain"]), cell.source


@pytest.mark.parametrize("path", [*SOLUTIONS, *KOREAN], ids=named)
def test_no_line_of_a_solution_is_handed_out(path):
    handed_out = {line.strip() for cell in student(path).cells for line in cell.source.splitlines()}
    solved, given = set(), set()
    for cell in nbformat.read(path, as_version=4).cells:
        mine = solved if "solution" in cell.metadata.get("tags", []) else given
        mine |= {line.strip() for line in cell.source.splitlines()}
    secret = {line for line in solved - given if not re.match(r'def |"""|# ', line)}
    assert len(secret) > 20
    assert secret & handed_out == set()


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_students_version_runs_and_nothing_is_answered_yet(path):
    """From top to bottom, each cell as a notebook would run it; nbval does not."""
    verdicts, names = [], {"get_ipython": lambda: None}
    for cell in student(path).cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count, cell.metadata) == ([], None, {})
            code = TransformerManager().transform_cell(cell.source)
            if cell.source.startswith("rh.check("):
                verdicts.append(eval(code, names))
            elif "rh.digit_study" not in code:  # it takes long, and is for after an answer
                with torch.enable_grad():
                    exec(code, names)
    assert len(verdicts) >= 3
    for verdict in verdicts:
        assert isinstance(verdict, Verdict)
        assert verdict.verdict == "not yet answered"


@pytest.mark.parametrize("path", [*SOLUTIONS, *KOREAN], ids=named)
def test_links_of_the_students_version_lead_somewhere(path):
    for cell in student(path).cells:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", cell.source):
            place = ROOT / "exercises" / path.relative_to(FOLDER).parent / target
            assert place.exists(), target


def test_what_the_teacher_is_told_to_use_is_there():
    guide = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
    assert "](TEACHING.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`rh\.(\w+)", guide):
        assert hasattr(rh, name), name
    for path in re.findall(r"`((?:notebooks|exercises|recipe_helpers)/[\w/.]+)`", guide):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(\w+\.ipynb)`", guide):
        assert (ROOT / "notebooks" / name).exists(), name
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.*)$", guide, re.M)}
    plain = {re.sub(r"[^\w-]", "", heading) for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", guide)) <= plain
    assert set(re.findall(r"\*\*(E\d+)\*\*", guide)) <= set(EXERCISES)


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
'''


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"answer"}, "# Say what it is.\nanswer = ..."),
        ({"answer", "other"}, "# Say what it is.\nanswer = ...\nother = ..."),
        (
            {"asked"},
            "# Say what it is.\ndef asked(\n    x, y=2\n):\n"
            '    """What comes, and what goes."""\n    ...',
        ),
        ({"nothing", "SECRETS"}, "# Say what it is.\n..."),
    ],
)
def test_what_is_left_of_a_solution(wanted, left):
    assert exercises.stub(SOURCE.strip(), wanted) == left


def test_without_a_comment_nothing_is_left_of_what_nobody_uses():
    assert exercises.stub(SOURCE.partition("\n# Say what it is.\n")[2], {"nothing"}) == ""


def test_no_question_is_lost_and_the_study_and_the_imports_are_of_use():
    """A question stands above three dots; what a plain cell makes or imports is named again."""
    for path in SOLUTIONS:
        cells = student(path).cells
        asked = [c.source for c in nbformat.read(path, 4).cells if c.source.rstrip().endswith("?")]
        assert all(any(q.split("](")[0] in c.source for c in cells) for q in asked)
    trained = [cell.source for cell in student(FOLDER / "trained_models.ipynb").cells]
    assert any(s.startswith("And what does") and "study.of(8)" in s for s in trained)
    assert sum(s.endswith("\n...") for s in trained) == 2, "a question each of E6 and E7"
    recipe = [cell.source for cell in student(FOLDER / "recipe.ipynb").cells]
    assert any("time.perf_counter" in s and s.startswith("Try your benchmark") for s in recipe)


def test_only_what_later_plain_cells_use_is_left():
    new = nbformat.v4.new_code_cell
    cells = [
        new("early = late"),
        new("late = 1\nunused = 2", metadata={"tags": ["solution"]}),
        new("unused + 1", metadata={"tags": ["solution"]}),
        nbformat.v4.new_markdown_cell(
            "A [link](../../notebooks/a.ipynb).", metadata={"tags": ["hint"]}
        ),
        nbformat.v4.new_markdown_cell("For teachers.", metadata={"tags": ["solution"]}),
        new(
            "%matplotlib inline\nlate",
            metadata={"tags": ["nbval-ignore-output"]},
            execution_count=4,
        ),
    ]
    cells[-1].outputs = [nbformat.v4.new_output("stream", text="1")]
    made = exercises.student_version(nbformat.v4.new_notebook(cells=cells))
    sources = [cell.source for cell in made.cells]
    assert sources[:2] == ["early = late", "late = ..."]
    assert sources[2].startswith("<details>")
    assert "A [link](../notebooks/a.ipynb)." in sources[2]
    assert sources[3:] == ["%matplotlib inline\nlate"]
    assert (made.cells[-1].outputs, made.cells[-1].execution_count) == ([], None)
    assert cells[-1].outputs, "the solution itself is left as it was"
