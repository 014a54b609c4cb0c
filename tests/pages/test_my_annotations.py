"""My annotations: finding an earlier judgement, seeing it as it stood, changing it with the history kept."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from core.judging import Verdict
from core.queueing import Lease
from storage import annotations, campaigns, people
from storage.workbench import Workbench

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "my_annotations.py")


def judge(bench: Workbench, n: int, verdict: Verdict, name: str = "Ada") -> list[str]:
    """Let somebody judge their next n pairs; returns the annotations' ids."""
    desk, who = bench.desks[campaigns.first(bench.store).id], people.annotator(bench.store, name)
    ids = []
    for _ in range(n):
        lease = desk.next(who.id, datetime.now(UTC))
        assert isinstance(lease, Lease)
        row = desk.submit(
            who.id, lease.pair_id, verdict, datetime.now(UTC), source="person", lease_id=lease.id
        )
        ids.append(row.id)
    return ids


def visit(opened: str | None = None, name: str = "Ada") -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = name
    if opened:
        at.session_state["opened"] = opened
    return at.run()


def press(at: AppTest, label: str) -> AppTest:
    assert not at.exception
    return next(button for button in at.button if button.label == label).click().run()


def mine(bench: Workbench) -> list[dict[str, Any]]:
    return annotations.page(bench.store, annotator_id=people.annotator(bench.store, "Ada").id)[0]


def test_nobody_has_said_anything_yet(sample: Workbench) -> None:
    assert "not judged a pair" in visit().info[0].value


def test_the_list_is_one_s_own_newest_first_and_paged(sample: Workbench) -> None:
    judge(sample, 55, Verdict("tie", confidence=4, reason="even"))
    judge(sample, 3, Verdict("a"), "Bob")
    at = visit()
    table = at.dataframe[0].value
    assert len(table) == 50 and set(table["You said"]) == {"Tie"} and set(table["Why"]) == {"even"}
    assert "1 to 50 of 55" in at.caption[0].value
    (pagination,) = at.get("pagination")
    at.session_state[pagination.key] = 2
    at.run()
    assert len(at.dataframe[0].value) == 5


def test_the_search_finds_words_of_the_prompt_and_of_the_reason(sample: Workbench) -> None:
    judge(sample, 3, Verdict("tie"))
    judge(sample, 1, Verdict("b", reason="The second one is KINDER."))
    at = visit()
    at.text_input[0].set_value("kinder").run()
    assert list(at.dataframe[0].value["Why"]) == ["The second one is KINDER."]
    prompt = mine(sample)[-1]["prompt"]
    at.text_input[0].set_value(prompt[5:40].upper()).run()
    assert prompt[:300] in list(at.dataframe[0].value["Prompt"])
    at.text_input[0].set_value("no such words").run()
    assert "Nothing found" in at.info[0].value


def test_a_change_supersedes_with_the_same_sides_and_shows_what_was_before(sample: Workbench) -> None:
    (first,) = judge(sample, 1, Verdict("a", strength=3, confidence=5, reason="Right.", seconds=12.5))
    before = mine(sample)[0]
    at = visit(first)
    assert at.text_area[0].value == "Right." and [g.value for g in at.get("button_group")] == [3, 5]
    marked = next(button for button in at.button if button.proto.type == "primary")
    assert marked.label == ("Left better" if before["left"] == "a" else "Right better")
    press(at, "Tie")
    assert mine(sample)[0]["id"] == first
    at.text_area[0].set_value("On second thoughts even.").run()
    press(at, "Submit")
    (after,) = mine(sample)
    assert (after["choice"], after["left"], after["strength"], after["reason"], after["seconds"]) == (
        "tie", before["left"], None, "On second thoughts even.", 12.5,
    )  # fmt: skip
    assert after["supersedes"] == first
    assert any("Saved" in caption.value for caption in at.caption)
    at.run()
    assert any("Before" in caption.value and "changed" in caption.value for caption in at.caption)
    press(at, "Back to the list")
    assert list(at.dataframe[0].value["You said"]) == ["Tie"]


def test_the_history_shows_one_s_own_votes_and_nobody_else_s(sample: Workbench) -> None:
    (first,) = judge(sample, 1, Verdict("tie"))
    pair_id = mine(sample)[0]["pair_id"]
    who = people.annotator(sample.store, "Ada").id
    assert len(annotations.history(sample.store, pair_id)) == 4
    assert [row["id"] for row in annotations.history(sample.store, pair_id, who)] == [first]


def test_an_annotation_changed_in_another_tab_is_told_and_nothing_is_lost(sample: Workbench) -> None:
    (first,) = judge(sample, 1, Verdict("tie"))
    at = press(visit(first), "Both bad")
    desk = sample.desks[campaigns.first(sample.store).id]
    who = people.annotator(sample.store, "Ada").id
    desk.edit(who, first, Verdict("a"), datetime.now(UTC), source="person")
    press(at, "Submit")
    assert [row["choice"] for row in mine(sample)] == ["a"]


def test_somebody_else_s_annotation_does_not_open(sample: Workbench) -> None:
    (first,) = judge(sample, 1, Verdict("tie"), "Bob")
    at = visit(first)
    assert not at.exception and "not judged a pair" in at.info[0].value
