"""A report as one HTML file: a small paper to read on a screen, to print and to pass on.

It has no script and asks nothing of any network, which its content security policy holds it to. Every text is escaped.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from core.estimate import Estimate

ROOT = Path(__file__).resolve().parent.parent
PERCENT, SIGNED_PERCENT, DECIMAL, SIGNED = "{:.1%}", "{:+.1%}", "{:.3f}", "{:+.3f}"
"""How a figure is written."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What the browser lets a report do: nothing but look the way it does."""
TOGETHER = "\N{NO-BREAK SPACE}"
Facts = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as the ``header`` has; the first column is text, the others are figures."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing of ``core.report_figures``."""

    caption: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Listed:
    """Facts by their names."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report; a block that is a text is a paragraph."""

    title: str
    blocks: Sequence[str | Table | Figure | Listed]


@dataclass(frozen=True, slots=True)
class Report:
    """``about``: when, by whom, of what. ``summary``: what was found, a paragraph each. ``made_at``: when the report was made."""

    title: str
    subtitle: str
    about: Facts
    summary: Sequence[str]
    sections: Sequence[Section]
    made_at: datetime


def render(report: Report) -> str:
    """The report as HTML."""
    pages = Environment(
        loader=FileSystemLoader(ROOT / "assets"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    kinds = {"is_table": Table, "is_figure": Figure, "is_listed": Listed}
    pages.tests |= {name: lambda block, kind=kind: isinstance(block, kind) for name, kind in kinds.items()}
    return pages.get_template("report.html").render(report=report, attune=attune_version(), policy=POLICY)


def attune_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def versions(*packages: str) -> Facts:
    """Those of Attune, Python and some packages, as they are installed here and now."""
    found = [("Attune", attune_version()), ("Python", python_version())]
    for name in packages:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return [("Versions here and now", ", ".join(f"{name} {number}" for name, number in found))]


def told(estimate: Estimate, form: str = DECIMAL) -> str:
    """A value with its 95% interval, which is not broken over lines, for a sentence or a cell; – where there is none."""
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return number(estimate.value, form)
    return f"{number(estimate.value, form)} ({limits(estimate, form).replace(' ', TOGETHER)})"


def cells(estimate: Estimate, form: str = DECIMAL) -> list[str]:
    """A value, its 95% interval or why there is none, and n."""
    if estimate.value is None:
        return ["–", estimate.reason or "–", f"{estimate.n:,}"]
    interval = (
        estimate.reason or "none" if estimate.low is None or estimate.high is None else limits(estimate, form)
    )
    return [number(estimate.value, form), interval, f"{estimate.n:,}"]


def limits(estimate: Estimate, form: str = DECIMAL) -> str:
    """The interval of an estimate that has one."""
    assert estimate.low is not None and estimate.high is not None
    low, high = number(estimate.low, form), number(estimate.high, form)
    return f"{low.removesuffix('%')} to {high}"


def number(value: float, form: str = DECIMAL) -> str:
    return form.format(value).replace("-", "−")


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return f"<{TOGETHER}0.001" if p < 0.001 else f"{p:.3f}"


def sentence(p: float | None) -> str:
    """A p-value for a sentence."""
    return (
        "no p-value"
        if p is None
        else f"p{TOGETHER}{p_value(p)}"
        if p < 0.001
        else f"p{TOGETHER}={TOGETHER}{p_value(p)}"
    )


def counted(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
