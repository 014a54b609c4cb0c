"""A team's way through Attune in real browsers: two people, from the first sign-in to the exported file."""

import csv
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import (
    PASSWORD,
    Shown,
    accept,
    another_pair,
    invite,
    judge,
    letters,
    open_page,
    settled,
    shown,
    today,
    view,
)
from tests.serving import serve

SIDES = ("left", "right", "tie", "left", "both_bad", "right", "left", "right", "left", "right")
REASONED, OPPOSED, UNDONE = 5, (5, 7), 9
"""Of the ten: the one with a reason, those that the other person sees differently, the one taken back."""
WHY = "It answers what was asked"


@dataclass(frozen=True)
class Team:
    """A running app, the tab of Ada, its first admin, and that of Grace, an annotator, each in a browser of her own."""

    url: str
    ada: Page
    grace: Page


@dataclass(frozen=True)
class Judged:
    """A pair as it stood on the screen, and the side that was chosen."""

    was: Shown
    side: str

    @property
    def chosen(self) -> tuple[str, str] | None:
        """The chosen and the rejected answer; None where neither is better."""
        sides = {"left": (self.was.left, self.was.right), "right": (self.was.right, self.was.left)}
        return sides.get(self.side)


@pytest.fixture(scope="module")
def team(new_tab: NewTab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with serve(tmp_path_factory.mktemp("journey"), ATTUNE_AUTH="password") as server:
        ada, grace = new_tab(), new_tab()
        accept(ada, server.first_admin, Login="ada", Name="Ada Lovelace")
        link = invite(ada, "grace", "Grace Hopper", "annotator")
        assert link.startswith(f"{server.url}/auth/invitation/")
        accept(grace, link)
        yield Team(server.url, ada, grace)


@pytest.fixture
def prompts_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The 80 prompts of MT-bench, or as many made up where the shared data is absent."""
    with suppress(pytest.skip.Exception):
        shared: Path = request.getfixturevalue("shared_data")
        return shared / "prompts" / "mt_bench.jsonl"
    path = tmp_path / "mt_bench.jsonl"
    rows = (
        {"text": f"Explain the {'very ' * n}old question of tides.", "category": "general"} for n in range(80)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_prompts_to_a_file_that_holds_what_they_chose(
    team: Team, prompts_file: Path, tmp_path: Path
) -> None:
    ada, grace = team.ada, team.grace
    upload_prompts(ada, prompts_file)
    generate(ada, 80)
    judged = annotate_ten(ada)
    judged[UNDONE] = undo(ada, judged[UNDONE], "left")
    sees_agreement(ada, "–", 0)

    open_page(grace, "Annotate")
    for _ in range(4):
        second_opinion(grace, judged)
    sees_agreement(ada, "1.000", 4)
    for _ in range(4):
        second_opinion(grace, judged)
    sees_agreement(ada, "0.750", 8)
    judged[REASONED] = edit(ada, judged[REASONED], "left")
    sees_agreement(ada, "0.875", 8)

    rows, annotations = export(ada, tmp_path)
    undecided = OPPOSED[1]
    chosen = [one.chosen for i, one in enumerate(judged) if one.chosen and i != undecided]
    assert sorted((letters(row["chosen"]), letters(row["rejected"])) for row in rows) == sorted(chosen)
    prompts = {one.was.pair: one.was.prompt for one in judged}
    uploaded = {json.loads(line)["text"] for line in prompts_file.read_text().split("\n") if line}
    for row in rows:
        assert row["prompt"] in uploaded
        asked = prompts[frozenset((letters(row["chosen"]), letters(row["rejected"])))]
        assert asked[:40] == letters(row["prompt"])[:40]

    assert [row["annotator"] for row in annotations].count("Ada Lovelace") == 10
    assert [row["annotator"] for row in annotations].count("Grace Hopper") == 8
    [reasoned] = [row for row in annotations if row["reason"]]
    assert (reasoned["reason"], reasoned["strength"], reasoned["confidence"]) == (WHY, "2", "4")


def upload_prompts(page: Page, file: Path) -> None:
    open_page(page, "Prompts")
    view(page, "Upload")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Add 80 rows").click()
    report = page.get_by_test_id("stMain")
    expect(report).to_contain_text("was taken in")
    expect(report).to_contain_text(
        re.compile(r"Rows\s*80\s*Added\s*80\s*Already there\s*0\s*Rows refused\s*0")
    )


def generate(page: Page, count: int) -> None:
    open_page(page, "Generate")
    page.get_by_role("button", name=f"Generate {count} pairs").click()
    page.get_by_role("progressbar").first.wait_for()
    done = f"{count} of {count} prompts have a pair · in the campaign, ready to annotate"
    expect(page.get_by_text(done)).to_be_visible()
    open_page(page, "Overview")
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(rf"Pairs\s*{count}"))


def annotate_ten(page: Page) -> list[Judged]:
    """Annotate by keyboard alone, with strength, confidence and one reason."""
    open_page(page, "Annotate")
    expect(page.get_by_text("Held for you")).to_be_visible()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog")
    for key, meaning in (("A", "left is better"), ("Z", "undo the last one"), ("T", "type a reason")):
        expect(sheet).to_contain_text(re.compile(rf"{key}\s*{meaning}"))
    page.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    judged = []
    for i, side in enumerate(SIDES):
        if i == REASONED:
            page.keyboard.press("t")
            page.keyboard.type(WHY)
            page.keyboard.press("Escape")
        judged.append(Judged(judge(page, side, "w", "4"), side))
    assert today(page) == len({one.was.pair for one in judged}) == 10
    return judged


def undo(page: Page, last: Judged, side: str) -> Judged:
    """Take the last annotation back, and judge its pair another way."""
    with another_pair(page):
        page.keyboard.press("z")
        expect(page.get_by_text("Undone. This is that pair again")).to_be_visible()
    assert shown(page) == last.was and today(page) == 9
    assert judge(page, side) == last.was
    assert today(page) == 10
    return Judged(last.was, side)


def second_opinion(page: Page, judged: list[Judged]) -> None:
    """Judge the next pair as the first person did, except those to be opposed."""
    now = shown(page)
    [i] = [i for i, one in enumerate(judged) if one.was.pair == now.pair] or pytest.fail(
        f"not the same pairs: {now}"
    )
    side = judged[i].side
    if chosen := judged[i].chosen:
        left = (chosen[0] == now.left) != (i in OPPOSED)
        side = "left" if left else "right"
    assert judge(page, side) == now


def edit(page: Page, before: Judged, side: str) -> Judged:
    """Find one annotation by its reason, and change the choice by keyboard."""
    open_page(page, "My annotations")
    page.get_by_placeholder("Words of the prompt or of your reason").fill(WHY)
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
    settled(page)
    expect(page.get_by_test_id("stDataFrame")).to_have_count(1)
    page.get_by_test_id("stDataFrame").click(position={"x": 16, "y": 52})
    page.locator(".st-key-left").wait_for()
    assert shown(page) == before.was
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved. What you said before is kept")).to_be_visible()
    return Judged(before.was, side)


def sees_agreement(page: Page, value: str, n: int) -> None:
    """The Agreement page shows this raw agreement, resting on so many pairs."""
    open_page(page, "Agreement")
    row = re.compile(rf"Raw agreement\s+{re.escape(value)}\s+(none|\d\.\d+ to \d\.\d+)?\s*{n}\s+0\.85")
    expect(page.get_by_test_id("stMain")).to_contain_text(row, use_inner_text=True)


def export(page: Page, folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The rows of all splits of the exported preference data set, and the annotations."""
    open_page(page, "Export")
    expect(page.get_by_test_id("stMain")).to_contain_text("of 80 pairs go out")
    with page.expect_download() as bundle:
        page.get_by_role("button", name="Download all (zip)").click()
    with page.expect_download() as table:
        page.get_by_role("button", name="All annotations (CSV)").click()
    bundle.value.save_as(folder / "export.zip")
    table.value.save_as(folder / "annotations.csv")
    with zipfile.ZipFile(folder / "export.zip") as files:
        lines = [
            files.read(name).decode().split("\n") for name in files.namelist() if name.endswith(".jsonl")
        ]
    with (folder / "annotations.csv").open(newline="", encoding="utf-8-sig") as file:
        return [json.loads(line) for split in lines for line in split if line], list(csv.DictReader(file))


@pytest.mark.parametrize("k", [1, 3])
def test_an_open_pair_is_shared_up_to_k_and_never_beyond(team: Team, k: int, tmp_path: Path) -> None:
    ada, grace = team.ada, team.grace
    campaign = f"Up to {k}"
    ada.goto(team.url)
    create_campaign(ada, campaign, k)
    import_pairs(ada, tmp_path / "pairs.csv", ("red", "green", "blue"))
    open_page(ada, "Annotate")
    held = shown(ada).pair

    grace.goto(f"{team.url}/annotate?campaign={quote(campaign)}")
    grace.locator(".st-key-left").wait_for()
    met = [judge(grace, "left").pair for _ in range(2)]
    if k == 1:
        expect(grace.get_by_text("What is left, 1 pair, is in other hands")).to_be_visible()
        assert held not in met
        assert judge(ada, "left").pair == held
    else:
        met.append(judge(grace, "left").pair)
        assert held in met
    expect(grace.get_by_text("You are through")).to_be_visible()
    assert len(set(met)) == len(met)


def create_campaign(page: Page, name: str, k: int) -> None:
    open_page(page, "Campaigns")
    page.get_by_role("button", name="New campaign").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Annotators a pair", exact=True).fill(str(k))
    page.get_by_role("button", name="Create campaign").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    settled(page)


def import_pairs(page: Page, file: Path, words: tuple[str, ...]) -> None:
    """Bring pairs, one for each word, into the campaign at hand."""
    rows = [(f"What is {word}?", f"A colour like {word}", f"No colour, {word}") for word in words]
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("prompt", "response_a", "response_b"), *rows])
    open_page(page, "Pairs")
    view(page, "Import")
    view(page, "Table of pairs")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name=f"Import {len(words)} rows").click()
    expect(page.get_by_text("was taken in")).to_be_visible()


