"""Make the site: `python tools/website.py` writes it into `build/site`, Korean pages in `ko`.

With `--linkcheck` nothing is written: the links that lead out are tried.

Sphinx draws the pages, from a copy of the sources that is laid out here for each language: the
notebooks with the outputs that are stored in them, the exercises, docs/, and an API made from
docstrings. Both languages have the same pages under the same names, so that one leads to the other;
a page without a Korean text is English in both. The site fetches nothing and works from a disk.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
from site_api import api_pages
from site_words import INDEX, ORDER, TITLES, WORDS

ROOT = Path(__file__).parents[1]
CONF = Path(__file__).parent / "site_pages"
LANGUAGES = ("en", "ko")
WIDGET = "application/vnd.jupyter.widget-view+json"
# Pages that are no notebook and do not lie in docs/: where they come from, and where they go.
TEXTS = {
    "README.md": "index.md",
    "TEACHING.md": "docs/teaching.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "CHANGELOG.md": "docs/changelog.md",
    "SECURITY.md": "docs/security.md",
    "int8_rnn/README.md": "docs/int8_rnn.md",
}
LINK = re.compile(r"(!?)\[((?:`[^`]*`|\[[^\]]*\]|[^\[\]`])*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
SWITCH = re.compile(r"( · )?\[(한국어|English)\]\([^)]*\)")


class Page(NamedTuple):
    """Where a page stands in the site, and its source in each language, if it has one there."""

    place: str
    sources: dict[str, Path]


def pages(root: Path = ROOT) -> list[Page]:
    """All pages that are made from a file of the repository."""
    found = {}
    for folder in ("notebooks", "exercises"):
        for path in sorted((root / folder).glob("*.ipynb")):
            found[f"{folder}/{path.name}"] = path
    found |= {place: root / name for name, place in TEXTS.items() if (root / name).is_file()}
    found |= {f"docs/{path.name}": path for path in sorted((root / "docs").glob("*.md"))}
    return [
        Page(place, {"en": path} | ({"ko": ko} if (ko := korean(path)) else {}))
        for place, path in found.items()
        if not path.name.endswith(".ko.md")
    ]


def korean(path: Path) -> Path | None:
    """The Korean text of a page: in a folder `ko` beside it, or with `.ko` in its name."""
    candidates = (path.parent / "ko" / path.name, path.with_suffix(f".ko{path.suffix}"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def label(place: str, cell: str) -> str:
    """What a cell of a page is called in links."""
    return f"{Path(place).with_suffix('').as_posix().replace('/', '-')}-{cell}".lower()


class Links:
    """Turns the links of a text in the repository into links of the site."""

    def __init__(self, found: list[Page], root: Path, repository: str, stage: Path) -> None:
        self.places = {path: page.place for page in found for path in page.sources.values()}
        self.root, self.repository, self.stage = root, repository, stage

    def rewritten(self, text: str, source: Path, place: str) -> str:
        """The text of one page, code in fences left as it is."""
        parts = FENCED.split(text)
        parts[::2] = [
            LINK.sub(lambda found: self._link(found, source, place), SWITCH.sub("", part))
            for part in parts[::2]
        ]
        return "".join(parts)

    def _link(self, found: re.Match[str], source: Path, place: str) -> str:
        picture, words, target = found.groups()
        name, _, anchor = target.partition("#")
        if re.match(r"\w+:|//", target):
            return found[0]
        path = Path(os.path.normpath(source.parent / name)) if name else source
        if picture:
            return f"![{words}]({self._picture(path, place)})"
        if path not in self.places:
            return self._outside(path, words)
        there = self.places[path]
        if anchor.startswith("cell-id="):
            return f"[{words}](#{label(there, anchor.removeprefix('cell-id='))})"
        way = os.path.relpath(there, Path(place).parent) if there != place else ""
        return f"[{words}]({way}{'#' if anchor else ''}{anchor})"

    def _picture(self, path: Path, place: str) -> str:
        kept = self.stage / "pictures" / path.name
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(path, kept)
        return os.path.relpath(kept, self.stage / Path(place).parent)

    def _outside(self, path: Path, words: str) -> str:
        """A file of the repository that is no page: there, where it is known where that is."""
        if not path.exists():
            raise FileNotFoundError(f"a link leads to {path}, which is not there")
        if not self.repository:
            return words
        kind = "tree" if path.is_dir() else "blob"
        way = path.relative_to(self.root).as_posix()
        return f"[{words}](https://github.com/{self.repository}/{kind}/main/{way})"


def stage(folder: Path, language: str, root: Path = ROOT, repository: str = "") -> None:
    """Lay out the sources of the site in one language."""
    found = pages(root)
    links = Links(found, root, repository, folder)
    for page in found:
        source = page.sources.get(language, page.sources["en"])
        target = folder / page.place
        target.parent.mkdir(parents=True, exist_ok=True)
        rewrite: Callable[[str], str] = lambda text, s=source, p=page.place: (  # noqa: E731
            links.rewritten(text, s, p)
        )
        if source.suffix == ".ipynb":
            write_notebook(source, target, page.place, language, rewrite)
        else:
            text = rewrite(source.read_text(encoding="utf-8"))
            note = "" if language in page.sources else f"\n\n*{WORDS[language]['english']}*\n"
            heading, _, rest = text.partition("\n")
            target.write_text(f"{heading}{note}\n{rest}", encoding="utf-8")
    for name, text in api_pages(language).items():
        (folder / "api").mkdir(exist_ok=True)
        (folder / "api" / name).write_text(text, encoding="utf-8")
    write_contents(folder, language)


def write_notebook(
    source: Path, target: Path, place: str, language: str, rewrite: Callable[[str], str]
) -> None:
    """Copy a notebook: links lead to pages, cells have names, pictures their alternative texts."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = f"({label(place, cell.id)})=\n{rewrite(cell.source)}"
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                alt = output.metadata.get("image/png", {}).get("alt", "")
                cell.metadata["mystnb"] = {"image": {"alt": " ".join(alt.split())}}
            if data.pop(WIDGET, None):
                data["text/html"] = f'<p class="needs-kernel">{WORDS[language]["panel"]}</p>'
    nbformat.write(notebook, target)


