"""Steps that the browser tests share: signing in, opening pages, annotating by keyboard, reading what is shown."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from pages._session import PAGES

PASSWORD = "correct horse battery staple"
TITLES = {title: name for group in PAGES.values() for name, title, _, _ in group}
KEYS = {"left": "a", "right": "d", "tie": "s", "both_bad": "x", "skip": "n"}
HELD = 260
"""Milliseconds that a key is held: the same one again sooner than 250 ms is taken for a slip."""
_READ = """pane => {
  const copy = pane.cloneNode(true);
  copy.querySelectorAll(".katex").forEach(formula => formula.remove());
  return copy.textContent;
}"""

_CHANGED = """before => ["left", "right"].every(
  (side, i) => document.querySelector(`.st-key-${side}`)?.textContent !== before[i]
)"""


@dataclass(frozen=True)
class Shown:
    """A pair as it stands on the screen, each text by its letters alone."""

    prompt: str
    left: str
    right: str

    @property
    def pair(self) -> frozenset[str]:
        return frozenset((self.left, self.right))


def letters(text: str) -> str:
    """What Markdown and its rendering have in common: the letters, without formulas and the names of languages."""
    return "".join(re.findall(r"[^\W\d_]", re.sub(r"```\w+|\$\$.*?\$\$", "", text, flags=re.DOTALL)))


def settled(page: Page) -> None:
    """Wait until the page has finished running, and check that nothing on it failed."""
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text(re.compile("Something went wrong|Traceback"))).to_have_count(0)


def open_page(page: Page, title: str) -> None:
    """Go to a page by the navigation."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    page.wait_for_url(re.compile(rf"/{TITLES[title]}(\?|$)"))
    if title in ("Annotate", "Adjudicate"):
        page.locator(".st-key-left, [data-testid=stAlert]").first.wait_for()
    else:
        page.get_by_test_id("stMain").get_by_role("heading", name=title).first.wait_for()
    settled(page)


def view(page: Page, name: str) -> None:
    """Choose one of a page's views."""
    page.get_by_test_id("stMain").get_by_role("radio", name=name).click()
    settled(page)


def accept(page: Page, link: str, **fields: str) -> None:
    """Follow a one-time link, fill in its form and land in the app."""
    page.goto(link)
    for label, value in {**fields, "Password": PASSWORD}.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button").click()
    page.get_by_test_id("stSidebarNav").wait_for()
    settled(page)


def invite(admin: Page, login: str, name: str, role: str) -> str:
    """Add a person on the People page; the one-time link that it shows."""
    open_page(admin, "People")
    admin.get_by_role("button", name="Add a person").click()
    admin.get_by_label("Login").fill(login)
    admin.get_by_label("Name", exact=True).fill(name)
    admin.get_by_test_id("stPopoverBody").get_by_role("combobox").click()
    admin.get_by_role("option", name=role).click()
    admin.get_by_role("button", name="Add", exact=True).click()
    link = admin.get_by_test_id("stCode").inner_text().strip()
    admin.get_by_role("button", name="Done, I have copied it").click()
    admin.get_by_test_id("stCode").wait_for(state="detached")
    return link


def shown(page: Page) -> Shown:
    """The pair on the screen."""
    settled(page)
    for pane in ("prompt", "left", "right"):
        expect(page.locator(f".st-key-{pane}")).to_have_text(re.compile(r"\w"))
        expect(page.locator(f".st-key-{pane}").get_by_test_id("stSkeleton")).to_have_count(0)
    texts = [page.locator(f".st-key-{pane}").evaluate(_READ) for pane in ("prompt", "left", "right")]
    return Shown(*map(letters, texts))


def today(page: Page) -> int:
    """How many they have annotated today, as the page counts them."""
    found = re.match(r"([\d,]+) today", page.locator(".st-key-tools").inner_text())
    assert found
    return int(found[1].replace(",", ""))


@contextmanager
def another_pair(page: Page) -> Iterator[Shown]:
    """The pair on the screen; when the block ends, another one (or none) has taken its place."""
    was = shown(page)
    before = [page.locator(f".st-key-{side}").text_content() for side in ("left", "right")]
    yield was
    page.wait_for_function(_CHANGED, arg=before)
    settled(page)


def judge(page: Page, side: str, *before: str) -> Shown:
    """Judge the pair on the screen, with ``before`` pressed first; the pair that it was."""
    with another_pair(page) as was:
        n = today(page)
        for key in before:
            page.keyboard.press(key)
        page.keyboard.press(KEYS[side], delay=HELD)
        expect(page.locator(".st-key-tools, [data-testid=stAlert]").first).to_contain_text(
            re.compile(rf"^{n + 1:,} today|through|Nothing for you")
        )
    return was
