"""Every page opens for an admin, in light and in dark, with nothing wrong on it and nothing fetched from elsewhere."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import TITLES, accept, open_page, settled, view
from tests.serving import serve

BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 22, 28)"}
VIEWS = {
    "Prompts": ["Add one", "Upload", "Browse"],
    "Pairs": ["Import", "Browse"],
    "Train": ["Trainings", "New training"],
    "Agreement": ["By category", "Between annotators", "Disagreements", "Consensus", "Figures"],
    "Timeline": ["History", "Trends"],
    "Model ranking": ["Head to head", "What style adds", "Strengths"],
    "Annotators": ["One annotator", "Ranking"],
    "Bias": ["By annotator", "Haste", "Labels"],
    "People": ["API tokens", "Annotators", "Accounts"],
}


@pytest.fixture(scope="module")
def admin(new_tab: NewTab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The tab of the first admin, in an empty store."""
    with serve(tmp_path_factory.mktemp("pages"), ATTUNE_AUTH="password") as server:
        page = new_tab()
        accept(page, server.first_admin, Login="ada", Name="Ada Lovelace")
        yield page


@pytest.fixture(scope="module")
def sample(admin: Page) -> Page:
    """The same tab, with the sample project loaded from the welcome."""
    admin.get_by_role("heading", name="Welcome to Attune").wait_for()
    admin.get_by_role("button", name="Load the sample project").click()
    admin.get_by_role("heading", name="Overview").wait_for()
    settled(admin)
    return admin


def test_the_welcome_of_an_empty_store_leads_to_the_sample_project(sample: Page) -> None:
    main = sample.get_by_test_id("stMain")
    expect(main).to_contain_text(re.compile(r"Prompts\s*72\s*all with answers"))
    expect(main).to_contain_text("100% simulated")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens(sample: Page, scheme: str) -> None:
    sample.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    sample.reload()
    app = sample.get_by_test_id("stApp")
    expect(app).to_have_css("background-color", BACKGROUND[scheme])
    for title in TITLES:
        open_page(sample, title)
        for name in VIEWS.get(title, ()):
            view(sample, name)