def write_contents(folder: Path, language: str) -> None:
    """The pages that list the others, and the table of contents of the whole."""
    for part, order in ORDER.items():
        there = [path.stem for path in folder.glob(f"{part}/*") if path.stem != "index"]
        listed = [name for name in order if name in there]
        listed += sorted(set(there) - set(listed))
        title, text = TITLES[language][part]
        entries = "\n".join(listed)
        page = f"# {title}\n\n{text}\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"
        (folder / part / "index.md").write_text(page, encoding="utf-8")
    parts = "\n".join(f"{part}/index" for part in ORDER if (folder / part).is_dir())
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(INDEX.format(parts=parts))


def build(output: Path, repository: str, builder: str = "html") -> int:
    """Make the pages in each language; returns the number of languages that failed."""
    shutil.rmtree(output, ignore_errors=True)
    failed = 0
    for language in LANGUAGES:
        sources = output.parent / "site_sources" / language
        shutil.rmtree(sources, ignore_errors=True)  # with what Sphinx has remembered of it
        sources.mkdir(parents=True)
        stage(sources, language, repository=repository)
        made = output / ("" if language == "en" else language)
        said = [f"-Dlanguage={language}", f"-Dhtml_title={WORDS[language]['title']}"]
        places = ["-c", str(CONF), "-d", str(sources / ".doctrees")]
        options = ["-b", builder, "-q", "-W", "--keep-going", f"-Arepository={repository}"]
        options += [*said, *places]
        command = [sys.executable, "-m", "sphinx", *options, str(sources), str(made)]
        failed += subprocess.run(command, check=False).returncode != 0
        shutil.rmtree(made.parent / "jupyter_execute", ignore_errors=True)  # MyST-NB's copies
        for page in pages() if builder == "html" else []:
            source = page.sources.get(language, page.sources["en"])
            if source.suffix == ".ipynb":
                shutil.copy(source, made / page.place)
    (output / ".nojekyll").touch()
    return failed


def main() -> int:
    """Make the site and say where it is."""
    builder = "linkcheck" if "--linkcheck" in sys.argv[1:] else "html"
    output = ROOT / "build" / ("site" if builder == "html" else builder)
    failed = build(output, os.environ.get("GITHUB_REPOSITORY", ""), builder)
    print(output)
    return failed


if __name__ == "__main__":
    sys.exit(main())
