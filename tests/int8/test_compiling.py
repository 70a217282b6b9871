"""How the fast path is compiled: with and without numba, kept on disk, errors that come out."""

import errno
import shutil
from pathlib import Path

import numba
import pytest

from recipe_helpers.int8.fast_path import compiling

from .fast_path import run_python

WITHOUT = """
    import sys, warnings
    def refuse(error):
        raise error
    {damage}
    import torch, recipe_helpers as rh
    from recipe_helpers.int8.lstm import Int8LSTM
    from recipe_helpers.int8 import arithmetic
    torch.manual_seed(0)
    lstm = Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
    calls = []
    original = arithmetic.run_layer
    arithmetic.run_layer = lambda *given: calls.append(1) or original(*given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            lstm(torch.randn(3, 1, 4))
    assert len(calls) == 3
    for warning in caught:
        print(warning.category.__name__, warning.message)
"""


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("sys.modules['numba'] = None", 'pip install "recipe-helpers[fast]"'),
        (
            "import numba; numba.njit = lambda *a, **k: refuse(numba.errors.LoweringError('odd'))",
            "numba cannot compile here (LoweringError: odd",
        ),
    ],
    ids=["no numba", "numba cannot compile"],
)
def test_the_reference_takes_over_and_says_so_once(damage, sentence):
    done = run_python(WITHOUT.format(damage=damage))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("FastPathWarning ")
    assert sentence in line


def test_numba_is_imported_when_it_is_needed_and_compiled_code_is_found_again():
    done = run_python(
        """
        import sys, warnings
        warnings.simplefilter("error")
        import torch, recipe_helpers as rh
        from recipe_helpers.int8.lstm import Int8LSTM
        lstm = Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
        print("numba" in sys.modules)
        lstm(torch.randn(3, 1, 4))
        from recipe_helpers.int8.fast_path import kernels, ready
        print("numba" in sys.modules, ready.fast_path().available)
        print(sum(kernels.run_packed.stats.cache_hits.values()))
        """
    )
    assert (done.stdout.split(), done.stderr) == (["False", "True", "True", "1"], "")


def kernel_copy(tmp_path, monkeypatch):
    """The kernel files somewhere else, where they can be changed, with a cache of their own."""
    here = tmp_path / "fast_path"
    shutil.copytree(compiling._HERE, here, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiling, "_HERE", here)
    return here


@pytest.mark.parametrize("name", sorted(path.name for path in compiling._HERE.glob("*.py")))
def test_a_change_to_any_kernel_file_begins_a_new_cache(name, tmp_path, monkeypatch):
    """Else code compiled from one file would go on calling what another one held before."""
    here = kernel_copy(tmp_path, monkeypatch)
    find = compiling.cache_folder.__wrapped__
    before = find()
    assert before == find()
    assert before.is_dir()
    path = here / name
    path.write_text(path.read_text(encoding="utf-8").replace("a", "b", 1), encoding="utf-8")
    after = find()
    assert after != before
    assert not before.exists(), "what no file fits any more is removed"


def test_without_a_folder_that_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    kernel_copy(tmp_path, monkeypatch)
    (tmp_path / "fast_path" / "__pycache__").write_text("in the way")
    home = tmp_path / "home"
    monkeypatch.setattr(Path, "home", lambda: home)
    assert compiling.cache_folder.__wrapped__().is_relative_to(home)
    home.rename(tmp_path / "gone")
    home.write_text("in the way as well")
    assert compiling.cache_folder.__wrapped__() is None


@pytest.mark.parametrize("folder", ["none", "full"])
def test_where_nothing_can_be_kept_the_code_is_compiled_all_the_same(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compiling, "cache_folder", lambda: None if folder == "none" else tmp_path)
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    before = numba.config.CACHE_DIR
    twice = compiling.compiled(compiling.INT64(compiling.INT64))(lambda x: 2 * x)
    assert twice(21) == 42
    assert before == numba.config.CACHE_DIR


def test_a_fault_in_the_fast_path_comes_out(monkeypatch):
    """It must not be taken for a machine on which nothing can be compiled."""
    import torch

    import recipe_helpers as rh
    from recipe_helpers.int8.fast_path import packed_plans

    def broken(*_):
        raise ZeroDivisionError("a fault of our own")

    lstm = rh.Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
    monkeypatch.setattr(packed_plans, "run_packed", broken)
    with pytest.raises(ZeroDivisionError, match="a fault of our own"):
        lstm(torch.ones(3, 1, 4))


def test_a_fault_while_the_kernels_are_imported_comes_out():
    done = run_python("""
        import numba
        numba.njit = lambda *a, **k: 1 / 0
        import torch
        from recipe_helpers.int8.lstm import Int8LSTM
        Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())(torch.ones(3, 1, 4))
    """)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