def test_an_annotator_has_only_their_own_pages_and_nothing_after_signing_out(
    team: Team, new_tab: NewTab, troubles: list[str]
) -> None:
    page = new_tab()
    page.goto(team.url)
    page.get_by_label("Login").fill("grace")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    links = page.get_by_test_id("stSidebarNav").get_by_role("link")
    expect(links).to_have_count(2)
    assert [link.get_attribute("href").rpartition("/")[2] for link in links.all()] == [
        "annotate",
        "my_annotations",
    ]
    for name, title in (("overview", "Overview"), ("generate", "Generate"), ("people", "People")):
        page.goto(f"{team.url}/{name}")
        expect(links).to_have_count(2)
        settled(page)
        expect(page.get_by_role("heading", name=title)).to_have_count(0)
    assert all("does not seem to exist" in trouble for trouble in troubles)
    troubles.clear()
    page.goto(team.url)
    expect(links).to_have_count(2)
    settled(page)

    api = f"{team.url}/api/annotations"
    assert page.request.get(api).status == 200
    [cookie] = [one for one in page.context.cookies() if one["name"] == "attune_session"]
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{team.url}/auth/sign-in")
    page.context.add_cookies([cookie])
    assert page.request.get(api).status == 401
    page.goto(f"{team.url}/annotate")
    expect(page).to_have_url(f"{team.url}/auth/sign-in")
