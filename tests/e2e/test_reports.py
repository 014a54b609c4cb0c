"""A report in a real Chromium, opened from disk: it asks for nothing, runs nothing, and prints on whole pages."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from core.report import render
from core.report_drift import drift_report
from core.report_evaluation import evaluation_report
from tests.reported import ARGUMENTS, HOSTILE, drifted, evaluated

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
ABOUT = [("Run", HOSTILE)]
INSIDE: ViewportSize = {"width": 673, "height": 986}
"""A4 within its margins, in CSS pixels."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    drift = drift_report(*drifted(), ARGUMENTS, ABOUT, "pairs", NOW)
    evaluation = evaluation_report(HOSTILE, evaluated(), ABOUT, ABOUT, [], NOW)
    for name, report in (("drift", drift), ("evaluation", evaluation)):
        (folder / f"{name}.html").write_text(render(report), "utf-8")
    return folder


def opened(
    browser: Browser, file: Path, scheme: Literal["light", "dark"], width: int
) -> tuple[Page, list[str]]:
    """The page, and all that it asked for or complained of."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()
    heard: list[str] = []
    page.on("request", lambda asked: heard.append(asked.url))
    page.on("console", lambda said: heard.append(said.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(file.as_uri(), wait_until="networkidle")
    return page, heard


@pytest.mark.parametrize("name", ["drift", "evaluation"])
@pytest.mark.parametrize(("scheme", "paper", "width"), [("light", 255, 1440), ("dark", 17, 400)])
def test_it_opens_from_disk_and_asks_for_nothing(
    browser: Browser, folder: Path, name: str, scheme: Literal["light", "dark"], paper: int, width: int
) -> None:
    page, heard = opened(browser, folder / f"{name}.html", scheme, width)
    assert heard == [(folder / f"{name}.html").as_uri()]
    assert page.title().startswith(("Drift of pairs", "Evaluation of <script>")), "no script has set it"
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour.startswith(f"rgb({paper},")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is beyond the edge"
    assert HOSTILE in page.locator("dd").first.inner_text()
    page.context.close()


@pytest.mark.parametrize(("name", "least", "most"), [("drift", 3, 7), ("evaluation", 3, 5)])
def test_it_prints_on_white_whole_pages(
    browser: Browser, folder: Path, name: str, least: int, most: int
) -> None:
    page, _ = opened(browser, folder / f"{name}.html", "dark", 1280)
    pdf = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert least <= len(boxes) <= most
    assert {(round(float(x)), round(float(y))) for x, y in boxes} == {(595, 842)}, "A4"
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size(INSIDE)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    height = page.evaluate(
        "Math.max(...[...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().height))"
    )
    assert height < INSIDE["height"], "a figure fits on a page"
    page.context.close()
