"""Annotating: every state of the page, what a choice leaves in the store, and that texts stay texts."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from core.judging import Verdict
from core.records import Message, Pair, Parsed, Prompt, Response
from pages._pair import RENDERED, readable
from pages._turn import choose
from storage import annotations, campaigns, pairs, people
from storage.tables import AnnotationRow, CampaignRow
from storage.workbench import Workbench

PAGES = Path(__file__).resolve().parents[2] / "pages"
PAGE = str(PAGES / "annotate.py")
A, B = "The first answer is here.", "The second answer stands there."


def campaign_of(bench: Workbench, *given: Pair, **rules: Any) -> CampaignRow:
    """The first campaign with these rules and pairs."""
    campaign = campaigns.first(bench.store)
    for name, value in rules.items():
        setattr(campaign, name, value)
    with bench.desks[campaign.id].closed(), bench.store.writing() as session:
        session.merge(campaign)
    parsed = Parsed(list(enumerate(given, start=1)), [])
    pairs.add(bench.store, bench.desks, parsed, campaign.id, "test", source="test")
    return campaign


def some(n: int, a: str = A, b: str = B) -> list[Pair]:
    return [Pair(Prompt.from_text(f"Question {i}?"), Response(a, "m1"), Response(b, "m2")) for i in range(n)]


def visit(name: str = "Ada") -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = name
    return at.run()


def visit_within_the_app(name: str = "Ada") -> AppTest:
    at = AppTest.from_file(str(PAGES / "_shell.py"), default_timeout=300)
    at.session_state["name"] = name
    return at.switch_page("annotate.py").run()


def press(at: AppTest, label: str) -> AppTest:
    assert not at.exception
    return next(button for button in at.button if button.label == label).click().run()


def labels(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


def texts(at: AppTest) -> str:
    return "\n".join(
        element.value
        for kind in ("markdown", "caption", "info", "success", "warning")
        for element in at.get(kind)
    )


def mine(bench: Workbench, name: str = "Ada") -> list[dict[str, Any]]:
    return annotations.page(bench.store, annotator_id=people.annotator(bench.store, name).id)[0]


def turn(at: AppTest) -> Any:
    (held,) = at.session_state["turns"].values()
    return held


@pytest.mark.parametrize(
    ("label", "choice"),
    [
        ("Left better", "left"),
        ("Right better", "right"),
        ("Tie", "tie"),
        ("Both bad", "both_bad"),
        ("Skip", "skip"),
    ],
)
def test_a_choice_is_stored_by_response_with_the_side_it_stood_on(
    bench: Workbench, label: str, choice: str
) -> None:
    campaign_of(bench, *some(2))
    at = visit()
    lease = turn(at).lease
    press(at, label)
    (row,) = mine(bench)
    expected = {"left": "a" if lease.a_left else "b", "right": "b" if lease.a_left else "a"}.get(
        choice, choice
    )
    assert (row["pair_id"], row["choice"], row["left"]) == (
        lease.pair_id,
        expected,
        "a" if lease.a_left else "b",
    )
    assert row["source"] == "person" and 0 <= row["seconds"] < 60
    assert turn(at).lease.pair_id != lease.pair_id


def test_what_was_said_besides_goes_with_the_choice_and_starts_blank_on_the_next_pair(
    bench: Workbench,
) -> None:
    campaign_of(bench, *some(2), aspects=["helpful", "honest"])
    at = visit()
    lease = turn(at).lease
    at.get("button_group")[0].set_value(3)
    at.get("button_group")[1].set_value(4)
    at.get("button_group")[2].set_value("right")
    at.text_area[0].set_value("  It is shorter.  ").run()
    press(at, "Left better")
    (row,) = mine(bench)
    assert (row["strength"], row["confidence"], row["reason"]) == (3, 4, "It is shorter.")
    assert row["aspects"] == f'{{"helpful": "{"b" if lease.a_left else "a"}"}}'
    assert [group.value for group in at.get("button_group")] == [None] * 4
    assert not at.text_area[0].value


def test_strength_is_left_out_where_neither_is_better(bench: Workbench) -> None:
    campaign_of(bench, *some(1))
    at = visit()
    at.get("button_group")[0].set_value(2).run()
    press(at, "Tie")
    assert mine(bench)[0]["strength"] is None


def test_only_what_the_campaign_offers_is_there(bench: Workbench) -> None:
    campaign_of(bench, *some(1), ties=False, both_bad=False, strength=False)
    at = visit()
    assert not {"Tie", "Both bad"} & set(labels(at)) and {"Left better", "Right better", "Skip"} <= set(
        labels(at)
    )
    assert len(at.get("button_group")) == 1


def test_a_second_click_on_an_answered_pair_does_nothing(bench: Workbench) -> None:
    campaign_of(bench, *some(3))
    at = visit()
    first = turn(at)
    press(at, "Left better")
    choose(first, "right")
    assert len(mine(bench)) == 1


def test_undo_brings_the_pair_back_with_its_sides_and_what_was_said(bench: Workbench) -> None:
    campaign_of(bench, *some(3))
    at = visit()
    before = turn(at).lease
    at.get("button_group")[1].set_value(2)
    at.text_area[0].set_value("Because.").run()
    press(at, "Right better")
    press(at, "Undo")
    after = turn(at)
    assert (after.lease.pair_id, after.lease.a_left, after.chosen) == (before.pair_id, before.a_left, "right")
    assert (at.get("button_group")[1].value, at.text_area[0].value) == (2, "Because.")
    assert mine(bench) == [] and "**0** today" in texts(at)
    press(at, "Left better")
    assert [row["choice"] for row in mine(bench)] == ["a" if before.a_left else "b"]


def test_what_was_typed_on_a_pair_survives_an_undo_before_it(bench: Workbench) -> None:
    campaign_of(bench, *some(2))
    at = visit()
    press(at, "Tie")
    at.text_area[0].set_value("Half a thought").run()
    press(at, "Undo")
    press(at, "Tie")
    assert at.text_area[0].value == "Half a thought"


def test_undo_with_nothing_done_says_so(bench: Workbench) -> None:
    campaign_of(bench, *some(1))
    assert "nothing to undo" in texts(press(visit(), "Undo"))


def test_marked_first_then_submitted(bench: Workbench) -> None:
    campaign_of(bench, *some(2))
    at = press(visit(), "Mark")
    press(at, "Tie")
    assert mine(bench) == [] and turn(at).chosen == "tie"
    press(at, "Both bad")
    press(at, "Submit")
    assert [row["choice"] for row in mine(bench)] == ["both_bad"]


def test_a_pause_covers_the_answers_and_stops_the_clock(bench: Workbench) -> None:
    campaign_of(bench, *some(1))
    at = press(visit(), "Pause")
    assert A not in texts(at) and "Paused" in texts(at) and "Question 0?" in texts(at)
    assert turn(at).clock.since is None
    assert all(
        b.disabled for b in at.button if b.label in ("Left better", "Tie", "Both bad", "Right better", "Skip")
    )
    press(at, "Resume")
    assert A in texts(at) and turn(at).clock.since is not None


def test_the_other_tab_was_quicker(bench: Workbench) -> None:
    campaign_of(bench, *some(3))
    one, two = visit(), visit()
    assert turn(one).lease == turn(two).lease
    press(one, "Left better")
    two.text_area[0].set_value("Typed in the second tab").run()
    press(two, "Right better")
    assert len(mine(bench)) == 1
    assert two.warning and two.code[0].value == "Typed in the second tab"
    press(two, "Next pair")
    assert turn(two).lease == turn(one).lease and not two.warning


def test_a_lease_that_ran_out_keeps_what_was_typed_and_still_counts_while_there_is_room(
    bench: Workbench,
) -> None:
    campaign_of(bench, *some(2), k=2, lease_minutes=0)
    at = visit()
    assert "ran out" in texts(at)
    at.text_area[0].set_value("Slow but sure").run()
    press(at, "Tie")
    assert [(row["choice"], row["reason"]) for row in mine(bench)] == [("tie", "Slow but sure")]


def test_a_pair_that_filled_up_meanwhile_gives_the_reason_back_and_goes_on(bench: Workbench) -> None:
    campaign = campaign_of(bench, *some(2), k=1, lease_minutes=0)
    at = visit()
    at.text_area[0].set_value("My long reason").run()
    bob = people.annotator(bench.store, "Bob")
    bench.desks[campaign.id].submit(
        bob.id, turn(at).lease.pair_id, Verdict("tie"), datetime.now(UTC), source="api"
    )
    press(at, "Left better")
    assert mine(bench) == []
    assert "meanwhile" in at.warning[0].value and at.code[0].value == "My long reason"
    assert "Left better" not in labels(at)
    press(at, "Next pair")
    assert "Left better" in labels(at)


def test_done_others_hold_the_rest_not_yours_and_no_pairs_are_told_apart(bench: Workbench) -> None:
    assert "no pairs yet" in visit_within_the_app().info[0].value
    campaign = campaign_of(bench, *some(1), k=1)
    at = visit_within_the_app()
    waiting = visit_within_the_app("Bob")
    assert "in other hands" in waiting.info[0].value and "Left better" not in labels(waiting)
    press(at, "Tie")
    assert "You are through" in at.success[0].value
    with bench.desks[campaign.id].closed():
        campaign.annotators = [people.annotator(bench.store, "Ada").id]
        campaigns.update(bench.store, campaign, "test")
    assert not visit_within_the_app("Ada").exception
    assert "not among the annotators" in visit_within_the_app("Bob").info[0].value


def test_a_pair_that_comes_free_ends_the_wait(bench: Workbench) -> None:
    campaign = campaign_of(bench, *some(1), k=1)
    ada = people.annotator(bench.store, "Ada")
    desk = bench.desks[campaign.id]
    held = desk.next(ada.id, datetime.now(UTC))
    at = visit("Bob")
    assert at.info
    desk.submit(ada.id, held.pair_id, Verdict("skip"), datetime.now(UTC), source="person", lease_id=held.id)
    assert "Left better" in labels(at.run())


def test_tags_script_and_images_stay_text(bench: Workbench) -> None:
    hostile = '<script>alert(1)</script> ![x](http://example.org/x.png) <img src=x onerror="alert(1)">'
    campaign_of(bench, Pair(Prompt.from_text(hostile), Response(hostile), Response(f"{hostile}!")))
    at = visit()
    for element in at.markdown:
        assert not element.allow_html
        assert "<script" not in element.value.replace("\\<", "")
        assert "![" not in element.value.replace("\\![", "")
    press(at, "Differences")
    marked = [element.proto.body for element in at.get("html") if element.proto.body.startswith("<div")]
    assert len(marked) == 2
    assert all("<script" not in body and "<img" not in body and "&lt;script" in body for body in marked)
    assert "<mark>!</mark>" in "".join(marked)


def test_an_answer_that_names_its_model_is_flagged_and_the_name_hidden(bench: Workbench) -> None:
    campaign_of(
        bench, Pair(Prompt.from_text("Who?"), Response("As ChatGPT, I like it."), Response("I like it."))
    )
    at = visit()
    assert "says which model" in texts(at) and "ChatGPT" not in texts(at)
    press(at, "Differences")
    assert all("ChatGPT" not in element.proto.body for element in at.get("html"))


def test_the_turns_before_are_shown_with_the_last_one_apart(bench: Workbench) -> None:
    turns = (
        Message("system", "Be terse."),
        Message("user", "One?"),
        Message("assistant", "Two."),
        Message("user", "Three?"),
    )
    campaign_of(bench, Pair(Prompt(turns), Response(A), Response(B)))
    shown = [element.value for element in visit().markdown]
    assert [text for text in shown if text in ("Be terse.", "One?", "Two.", "Three?")] == [
        "Be terse.",
        "One?",
        "Two.",
        "Three?",
    ]


def test_a_very_long_answer_is_cut_until_asked_for(bench: Workbench) -> None:
    campaign_of(bench, *some(1, "word " * 40_000, "short"))
    at = visit()
    assert max(len(element.value) for element in at.markdown) <= RENDERED
    press(at, "Show all 200,000 characters")
    assert max(len(element.value) for element in at.markdown) > 190_000


def test_nobody_sees_a_model(bench: Workbench) -> None:
    campaign_of(bench, *some(1))
    assert "m1" not in texts(visit()) and "m2" not in texts(visit())


def test_an_annotation_is_stored_once_even_when_the_page_is_left_and_come_back_to(bench: Workbench) -> None:
    campaign_of(bench, *some(2))
    at = visit()
    at.text_area[0].set_value("Typed, then left").run()
    shell = AppTest.from_file(PAGE, default_timeout=300)
    for key in ("name", "turns", "today"):
        shell.session_state[key] = at.session_state[key]
    shell.run()
    assert shell.text_area[0].value == "Typed, then left"
    press(shell, "Tie")
    with bench.store.reading() as session:
        assert len(session.exec(select(AnnotationRow)).all()) == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("It costs $5 or $10.", "It costs \\$5 or \\$10."),
        ("Euler: $e^{i}$ and $$x$$", "Euler: $e^{i}$ and $$x$$"),
        (r"So \(x^2\) holds", "So $x^2$ holds"),
        ("see ![alt](http://x/y.png)", "see \\![alt](http://x/y.png)"),
        ("`![a](b) $5 <b>` and ![a](b)", "`![a](b) $5 <b>` and \\![a](b)"),
        ("```\n<b> $5\n![a](b)\n```\n<b>", "```\n<b> $5\n![a](b)\n```\n\\<b>"),
        ("a\nb", "a  \nb"),
        (":red[x] at 10:30 in std::vector", "\\:red[x] at 10:30 in std::vector"),
        ("1 < 2 and a<b>", "1 < 2 and a\\<b>"),
    ],
)
def test_readable(written: str, meant: str) -> None:
    assert readable(written) == meant


def test_readable_takes_time_in_proportion_to_the_text() -> None:
    for hostile in (
        "`" * 200_000,
        "`a" * 100_000,
        "$a" * 100_000,
        "\\(" * 100_000,
        "```\n" * 50_000,
        "\\[" * 100_000,
        "$$a" * 66_000,
    ):
        start = time.process_time()
        readable(hostile)
        assert time.process_time() - start < 3
