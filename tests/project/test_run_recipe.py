"""What `make run` does with a notebook that works, that fails, and that is interrupted."""

import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from tools import korean

from .files import ROOT, tool

COMMAND = [sys.executable, ROOT / "tools" / "run_recipe.py"]
run_recipe = tool("run_recipe")
WAITS = "import pathlib, time\npathlib.Path('waiting').touch()\ntime.sleep(60)"


def written(path, *cells, text="# A page\n\ntext", tag="summary"):
    """A notebook of a text and these code cells, the last of which carries a tag."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    made.cells[-1].metadata["tags"] = [tag]
    made.cells.insert(0, nbformat.v4.new_markdown_cell(text, id="text"))
    path.parent.mkdir(exist_ok=True)
    nbformat.write(made, path)
    return made


def test_notebooks_that_work_end_in_their_summaries_and_pages(tmp_path, capsys):
    headings = {"": "A page", "ko": "한 쪽"}
    paths = [tmp_path / folder / "notebook.ipynb" for folder in headings]
    for path, heading in zip(paths, headings.values(), strict=True):
        written(path, "1 + 1", "6 * 7", text=f"# {heading}\n\ntext")
    assert run_recipe.main([*map(str, paths), "--output", str(tmp_path / "build")]) == 0
    english, korean_one = re.split(r"(?m)^42\n", capsys.readouterr().out)[1:]
    assert "Read the whole report" in english
    assert "전체 보고서" in korean_one
    for folder, heading in headings.items():
        page = (tmp_path / "build" / folder / "notebook.html").read_text(encoding="utf-8")
        assert f'<html lang="{folder or "en"}">' in page
        assert f"<title>{heading}</title>" in page
        assert "42" in page


def test_a_cell_that_fails_is_named_and_the_exit_code_says_so(tmp_path, capsys):
    written(tmp_path / "notebook.ipynb", "1 + 1", "1 / 0", "2 + 2")
    words = [str(tmp_path / "notebook.ipynb"), "--output", str(tmp_path / "build")]
    assert run_recipe.main(words) == 1
    out, err = capsys.readouterr()
    assert "a cell failed" in err
    assert "ZeroDivisionError" in err
    assert out == ""
    assert not (tmp_path / "build").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_in_one_sentence_and_leaves_no_kernel(tmp_path):
    path, build = tmp_path / "notebook.ipynb", tmp_path / "build"
    written(path, f"import os\nopen('kernel', 'w').write(str(os.getpid()))\n{WAITS}")
    running = subprocess.Popen(
        [*COMMAND, path, "--output", build],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    until = time.monotonic() + 60
    while not (tmp_path / "waiting").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("notebook.ipynb: interrupted; nothing was written.")
    assert not build.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "kernel").read_text()), 0)


def test_storing_writes_the_korean_edition_from_the_same_run(tmp_path):
    """Whatever the language of who commits; bars of progress stay out of it."""
    code = "import os, random\nimport recipe_helpers as rh\n\ndrawn = random.random()"
    bar = "list(rh.progress_bar([1, 2], 'digits'))"
    cells = [code, "print(os.environ.get('RECIPE_LANGUAGE'), drawn)", bar, "rh.machine()"]
    path, edition = tmp_path / "notebook.ipynb", tmp_path / "ko" / "notebook.ipynb"
    carried = korean.carried(written(path, *cells), None)
    carried.cells[0].update(source="글", metadata={"written_from": "text"})
    edition.parent.mkdir()
    nbformat.write(carried, edition)
    environment = {**os.environ, "RECIPE_LANGUAGE": "ko"}
    subprocess.run([*COMMAND, path, "--store"], check=True, capture_output=True, env=environment)
    english, stored = (nbformat.read(each, as_version=4).cells for each in (path, edition))
    assert [cell.source for cell in stored[:2]] == ["글", korean.korean_code(code)]
    assert english[2].outputs == stored[2].outputs, "not drawn anew"
    assert english[2].outputs[0].text.startswith("None 0.")
    assert len(english[3].outputs) == len(stored[3].outputs) == 1, "the list, and no bar"
    for cells, hangul in ((english, False), (stored, True)):
        assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, 4]
        assert bool(korean.HANGUL.search(str(cells[4].outputs[0].data))) == hangul
        assert cells[4].outputs[0].execution_count == 4
