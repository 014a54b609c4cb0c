"""A lead settles disputed pairs from the keyboard in a real browser: blind at first, then beside the votes."""

import re

from playwright.sync_api import expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import KEYS, open_page, settled, shown
from tests.serving import serve


def test_disputed_pairs_are_settled_by_keyboard(new_tab: NewTab, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    with serve(tmp_path_factory.mktemp("adjudicating")) as server:
        page = new_tab(viewport={"width": 1280, "height": 720})
        page.goto(server.url)
        page.get_by_label("Your name").fill("Lea")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("button", name="Load the sample project").click()
        page.get_by_role("heading", name="Overview").wait_for()
        open_page(page, "Adjudicate")
        votes, progress = page.locator(".st-key-votes"), page.locator(".st-key-progress")
        expect(progress).to_contain_text(re.compile(r"0 of [1-9]\d* disputed pairs resolved"))
        expect(votes).to_have_count(0)
        first = shown(page)

        page.keyboard.press("q")
        page.keyboard.press("4")
        page.keyboard.press("t")
        page.keyboard.type("It is right.")
        page.keyboard.press("Escape")
        page.keyboard.press(KEYS["left"])
        expect(votes).to_contain_text(re.compile(r"You: Left better, as \d of 3 votes"))
        expect(progress).to_contain_text("1 of")
        assert shown(page) == first, "the pair stays beside its votes"
        box = page.get_by_role("button", name="Next pair").bounding_box()
        assert box is not None and box["y"] + box["height"] < 720

        page.keyboard.press("Enter")
        expect(votes).to_have_count(0)
        page.locator(".st-key-choices").wait_for()
        assert shown(page) != first

        page.keyboard.press("z")
        expect(page.locator(".st-key-notice")).to_contain_text("Undone")
        assert shown(page) == first
        expect(page.locator(".st-key-reason textarea")).to_have_value("It is right.")
        expect(progress).to_contain_text("0 of")
        page.keyboard.press(KEYS["tie"])
        expect(votes).to_contain_text("You: Tie")
        page.keyboard.press("Enter")
        expect(votes).to_have_count(0)
        page.locator(".st-key-choices").wait_for()
        page.keyboard.press(KEYS["skip"])
        expect(progress).to_contain_text("1 passed over by you")
        settled(page)
