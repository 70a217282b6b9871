"""Your own model: the report as a part of a notebook, and as one self-contained HTML page."""

from __future__ import annotations

import base64
from html import escape

from ..common.language import _, language
from ..common.tables import Ready, Table
from .candidates import Candidate
from .findings import Findings

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #ffffff; --line: #d5d5dc;
  --soft: #f3f3f6; --good: #1a7f47; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6ea; --paper: #17171a; --line: #3c3c44; --soft: #232328;
    --good: #6fd39b; --bad: #ff9a91; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.25rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.verdict { border-left: 0.4rem solid var(--bad); background: var(--soft); padding: 0.75rem 1rem; }
.verdict.passed { border-color: var(--good); }
.verdict strong { font-size: 1.2rem; }
pre { background: var(--soft); padding: 0.75rem 1rem; overflow-x: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.25rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.7rem; text-align: left;
  vertical-align: top; }
img { background: white; max-width: 100%; height: auto; border-radius: 4px; }
summary { cursor: pointer; font-weight: 600; margin-top: 1rem; }
"""


def page(report: Findings) -> str:
    """A whole HTML5 document that refers to no other file; readable in light and in dark."""
    title = _("Quantization report: {model}", model=report.model)
    return (
        f'<!DOCTYPE html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{_body(report, 2)}\n"
        f"<h2>{_('Limits')}</h2>\n{_table(_limits(report))}\n"
        f"<h2>{_('Machine')}</h2>\n{_table(report.machine.table())}\n</main>\n</body>\n</html>\n"
    )


def fragment(report: Findings) -> str:
    """The same for the output of a notebook cell, in the notebook's own style."""
    return f"<div>{_body(report, 4)}</div>"


def _body(report: Findings, level: int) -> str:
    """Verdict, overview, figure, and the details of each conversion folded away."""
    verdict = report.verdict
    passed = " passed" if report.passed else ""
    parts = [
        f'<div class="verdict{passed}"><p><strong>{escape(verdict.headline)}.</strong> '
        f"{escape(str(verdict.reason))}</p></div>"
    ]
    if verdict.code:
        parts.append(f"<pre><code>{escape(verdict.code)}</code></pre>")
    parts.append(_table(report.table()))
    parts += [f"<p>{escape(str(note))}</p>" for note in report.notes]
    if any(candidate.best for candidate in report.candidates):
        parts.append(_figure(report))
    parts += [
        f"<details{' open' if candidate.name == verdict.candidate and level == 2 else ''}>"
        f"<summary>{escape(_('{name}: the details', name=candidate.name))}</summary>"
        f"{_details(candidate, tables)}</details>"
        for candidate, tables in report.details()
        if tables
    ]
    parts += [
        f"<p><strong>{escape(step.title)}</strong></p><pre><code>{escape(step.code)}</code></pre>"
        for step in report.next_steps
    ]
    return "\n".join(parts)


def _details(candidate: Candidate, tables: list[Table]) -> str:
    failure = f"<p>{escape(str(candidate.failure))}</p>" if candidate.failure else ""
    return failure + "\n".join(map(_table, tables))


def _figure(report: Findings) -> str:
    from .plots import plot_report

    figure = plot_report(report)
    picture = base64.b64encode(figure.png()).decode("ascii")
    width, height = (round(float(inches) * 100) for inches in figure.get_size_inches())
    return (
        f'<img src="data:image/png;base64,{picture}" width="{width}" height="{height}" '
        f'alt="{escape(figure.alt)}">'
    )


def _limits(report: Findings) -> Table:
    names = {
        "max_relative_error": _("largest relative error of an output tensor, at most"),
        "min_size_ratio": _("FP32 bytes / INT8 bytes, at least"),
        "min_speedup": _("FP32 time / INT8 time, at least"),
        "max_metric_drop": _("drop of the metric, at most"),
        "worth_size_ratio": _("a gain worth having: FP32 bytes / INT8 bytes, at least"),
        "worth_speedup": _("or FP32 time / INT8 time, at least"),
    }
    metric = report.reference_metric
    promises = {
        "max_relative_error": report.error_limit,
        "min_size_ratio": report.limits.min_size_ratio,
        "min_speedup": report.limits.min_speedup,
        "max_metric_drop": None if metric is None else report.limits.max_metric_drop,
        "worth_size_ratio": report.limits.worth_size_ratio,
        "worth_speedup": report.limits.worth_speedup,
    }
    rows = [(names[key], f"{value:g}") for key, value in promises.items() if value is not None]
    return Table((_("what INT8 had to reach"), _("limit")), rows)


def _table(table: Table) -> str:
    return f'<div class="wide">{Ready(table)._repr_html_()}</div>'
