"""A lead's way from votes to a deployed model, to what it gets wrong and to whether another serves users better, in a real
browser; an annotator has no part in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import NewTab
from tests.e2e.walking import accept, invite, open_page, settled, view
from tests.serving import serve

TRAINING = 240_000
"""Milliseconds for a training on a busy machine: most of it is the import of torch."""
LEARN = {
    "train": "Train",
    "job_queue": "Jobs",
    "models": "Models",
    "calibration": "Calibration",
    "predict": "Predict",
    "experiments": "Experiments",
}
PROMPT = "Why is the sky blue?"
ANSWERS = [
    "no idea",
    "Sunlight is scattered by the air, and blue light most of all, so it reaches us from everywhere.",
    "It is.",
]
LATER = [
    {"prompt": f"How much is {n} times {n}?", "response_a": f"{n} times {n} is {n * n}.", "response_b": "Ask a calculator.",
     "annotator": who, "choice": "a" if n % 4 else "b"}
    for n in range(2, 14)
    for who in ("Grace", "Alan")
]  # fmt: skip
"""Judgements by people of pairs that came after the training."""
_ASK = """async body => (await fetch("/api/rerank", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)
})).json()"""

_TRY = """async key => {
  const at = `/api/experiments/${key}`, units = [...Array(300).keys()].map(i => `user ${i}`);
  const arms = await Promise.all(units.map(async unit => (await fetch(`${at}/assign?unit=${unit}`)).json()));
  const outcomes = arms.map(({unit, variant}, i) => (
    {unit, metric: "rating", value: (variant === "treatment" ? 4 : 2) + i % 2}
  ));
  const body = JSON.stringify({outcomes});
  return (await fetch(`${at}/outcomes`, {method: "POST", headers: {"Content-Type": "application/json"}, body})).json()
}"""


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
    open_page(mary, "Predict")
    assert rank(mary, ANSWERS[:2]) == [1, 2]
    expect(main(mary)).to_contain_text("This is the order as given, not a ranking. No model is deployed.")
    for without in ("Probe", "Retraining set"):
        view(mary, without)
        expect(main(mary)).to_contain_text("There is no model yet.")

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


def test_she_asks_the_deployed_model_probes_it_and_makes_a_set_of_its_errors(team: Team) -> None:
    mary = team.mary
    open_page(mary, "Predict")
    view(mary, "Rank")
    assert set(rank(mary, ANSWERS[:2])) == {1, 2}
    [sure] = probabilities(mary)
    assert 0.5 <= sure < 1
    expect(main(mary)).to_contain_text("Said by helpful 1.0.0 (deployed)")
    said = mary.evaluate(_ASK, {"prompt": PROMPT, "candidates": ANSWERS})
    assert rank(mary, ANSWERS) == [one["index"] + 1 for one in said["ranked"]]
    assert len(probabilities(mary)) == 2

    upload(mary, LATER)
    open_page(mary, "Predict")
    view(mary, "Probe")
    expect(main(mary).get_by_role("button", name="Probe", exact=True)).to_be_visible()
    choose(mary, "helpful 1.0.0 · deployed")
    expect(main(mary)).to_contain_text(
        "12 of the campaign’s 84 pairs have a label that helpful 1.0.0 has not learnt from"
    )
    main(mary).get_by_role("button", name="Probe", exact=True).click()
    against = main(mary).get_by_role("heading", name=re.compile(r"^\d+ disagreements in 12 pairs$"))
    expect(against).to_be_visible(timeout=TRAINING)
    settled(mary)
    main(mary).get_by_test_id("stDataFrame").last.click(position={"x": 16, "y": 52})
    expect(main(mary)).to_contain_text("Ask a calculator.")
    expect(main(mary)).to_contain_text(re.compile(r"Votes: [AB] 2"))

    view(mary, "Retraining set")
    expect(main(mary)).to_contain_text("Confident mistakes")
    choose(mary, "helpful 1.0.0 · deployed")
    expect(main(mary)).to_contain_text("82 labelled pairs of the campaign")
    main(mary).get_by_role("button", name="Train with these weights").click()
    mary.get_by_role("heading", name="Train", exact=True).wait_for()
    settled(mary)
    expect(main(mary)).to_contain_text(
        re.compile(r"Usable pairs\s*82(?!\d).*New since 1\.1\.0\s*24(?!\d)", re.DOTALL)
    )
    weighed = main(mary).get_by_test_id("stSelectbox").filter(has_text="Weight up the errors of")
    expect(weighed.get_by_role("combobox")).to_have_value("1.0.0 · sbert")


def test_she_tries_both_versions_on_users_and_deploys_the_better(team: Team) -> None:
    mary = team.mary
    open_page(mary, "Experiments")
    main(mary).get_by_label("Name", exact=True).fill("Does form help?")
    mary.get_by_role("button", name="Begin").click()
    code = main(mary).get_by_test_id("stCode")
    expect(code).to_contain_text("/assign")
    found = re.search(r"/experiments/(\w+)/assign", code.inner_text())
    assert found
    assert mary.evaluate(_TRY, found[1]) == {"added": 300, "duplicate": 0, "refused": []}
    view(mary, "Result")
    expect(main(mary)).to_contain_text(re.compile(r"Deploy the treatment\. .* rating differs by \+[12]\."))
    mary.get_by_role("button", name="Deploy…").click()
    mary.get_by_role("dialog").get_by_role("button", name="Deploy", exact=True).click()
    expect(main(mary)).to_contain_text("treatment deployed since")
    open_page(mary, "Models")
    expect(card(mary, "1.1.0")).to_contain_text("deployed")


def test_an_annotator_has_no_page_to_learn_on(team: Team, troubles: list[str]) -> None:
    grace = team.grace
    links = grace.get_by_test_id("stSidebarNav").get_by_role("link")
    offered = {link.get_attribute("href").rpartition("/")[2] for link in links.all()}
    assert offered.isdisjoint(LEARN)
    for page, title in LEARN.items():
        grace.goto(f"{team.url}/{page}")
        expect(main(grace).get_by_role("button", name="Left better")).to_be_visible()
        expect(main(grace).get_by_role("heading", name=title)).to_have_count(0)
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


def rank(page: Page, answers: list[str]) -> list[int]:
    """Have answers to PROMPT ranked; where each of them stood, the best first."""
    fields = main(page).get_by_label(re.compile(r"^Answer \d+$"))
    while fields.count() < len(answers):
        page.get_by_role("button", name="Add an answer").click()
        settled(page)
    main(page).get_by_label("Prompt", exact=True).fill(PROMPT)
    for number, answer in enumerate(answers, start=1):
        main(page).get_by_label(f"Answer {number}", exact=True).fill(answer)
    page.get_by_role("button", name="Rank", exact=True).click()
    places = main(page).get_by_text(re.compile(r"^\d · Answer \d$"))
    expect(places).to_have_count(len(answers), timeout=TRAINING)
    settled(page)
    return [int(place.inner_text()[-1]) for place in places.all()]


def probabilities(page: Page) -> list[float]:
    """Of each answer of the ranking but the last: how probable it is that people prefer it to the next."""
    found = main(page).get_by_text(re.compile(r"^\d+\.\d% preferred to the next$"))
    return [float(one.inner_text().partition("%")[0]) / 100 for one in found.all()]


def choose(page: Page, model: str) -> None:
    """Choose the model that a view of the Predict page is about."""
    main(page).get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=model).click()
    settled(page)


def upload(page: Page, judgements: list[dict[str, str]]) -> None:
    """Bring in annotated pairs on the Pairs page."""
    open_page(page, "Pairs")
    view(page, "Import")
    content = "".join(json.dumps(row) + "\n" for row in judgements).encode()
    file = {"name": "later.jsonl", "mimeType": "application/x-ndjson", "buffer": content}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name=f"Import {len(judgements)} rows").click()
    expect(main(page)).to_contain_text(re.compile(rf"Annotations added\s*{len(judgements)}(?!\d)"))
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
