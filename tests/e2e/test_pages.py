"""Every page opens for an admin, in light and in dark, with nothing wrong on it and nothing fetched from elsewhere."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import TITLES, accept, open_page, settled, view
from tests.serving import serve

BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 22, 28)"}
VIEWS = {
    "Prompts": ["Upload", "Add one", "Browse"],
    "Pairs": ["Import", "Browse"],
    "Agreement": ["By category", "Between annotators", "Disagreements", "Consensus", "Figures"],
    "People": ["API tokens", "Annotators", "Accounts"],
}


@pytest.mark.slow
def test_pages(new_tab: NewTab, tmp_path: Path) -> None:
    with serve(tmp_path, ATTUNE_AUTH="password") as server:
        page = new_tab(color_scheme="light")
        accept(page, server.first_admin, Login="ada", Name="Ada Lovelace")
        page.get_by_role("button", name="Load the sample project").click()
        tile = page.get_by_test_id("stMain")
        expect(tile).to_contain_text(re.compile(r"Prompts\s*72"))
        walk(page, "light")
        walk(dark, "dark")
