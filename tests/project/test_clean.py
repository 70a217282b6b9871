"""`make clean` removes what make made and nothing else."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[2] / "tools" / "clean.py"


def test_only_what_was_made_goes(tmp_path):
    spec = importlib.util.spec_from_file_location("clean", PATH)
    clean = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(clean)
    kept = tmp_path / "elsewhere"
    for name in ("build", "a.egg-info", ".ruff_cache", "notebooks", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".venv").symlink_to(kept, target_is_directory=True)
    clean.main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "notebooks"]
    assert (kept / "file").exists()
