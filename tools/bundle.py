"""Put what a class needs into one file: `python tools/bundle.py` writes it into `build`.

The archive holds the wheel of the package, the notebooks, the exercises without their solutions,
the tested versions, and a page that says how to start. Nobody who gets it needs the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "dynamic-quantization"
START = Path(__file__).parent / "START.html"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "recipe_helpers")
FOLDERS = ("notebooks", "exercises")
KINDS = (".ipynb", ".json", ".md")
STAMP = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same contents make the same archive


def wheel(root: Path, folder: Path) -> Path:
    """Build the wheel of the package from a copy, so that nothing of an old build gets into it."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, copy / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--wheel-dir",
        str(folder),
        str(copy),
    ]
    subprocess.run(command, check=True)
    (made,) = folder.glob("*.whl")
    return made


def handed_out(root: Path) -> list[Path]:
    """The notebooks, what they read, and the students' exercises, relative to the root."""
    found = [path for name in FOLDERS for path in (root / name).rglob("*") if path.suffix in KINDS]
    names = sorted(path.relative_to(root) for path in found)
    return [
        name
        for name in names
        if not any(part.startswith(".") or "solution" in part.lower() for part in name.parts)
        and name.name != "TEACHING.md"
    ]


def bundle(root: Path = ROOT, output: Path | None = None) -> Path:
    """Write the archive into a folder, `build` by default; returns where it is."""
    target = (output or root / "build") / f"{NAME}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        package = wheel(root, Path(folder))
        texts = {
            package.name: package.read_bytes(),
            "START.html": START.read_bytes().replace(b"WHEEL", package.name.encode()),
            "LICENSE": (root / "LICENSE").read_bytes(),
            "constraints.txt": (root / "constraints.txt").read_bytes(),
        }
        texts |= {name.as_posix(): (root / name).read_bytes() for name in handed_out(root)}
        unfinished = Path(folder) / target.name
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                entry = zipfile.ZipInfo(f"{NAME}/{name}", STAMP)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
        shutil.move(unfinished, target)
    return target


if __name__ == "__main__":
    print(bundle())
