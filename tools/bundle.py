"""Put what a class needs into one file: `python tools/bundle.py` writes it into `build`.

The archive holds the wheels of the two packages, the notebooks, the exercises without their
solutions, the tested versions, and a page in each language that says how to start. Nobody who gets
it needs the repository.
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
STARTS = [Path(__file__).with_name(name) for name in ("START.html", "START.ko.html")]
# The two distributions, and what each is built from.
DISTRIBUTIONS = {
    ".": ("pyproject.toml", "README.md", "LICENSE", "recipe_helpers"),
    "int8_rnn": ("pyproject.toml", "README.md", "LICENSE", "src"),
}
FOLDERS = ("notebooks", "exercises")
KINDS = (".ipynb", ".json", ".md")
STAMP = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same contents make the same archive


def wheel(source: Path, names: tuple[str, ...], folder: Path) -> Path:
    """Build a wheel from a copy of its sources, so that nothing of an old build gets into it."""
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / "source" / name, ignore=left_out)
        else:
            (folder / "source").mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / "source" / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder)]
    subprocess.run([*command, str(folder / "source")], check=True)
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
        and not name.name.startswith("TEACHING")
    ]


def bundle(root: Path = ROOT, output: Path | None = None) -> Path:
    """Write the archive into a folder, `build` by default; returns where it is."""
    target = (output or root / "build") / f"{NAME}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        package, library = (
            wheel(root / place, names, Path(folder, f"{number}"))
            for number, (place, names) in enumerate(DISTRIBUTIONS.items())
        )
        texts = {
            package.name: package.read_bytes(),
            library.name: library.read_bytes(),
            "LICENSE": (root / "LICENSE").read_bytes(),
            "constraints.txt": (root / "constraints.txt").read_bytes(),
        }
        for start in STARTS:
            said = start.read_text(encoding="utf-8")
            said = said.replace("LIBRARY", library.name).replace("WHEEL", package.name)
            texts[start.name] = said.encode()
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
