"""`make clean` removes what make made and nothing else."""

from .files import tool


def test_only_what_was_made_goes(tmp_path):
    kept = tmp_path / "elsewhere"
    for name in ("build", "a.egg-info", ".ruff_cache", "notebooks", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".venv").symlink_to(kept, target_is_directory=True)
    tool("clean").main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "notebooks"]
    assert (kept / "file").exists()
