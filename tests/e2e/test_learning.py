"""A lead's way from votes to a deployed model in a real browser; an annotator has no part in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import accept, invite, open_page, settled, view
from tests.serving import serve

TRAINING = 90_000
"""Milliseconds for a training on a busy machine: most of it is the import of torch."""
LEARN = ("train", "job_queue", "models", "calibration", "predict")


@dataclass(frozen=True)
class Team:
    """A running app with the sample project, the tab of Mary, a lead, and that of Grace, an annotator."""

    url: str
    mary: Page
    grace: Page


@pytest.fixture(scope="module")
def team(new_tab: NewTab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with serve(tmp_path_factory.mktemp("learning"), ATTUNE_AUTH="password") as server:
        ada, mary, grace = new_tab(), new_tab(), new_tab()
        accept(ada, server.first_admin, Login="ada", Name="Ada Lovelace")
        ada.get_by_role("button", name="Load the sample project").click()
        ada.get_by_role("heading", name="Overview").wait_for()
        for tab, login, name, role in (
            (mary, "mary", "Mary Shelley", "lead"),
            (grace, "grace", "Grace Hopper", "annotator"),
        ):
            accept(tab, invite(ada, login, name, role))
        yield Team(server.url, mary, grace)


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def test_a_lead_trains_compares_deploys_and_rolls_back(team: Team) -> None:
    mary = team.mary
    open_page(mary, "Train")
    expect(main(mary)).to_contain_text("Only simulated annotators have judged here so far")
    mary.get_by_text("Count simulated annotators").click()
    expect(main(mary)).to_contain_text(re.compile(r"Usable pairs\s*70"))
    train(mary, "1.0.0", re.compile(r"\d+ of 140 texts embedded"))

    view(mary, "New training")
    expect(main(mary)).to_contain_text("has learnt from all of this already")
    mary.get_by_text("More settings").click()
    mary.get_by_text("Surface features").click()
    settled(mary)
    train(mary, "1.1.0", "helpful · sbert")

    open_page(mary, "Jobs")
    expect(main(mary).get_by_text("Training · Mary Shelley")).to_have_count(2)

    open_page(mary, "Calibration")
    expect(main(mary).get_by_test_id("stPlotlyChart").first).to_be_visible()

    open_page(mary, "Models")
    view(mary, "Compare")
    expect(main(mary)).to_contain_text("McNemar, exact")
    view(mary, "Versions")
    for version in ("1.0.0", "1.1.0"):
        change(mary, "Deploy", version, f"helpful {version} is deployed.")
    change(mary, "Roll back", "1.1.0", "helpful 1.0.0 is deployed.")
    expect(card(mary, "1.0.0")).to_contain_text("deployed")
    expect(card(mary, "1.1.0")).to_contain_text("deprecated")


def test_an_annotator_has_no_page_to_learn_on(team: Team, troubles: list[str]) -> None:
    grace = team.grace
    links = grace.get_by_test_id("stSidebarNav").get_by_role("link")
    offered = {link.get_attribute("href").rpartition("/")[2] for link in links.all()}
    assert offered.isdisjoint(LEARN)
    for page in LEARN:
        grace.goto(f"{team.url}/{page}")
        expect(grace.get_by_role("dialog")).to_contain_text("Page not found")
        expect(main(grace).get_by_role("heading", name=page.capitalize())).to_have_count(0)
    assert all("does not seem to exist" in trouble for trouble in troubles)
    troubles.clear()


def train(page: Page, version: str, meanwhile: str | re.Pattern[str]) -> None:
    """Press the button, see the job under way, and its figures when it has ended."""
    page.get_by_role("button", name="Train", exact=True).click()
    expect(main(page)).to_contain_text(re.compile("queued|running"))
    expect(main(page)).to_contain_text(meanwhile)
    expect(main(page)).to_contain_text(f"It is helpful {version} now, in testing.", timeout=TRAINING)
    expect(main(page)).to_contain_text(re.compile(r"Accuracy\s*0\.\d{3}\s*0\.\d{3} to \d\.\d{3} · n = \d+"))
    expect(main(page).get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_text("Training is done: helpful")).to_be_visible()
    page.get_by_test_id("stToast").get_by_role("button").click()
    settled(page)


def card(page: Page, version: str) -> Locator:
    """The card of a version on the Models page."""
    return main(page).get_by_test_id("stVerticalBlock").filter(has_text=version).filter(has_text="SBERT").last


def change(page: Page, action: str, version: str, outcome: str) -> None:
    """Do something with a version, and confirm it."""
    card(page, version).get_by_role("button", name=action, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()
    expect(page.get_by_text(outcome)).to_be_visible()
    settled(page)
