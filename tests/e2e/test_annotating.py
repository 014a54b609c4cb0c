"""A person annotates by keyboard in a real browser: nothing moves, nothing is lost, nothing in a text runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from core.records import Message, Pair, Parsed, Prompt, Response
from core.settings import load
from storage import campaigns, pairs
from storage.simulated import load_sample
from storage.store import Store
from storage.workbench import Workbench
from tests.e2e.walking import open_page, settled
from tests.jobs.benches import until
from tests.serving import Server, serve

Tab = Callable[..., Page]
HOSTILE = (
    "<script>window.ran = 1</script> <img src=x onerror='window.ran = 1'> ![pixel](http://pixel.invalid/p.png)\n\n"
    "[press](javascript:window.ran=1) and **bold**\n\n```html\n<script>window.ran = 1</script>\n```"
)


@contextmanager
def served(
    folder: Path, browser: Browser, *given: Pair, sample: bool = False, **rules: Any
) -> Iterator[Server]:
    """The app on a store with these pairs (and the sample), its first campaign under these rules.

    The tabs that look at it are closed before it stops.
    """
    bench = Workbench(load(data_dir=folder), Store(load(data_dir=folder).database_url))
    if sample:
        load_sample(bench.store, bench.desks, "test")
    campaign = campaigns.first(bench.store)
    for name, value in rules.items():
        setattr(campaign, name, value)
    with bench.store.writing() as session:
        session.merge(campaign)
    if given:
        parsed = Parsed(list(enumerate(given, start=1)), [])
        pairs.add(bench.store, bench.desks, parsed, campaign.id, "test", source="test")
    bench.store.close()
    with serve(folder) as server:
        yield server
        for page in [page for context in browser.contexts for page in context.pages]:
            if page.url.startswith(server.url):
                page.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("sample"), browser, sample=True, k=20) as server:
        yield server


def enter(tab: Page, server: Server, name: str) -> Page:
    tab.goto(server.url)
    tab.get_by_label("Your name").fill(name)
    tab.keyboard.press("Enter")
    tab.get_by_test_id("stSidebarNav").wait_for()
    settled(tab)
    open_page(tab, "Annotate")
    return tab


def texts(tab: Page) -> str:
    return "\n".join(tab.locator(f".st-key-{pane}").inner_text() for pane in ("prompt", "left", "right"))


def press_for_the_next(tab: Page, key: str) -> None:
    """Press a key and wait until another pair is there."""
    before = texts(tab)
    tab.keyboard.press(key)
    panes = (
        "['prompt', 'left', 'right'].map(p => document.querySelector(`.st-key-${p}`)?.innerText).join('\\n')"
    )
    tab.wait_for_function(
        f"before => {panes} !== before && document.querySelector('.st-key-choices')", arg=before
    )
    settled(tab)
    tab.wait_for_timeout(300)


def boxes(tab: Page) -> list[dict[str, float] | None]:
    names = ("Left better", "Tie", "Both bad", "Right better", "Skip")
    buttons = [tab.get_by_role("button", name=name).bounding_box() for name in names]
    return [
        *buttons,
        *(tab.locator(f".st-key-{pane}").bounding_box() for pane in ("left", "right", "details")),
    ]


def stored(server: Server, name: str) -> list[dict[str, Any]]:
    """What somebody has said, newest first, as the API tells it."""
    answer = httpx.get(f"{server.url}/api/annotations", params={"limit": 100}, timeout=20)
    return [row for row in answer.json()["items"] if row["annotator"] == name]


def test_ten_by_keyboard_one_undone_one_edited_and_nothing_moves(sample: Server, new_tab: Tab) -> None:
    tab = enter(new_tab(viewport={"width": 1280, "height": 720}), sample, "Ada")
    expect(tab.locator(".st-key-guidelines")).to_contain_text("Correct first")
    at_first = boxes(tab)
    assert all(box and box["y"] + box["height"] <= 720 for box in at_first)
    assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= 720
    said = []
    for number, key in enumerate(["a", "s", "d", "x", "a", "d", "s", "a", "d", "x"]):
        if number == 0:
            tab.keyboard.press("e")
            tab.keyboard.press("4")
            tab.keyboard.press("t")
            tab.keyboard.type("a clear win, s and d")
            tab.keyboard.press("Escape")
            expect(tab.get_by_role("radio", name="far")).to_be_checked()
        left = tab.locator(".st-key-left").inner_text()
        press_for_the_next(tab, key)
        said.append((key, left))
        assert boxes(tab) == at_first
    rows = stored(sample, "Ada")[::-1]
    assert len(rows) == 10
    for (key, left), row in zip(said, rows, strict=True):
        better = {"a": row["left"], "d": {"a": "b", "b": "a"}[row["left"]], "s": "tie", "x": "both_bad"}[key]
        assert row["choice"] == better
        pair = httpx.get(f"{sample.url}/api/pairs/{row['pair_id']}", timeout=20).json()
        assert _words(left) <= _words(pair[f"response_{row['left']}"])
    assert (rows[0]["strength"], rows[0]["confidence"], rows[0]["reason"]) == (3, 4, "a clear win, s and d")
    assert {row["left"] for row in rows} == {"a", "b"}

    last = rows[-1]
    press_for_the_next(tab, "z")
    expect(tab.locator(".st-key-notice")).to_contain_text("Undone")
    assert len(stored(sample, "Ada")) == 9
    press_for_the_next(tab, "s")
    again = stored(sample, "Ada")[0]
    assert (again["pair_id"], again["left"], again["choice"]) == (last["pair_id"], last["left"], "tie")
    assert boxes(tab) == at_first

    open_page(tab, "My annotations")
    table = tab.get_by_test_id("stDataFrame")
    table.click(position={"x": 160, "y": 55})
    tab.locator(".st-key-choices").wait_for()
    tab.wait_for_timeout(300)
    tab.keyboard.press("x")
    tab.wait_for_timeout(300)
    tab.keyboard.press("Enter")
    expect(tab.locator(".st-key-notice")).to_contain_text("Saved")
    edited = stored(sample, "Ada")[0]
    assert (edited["choice"], edited["left"], edited["supersedes"]) == (
        "both_bad",
        again["left"],
        again["id"],
    )


def _words(text: Any) -> set[str]:
    text = text if isinstance(text, str) else text["text"]
    return set("".join(letter if letter.isalpha() else " " for letter in text).split())


def test_the_keys_for_reading_pausing_and_looking_things_up(sample: Server, new_tab: Tab) -> None:
    tab = enter(new_tab(), sample, "Grace")
    tab.keyboard.press("f")
    tab.locator(".st-key-left .differences mark").first.wait_for()
    tab.keyboard.press("f")
    expect(tab.locator(".differences")).to_have_count(0)
    tab.keyboard.press("g")
    expect(tab.locator(".st-key-guidelines")).to_have_count(0)

    tab.keyboard.press("?")
    sheet = tab.get_by_role("dialog")
    expect(sheet).to_contain_text("left is better")
    tab.keyboard.press("a")
    tab.keyboard.press("Escape")
    expect(sheet).to_have_count(0)

    answer = tab.locator(".st-key-left").inner_text()
    place = tab.get_by_role("button", name="Left better").bounding_box()
    tab.keyboard.press("p")
    expect(tab.locator(".st-key-notice")).to_contain_text("Paused")
    expect(tab.locator(".st-key-left")).not_to_contain_text(answer.splitlines()[0])
    tab.keyboard.press("a")
    tab.wait_for_timeout(1500)
    tab.keyboard.press("p")
    expect(tab.locator(".st-key-left")).to_contain_text(answer.splitlines()[0])
    assert tab.get_by_role("button", name="Left better").bounding_box() == place
    assert stored(sample, "Grace") == []


def test_a_double_click_and_a_key_held_down_judge_one_pair(sample: Server, new_tab: Tab) -> None:
    tab = enter(new_tab(), sample, "Alan")
    tab.get_by_role("button", name="Left better").dblclick()
    until(lambda: stored(sample, "Alan"))
    tab.wait_for_timeout(1000)
    assert len(stored(sample, "Alan")) == 1
    settled(tab)
    tab.keyboard.down("s")
    for _ in range(8):
        tab.keyboard.down("s")
        tab.wait_for_timeout(60)
    tab.keyboard.up("s")
    until(lambda: len(stored(sample, "Alan")) > 1)
    tab.wait_for_timeout(1000)
    assert len(stored(sample, "Alan")) == 2


def test_paused_time_does_not_count(sample: Server, new_tab: Tab) -> None:
    begun = time.monotonic()
    tab = enter(new_tab(), sample, "Edsger")
    tab.keyboard.press("p")
    expect(tab.locator(".st-key-notice")).to_contain_text("Paused")
    tab.wait_for_timeout(6000)
    tab.keyboard.press("p")
    expect(tab.get_by_role("button", name="Tie")).to_be_enabled()
    tab.wait_for_timeout(300)
    press_for_the_next(tab, "s")
    (row,) = stored(sample, "Edsger")
    assert 0 < row["seconds"] < time.monotonic() - begun - 6


def test_two_tabs_of_one_person_hold_one_pair(sample: Server, new_tab: Tab) -> None:
    one, two = enter(new_tab(), sample, "Barbara"), enter(new_tab(), sample, "Barbara")
    assert texts(one) == texts(two)
    press_for_the_next(one, "a")
    two.keyboard.press("t")
    two.keyboard.type("still here")
    two.keyboard.press("Escape")
    two.keyboard.press("d")
    expect(two.locator(".st-key-notice")).to_contain_text("judged")
    expect(two.get_by_test_id("stCode")).to_contain_text("still here")
    two.keyboard.press("Enter")
    two.locator(".st-key-choices").wait_for()
    assert texts(one) == texts(two) and len(stored(sample, "Barbara")) == 1


def test_texts_are_shown_and_not_run_and_load_nothing(tmp_path: Path, browser: Browser, new_tab: Tab) -> None:
    chat = Prompt(
        (Message("user", HOSTILE), Message("assistant", "Earlier."), Message("user", f"Last turn {HOSTILE}"))
    )
    with served(
        tmp_path, browser, Pair(chat, Response(HOSTILE), Response(f"Other {HOSTILE}")), guidelines=HOSTILE
    ) as server:
        tab = new_tab()
        enter(tab, server, "Eve")
        expect(tab.locator(".st-key-left")).to_contain_text("<script>window.ran = 1</script>")
        expect(tab.locator(".st-key-left strong")).to_have_text("bold")
        expect(tab.locator(".st-key-prompt")).to_contain_text("Last turn")
        expect(tab.locator(".st-key-earlier")).to_contain_text("Earlier.")
        tab.keyboard.press("f")
        tab.locator(".st-key-left .differences").wait_for()
        assert tab.evaluate("window.ran") is None
        assert tab.locator("a[href^='javascript']").count() == 0


def test_a_lease_that_runs_out_is_told_and_nothing_typed_is_lost(
    tmp_path: Path, browser: Browser, new_tab: Tab
) -> None:
    given = [Pair(Prompt.from_text(f"Question {i}?"), Response("one"), Response("two")) for i in range(3)]
    with served(tmp_path, browser, *given, k=1, lease_minutes=0) as server:
        tab = enter(new_tab(), server, "Ada")
        expect(tab.locator(".st-key-notice")).to_contain_text("ran out")
        expect(tab.locator(".st-key-desk .lease")).to_contain_text("No longer held")
        settled(tab)
        tab.keyboard.press("t")
        expect(tab.locator(".st-key-reason textarea")).to_be_focused()
        tab.keyboard.type("my reason")
        tab.keyboard.press("Escape")
        other = enter(new_tab(), server, "Bob")
        press_for_the_next(other, "a")
        tab.keyboard.press("d")
        expect(tab.locator(".st-key-notice")).to_contain_text("meanwhile")
        expect(tab.get_by_test_id("stCode")).to_contain_text("my reason")
        tab.keyboard.press("Enter")
        tab.locator(".st-key-choices").wait_for()
        tab.wait_for_timeout(300)
        press_for_the_next(tab, "s")
        assert [row["choice"] for row in stored(server, "Ada")] == ["tie"]


def test_whoever_waits_gets_the_pair_that_comes_free(tmp_path: Path, browser: Browser, new_tab: Tab) -> None:
    with served(
        tmp_path, browser, Pair(Prompt.from_text("Only one?"), Response("yes"), Response("no")), k=2
    ) as server:
        first = enter(new_tab(), server, "Ada")
        enter(new_tab(), server, "Bob")
        late = enter(new_tab(), server, "Cy")
        expect(late.get_by_test_id("stAlert")).to_contain_text("in other hands")
        first.keyboard.press("n")
        late.locator(".st-key-choices").wait_for()
        expect(late.locator(".st-key-prompt")).to_contain_text("Only one?")
        expect(first.get_by_test_id("stAlert")).to_contain_text("through")
