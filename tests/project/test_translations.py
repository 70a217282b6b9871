"""The catalogue and the code are in step, and what is missing or stale is named."""

import ast
import builtins
import re
from pathlib import Path

import pytest

from tools import translations

PACKAGE = Path(__file__).parents[2] / "recipe_helpers"


def test_every_message_has_its_translation():
    assert list(translations.problems("ko")) == []


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A catalogue of one's own, in step with a code of two messages."""
    wanted = {"It is {what}.", ("{count} dog", "{count} dogs")}
    monkeypatch.setattr(translations, "path_of", lambda code, suffix: tmp_path / f"{code}{suffix}")
    monkeypatch.setattr(translations, "messages_in_code", lambda: wanted)
    assert translations.main([]) == 1, "both have no translation yet"
    po, mo = tmp_path / "ko.po", tmp_path / "ko.mo"
    changed(po, 'It is {what}."\nmsgstr ""', 'It is {what}."\nmsgstr "{what}입니다."')
    changed(po, 'msgstr[0] ""', 'msgstr[0] "개 {count}마리"')
    assert translations.main([]) == 0
    return po, mo, wanted


def changed(path, before, after):
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def said(*problems):
    """Each of these is what the tool has to say, in its order, and nothing else."""
    found = list(translations.problems("ko"))
    assert len(found) == len(problems), found
    return all(one in line for one, line in zip(problems, found, strict=True))


def test_a_message_that_is_new_or_has_lost_its_translation(catalogue):
    po, _, wanted = catalogue
    wanted.add("Nobody has said this before")
    assert said("not in the catalogue: 'Nobody has said this before'")
    assert translations.main([]) == 1
    assert said("without a translation: 'Nobody has said this before'")
    wanted.remove("Nobody has said this before")
    assert translations.main([]) == 0
    changed(po, "개 {count}마리", "")
    assert said("without a translation: ('{count} dog', '{count} dogs')", "older than the .po")


def test_a_message_that_has_changed_takes_the_old_translation_along_as_a_guess(catalogue):
    po, _, wanted = catalogue
    wanted.remove("It is {what}.")
    assert said("no longer in the code: 'It is {what}.'")
    wanted.add("It was {what}.")
    assert [translations.main([]), translations.main([])] == [1, 1]
    assert said("fuzzy, to be looked over: 'It was {what}.'")
    assert "It is" not in po.read_text("utf-8")
    changed(po, "#, fuzzy\n", "")
    assert translations.main([]) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{what}입", "{that}입"),
        ("{what}입", "입"),
        ("{count}마", "{count:,}마"),
        ("{what}입", "{{}}입"),
    ],
)
def test_other_values_in_braces(catalogue, before, after):
    changed(catalogue[0], before, after)
    translations.main([])
    assert said("other values in braces")


def test_a_catalogue_that_was_not_compiled_or_not_written_by_the_tool(catalogue):
    po, mo, _ = catalogue
    changed(po, "{what}입니다", "{what}이었습니다")
    translations.main(["--check"])
    assert said("the .mo is older than the .po"), "--check writes nothing"
    translations.main([])
    changed(po, 'msgid "It', '#: somewhere.py:12\nmsgid "It')
    assert said("not as the tool writes it")
    before = mo.read_bytes()
    assert translations.main([]) == 0
    assert mo.read_bytes() == before


def test_the_messages_are_found_in_every_way_of_saying_them(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "module.py").write_text(
        """
_("a text"), _("a sentence " "in two parts", x=1), N_("a mark"), g("no message")
plural("1", "2", n, of=_("inner {x}", x=g("x")))
_("outer {x}", x=g("x", _("behind a call"))), f"{_('in an f-string')}: {x}"
""",
        "utf-8",
    )
    assert translations.messages_in_code(tmp_path) == {
        "a text",
        "a sentence in two parts",
        "a mark",
        "inner {x}",
        "outer {x}",
        "behind a call",
        "in an f-string",
        ("1", "2"),
    }


def calls_in(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def faults(source):
    """What would keep a message from the catalogue, or `_` from being the function."""
    tree = ast.parse(source)
    imports_it = any(
        alias.name == "_"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    for node in ast.walk(tree):
        stored = isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store)
        if imports_it and (stored or (isinstance(node, ast.arg) and node.arg == "_")):
            yield f"line {node.lineno}: `_` is given another meaning"
    for call in calls_in(tree):
        for message in translations.said_by(call):
            constant = isinstance(message, ast.Constant) or re.fullmatch(
                r"[\w.]+(\[.*\])?", ast.unparse(message)
            )
            if isinstance(message, ast.JoinedStr) or not (constant or not call.keywords):
                yield f"line {call.lineno}: a message is a literal string"


SPEAKING = [path for path in sorted(PACKAGE.rglob("*.py")) if path.stem != "language"]


def test_messages_are_literals_and_nothing_else_is_called_underscore():
    assert len(SPEAKING) > 50
    found = {path.name: list(faults(path.read_text("utf-8"))) for path in SPEAKING}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "_(f'{x} bytes')",
        "_('a' + x, x=x)",
        "raise ArgumentError(f'{x} is bad.')",
        "for _ in range(3):\n    pass",
        "def f(**_): pass",
        "a, _ = f()",
        "plural('one', f'{n} many', n)",
    ],
)
def test_such_a_message_would_be_seen(line):
    assert list(faults(f"from .language import _, plural\n{line}"))


# What reads like a sentence and is none of ours to say, or is said to nobody.
UNSAID = {
    "common/settings.py": r"torch.*is deprecated",
    "deployment/server.py": r".*",  # the server's answers over HTTP, to a program
    "exercises/timing_tasks.py": r"the models were called | times without an end",
    "explorer/page.py": r"<style>.*",
    "your_model/arguments.py": r"  python -m recipe_helpers .*",
    "your_model/command_line.py": r"  python -m recipe_helpers .*",
    "your_model/measurement.py": r"the converted model",  # in the cause of an error
    "your_model/page.py": r"\n:root.*",
    "": r"outside (lower|right) center",  # where Matplotlib puts a legend
}
THREE_WORDS = re.compile(r"[a-z]{2,}[ ,:;]+[a-z]{2,}[ ,:;]+[a-z]{2,}")


def unsaid(source):
    """Texts of three words and more that are no message, no docstring and no comment."""
    tree = ast.parse(source)
    said = {id(part) for call in calls_in(tree) for part in translations.said_by(call)}
    said |= {
        id(part)  # of Python's own errors, which are for those who write code
        for call in calls_in(tree)
        if re.fullmatch(r"[A-Z]\w*Error", ast.unparse(call.func))
        and hasattr(builtins, ast.unparse(call.func))
        for part in ast.walk(call)
    }
    said |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in said and THREE_WORDS.search(node.value):
            yield node.value


def test_every_sentence_is_a_message():
    left = []
    for path in SPEAKING:
        name = path.relative_to(PACKAGE).as_posix()
        allowed = [pattern for start, pattern in UNSAID.items() if name.startswith(start)]
        left += [
            (name, text)
            for text in unsaid(path.read_text("utf-8"))
            if not any(re.fullmatch(pattern, text, re.DOTALL) for pattern in allowed)
        ]
    assert left == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("x = 'it is not said'", 1),
        ("f(f'{x} of the three')", 1),
        ("{'a': _('one two', 'it is not b')}", 1),
        ("raise ArgumentError('it is a message', x='it is not b')", 1),
        ("'it is a docstring'\n_('it is a message')\nplural('it is one', 'it is many', n)", 0),
    ],
)
def test_such_a_sentence_would_be_seen(line, count):
    assert len(list(unsaid(line))) == count
