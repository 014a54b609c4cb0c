"""Adjudicating: every state of the page, what stays hidden until one has chosen, and what a choice leaves in the store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.judging import Verdict
from core.records import Pair, Parsed, Prompt, Response
from pages._agreement import settled
from pages._case import go_on
from pages._turn import choose
from storage import adjudication, annotations, campaigns, pairs, people
from storage.tables import CampaignRow
from storage.workbench import Workbench
from tests.pages.conftest import Filled, Visit

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "adjudicate.py")
SAID = {"ann": "aab", "bob": "abb", "cat": "abx"}
CHOICES: dict[str, Any] = {"a": "a", "b": "b", "x": "both_bad"}


def three_pairs(bench: Workbench) -> None:
    campaign = campaigns.first(bench.store)
    made = [
        Pair(Prompt.from_text(f"Question {i}?", "math" if i == 1 else "general"), Response(f"One {i}", "m1"), Response(f"Two {i}", "m2"))
        for i in range(3)
    ]  # fmt: skip
    pairs.add(bench.store, bench.desks, Parsed(list(enumerate(made)), []), campaign.id, "test", source="test")
    for name, said in SAID.items():
        for pair, choice in zip(made, said, strict=True):
            verdict = Verdict(CHOICES[choice], 2 if choice != "x" else None, 4, reason=f"{name} has a reason")
            bench.desks[campaign.id].submit(
                people.annotator(bench.store, name).id, pair.id, verdict, datetime.now(UTC), source="person"
            )


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(three_pairs)


@pytest.fixture
def campaign(project: Path, bench: Workbench) -> CampaignRow:
    """Three pairs that three people judged: they agree on the first; of the second and the third a third part differs."""
    return campaigns.first(bench.store)


def visit(name: str = "Lea") -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = name
    return at.run()


def press(at: AppTest, label: str) -> AppTest:
    assert not at.exception
    return next(button for button in at.button if button.label == label).click().run()


def texts(at: AppTest) -> str:
    return "\n".join(
        e.value for kind in ("markdown", "caption", "info", "success", "warning") for e in at.get(kind)
    )


def case(at: AppTest) -> Any:
    (held,) = at.session_state["cases"].values()
    return held


def mine(bench: Workbench, name: str = "Lea") -> list[dict[str, Any]]:
    return annotations.page(
        bench.store, annotator_id=people.annotator(bench.store, name).id, resolutions=True
    )[0]


def test_the_votes_are_hidden_until_one_has_chosen_and_shown_then(
    bench: Workbench, campaign: CampaignRow
) -> None:
    at = visit()
    assert "**0 of 2** disputed pairs resolved" in texts(at) and "Simulated" not in texts(at)
    assert not at.dataframe and "has a reason" not in texts(at) and "m1" not in texts(at)
    lease = case(at).lease
    at.text_area[0].set_value("It is shorter.").run()
    press(at, "Left better")
    (row,) = mine(bench)
    assert (row["pair_id"], row["choice"], row["reason"]) == (
        lease.pair_id,
        "a" if lease.a_left else "b",
        "It is shorter.",
    )
    assert row["source"] == "adjudication" and row["seconds"] is not None
    table = at.dataframe[0].value
    assert set(table["Annotator"]) == set(SAID) and set(table["Why"]) == {
        f"{name} has a reason" for name in SAID
    }
    assert len(table) == 3 and "Kind" not in table
    left = sum(said == "Left better" for said in table["Said"])
    assert f"You: **Left better**, as {left} of 3 votes" in texts(at) and "**1 of 2**" in texts(at)
    assert "Left better" not in [button.label for button in at.button]
    press(at, "Next pair")
    assert case(at).lease.pair_id != lease.pair_id and not at.dataframe and not at.text_area[0].value
    press(at, "Tie")
    press(at, "Next pair")
    assert "Every disputed pair is resolved" in at.success[0].value
    assert len(mine(bench)) == 2


def test_a_second_click_does_nothing(bench: Workbench, campaign: CampaignRow) -> None:
    at = visit()
    first = case(at)
    press(at, "Both bad")
    choose(first, "left")
    assert [row["choice"] for row in mine(bench)] == ["both_bad"]
    go_on(first)
    assert len(mine(bench)) == 1


def test_undo_brings_the_pair_back_with_its_sides_and_what_was_said(
    bench: Workbench, campaign: CampaignRow
) -> None:
    at = visit()
    assert "nothing to undo" in texts(press(at, "Undo"))
    before = case(at).lease
    at.get("button_group")[1].set_value(2)
    at.text_area[0].set_value("Because.").run()
    press(at, "Right better")
    press(at, "Undo")
    after = case(at)
    assert (after.lease.pair_id, after.lease.a_left, after.chosen) == (before.pair_id, before.a_left, "right")
    assert (at.get("button_group")[1].value, at.text_area[0].value) == (2, "Because.")
    assert mine(bench) == [] and not at.dataframe
    press(at, "Tie")
    press(at, "Next pair")
    at.text_area[0].set_value("Half a thought").run()
    press(at, "Undo")
    assert case(at).lease.pair_id == before.pair_id and case(at).chosen == "tie"
    press(at, "Tie")
    press(at, "Next pair")
    assert at.text_area[0].value == "Half a thought"


def test_a_pair_passed_over_goes_to_another_and_that_is_said(bench: Workbench, campaign: CampaignRow) -> None:
    at = visit()
    first = case(at).lease.pair_id
    press(at, "Skip")
    assert "Passed over" in texts(at) and "1 passed over by you" in texts(at) and not at.dataframe
    assert case(at).lease.pair_id != first
    press(at, "Skip")
    assert "you passed over" in at.info[0].value
    assert case(visit("Lou")).lease.pair_id == first
    assert adjudication.resolutions(bench.store) == {}
    press(at, "Undo")
    assert not at.info and case(at).lease.pair_id != first


def test_who_judged_a_pair_does_not_settle_it_and_is_told_why(
    bench: Workbench, campaign: CampaignRow
) -> None:
    at = visit("ann")
    assert "you judged yourself" in at.info[0].value and "2 judged by yourself" in texts(at)


def test_two_at_once_get_different_pairs_and_a_third_waits(bench: Workbench, campaign: CampaignRow) -> None:
    one, two = visit(), visit("Lou")
    assert case(one).lease.pair_id != case(two).lease.pair_id and "1 in other hands" in texts(one.run())
    assert "in other adjudicators’ hands" in visit("Lex").info[0].value


def test_the_other_tab_was_quicker(bench: Workbench, campaign: CampaignRow) -> None:
    one, two = visit(), visit()
    assert case(one).lease == case(two).lease
    press(one, "Left better")
    two.text_area[0].set_value("Typed in the second tab").run()
    press(two, "Right better")
    assert len(mine(bench)) == 1
    assert "another tab" in two.warning[0].value and two.code[0].value == "Typed in the second tab"
    assert not two.dataframe
    press(two, "Next pair")
    assert case(two).lease.pair_id != case(one).lease.pair_id and not two.warning


def test_the_filter_narrows_the_queue_and_an_empty_one_says_so(
    bench: Workbench, campaign: CampaignRow
) -> None:
    at = visit()
    at.selectbox(key="adjudicate category").select("math").run()
    assert "**0 of 1** disputed" in texts(at) and "Question 1?" in texts(at)
    at.selectbox(key="adjudicate category").select("general").run()
    assert "**0 of 1** disputed" in texts(at) and "Question 2?" in texts(at)
    at.number_input(key="adjudicate least").set_value(4).run()
    assert "No disputed pair is like that" in at.info[0].value
    at.number_input(key="adjudicate least").set_value(2).run()
    at.get("button_group")[0].set_value("doubt").run()
    assert "Question 2?" in texts(at) and not at.exception


def test_nobody_disagrees_and_nobody_has_judged(bench: Workbench, visit: Visit) -> None:
    at = visit("adjudicate")
    assert "Nobody disagrees so far" in at.info[0].value and len(at.get("page_link")) == 2


def test_simulated_votes_are_told_apart(sample: Workbench) -> None:
    at = visit()
    assert "Simulated votes count" in texts(at)
    assert set(press(at, "Left better").dataframe[0].value["Kind"]) == {"Simulated"}


def test_what_was_undone_in_another_tab_is_no_longer_on_the_screen(
    bench: Workbench, campaign: CampaignRow
) -> None:
    one, two = visit(), visit()
    press(one, "Left better")
    press(two, "Undo")
    assert mine(bench) == []
    one.run()
    assert (
        not one.exception and not one.dataframe and "Left better" in [button.label for button in one.button]
    )


def test_adjudicating_is_for_leads(bench: Workbench, campaign: CampaignRow, sign_in: Any) -> None:
    sign_in("researcher")
    at = visit()
    assert "for the role lead" in at.warning[0].value and not at.button


def test_the_agreement_page_tells_what_was_resolved(
    bench: Workbench, campaign: CampaignRow, sign_in: Any
) -> None:
    press(visit(), "Left better")
    found = settled(bench.store, campaign.id, None, "keep", ())
    (row,) = mine(bench)
    told = found.table().set_index("pair_id")["resolution"].to_dict()
    assert told == {pair: row["choice"] if pair == row["pair_id"] else "" for pair in found.majority.units}
