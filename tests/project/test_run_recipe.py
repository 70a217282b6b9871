"""What `make run` does with a notebook that works, that fails, and that is interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
WAITS = "import pathlib, time\npathlib.Path('waiting').touch()\ntime.sleep(60)"


def written(folder, *cells, tag=None):
    """A notebook of these code cells, the last of which may carry a tag."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    made.cells[-1].metadata["tags"] = [tag] if tag else []
    path = folder / "notebook.ipynb"
    nbformat.write(made, path)
    return path


def started(path):
    command = [sys.executable, str(ROOT / "tools" / "run_recipe.py"), str(path)]
    return subprocess.Popen(
        [*command, "--output", str(path.parent / "build")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def test_a_notebook_that_works_ends_in_its_summary_and_a_page(tmp_path):
    running = started(written(tmp_path, "1 + 1", "6 * 7", tag="summary"))
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert out.startswith("42\n")
    assert "42" in (tmp_path / "build" / "notebook.html").read_text(encoding="utf-8")


def test_the_page_has_the_notebooks_heading_and_its_language(tmp_path):
    (tmp_path / "ko").mkdir()
    for folder, language, heading in ((tmp_path, "en", "A page"), (tmp_path / "ko", "ko", "한 쪽")):
        path = written(folder, "6 * 7", tag="summary")
        made = nbformat.read(path, as_version=4)
        made.cells.insert(0, nbformat.v4.new_markdown_cell(f"# {heading}\n\ntext"))
        nbformat.write(made, path)
        running = started(path)
        out, _ = running.communicate(timeout=60)
        assert out.startswith("42\n")
        assert ("전체 보고서" in out) == (language == "ko")
        page = folder / "build" / ("ko" if language == "ko" else "") / "notebook.html"
        page = page.read_text(encoding="utf-8")
        assert f'<html lang="{language}">' in page
        assert f"<title>{heading}</title>" in page


def test_a_cell_that_fails_is_named_and_the_exit_code_says_so(tmp_path):
    running = started(written(tmp_path, "1 + 1", "1 / 0", "2 + 2"))
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "a cell failed" in err
    assert "ZeroDivisionError" in err
    assert out == ""
    assert not (tmp_path / "build").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_in_one_sentence_and_leaves_no_kernel(tmp_path):
    cells = f"import os\nopen('kernel', 'w').write(str(os.getpid()))\n{WAITS}"
    running = started(written(tmp_path, cells))
    until = time.monotonic() + 60
    while not (tmp_path / "waiting").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("notebook.ipynb: interrupted; nothing was written.")
    assert not (tmp_path / "build").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "kernel").read_text()), 0)


def test_storing_does_not_depend_on_the_language_of_who_commits(tmp_path):
    """The kernel is not told of it; a Korean notebook chooses its language itself."""
    path = written(tmp_path, "import os; os.environ.get('RECIPE_LANGUAGE', 'none')")
    command = [sys.executable, str(ROOT / "tools" / "run_recipe.py"), str(path), "--store"]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "RECIPE_LANGUAGE": "ko"}
    )
    (cell,) = nbformat.read(path, as_version=4).cells
    assert cell.outputs[0].data["text/plain"] == "'none'"
