"""Prompts: each text once, found again by search, category and tag, edited with a trace."""

import json
from pathlib import Path

import pytest

from core.importing import guess_columns, read_prompts
from core.reading import read_rows
from core.records import Message, Parsed, Prompt, Refusal
from storage import prompts
from storage.store import Store


def parsed(*rows: Prompt) -> Parsed[Prompt]:
    return Parsed(list(enumerate(rows, start=1)), [])


def texts(store: Store, **narrowed: object) -> list[str]:
    rows, total = prompts.page(store, **narrowed)  # type: ignore[arg-type]
    assert total == len(rows)
    return sorted(row.text for row in rows)


@pytest.fixture
def filled(store: Store) -> Store:
    rows = (
        Prompt.from_text(
            "Prove Fermat's Last Theorem", "math", tags=("proof", "hard, very"), attributes={"lang": "en"}
        ),
        Prompt.from_text("100% sure? under_score", "general", tags=("prüf", "😀")),
        Prompt((Message("system", "Be brief."), Message("user", "Sort a list")), "coding", tags=("proof",)),
        Prompt.from_text("line\u2028separator ÉCLAIR", "team's own"),
    )
    prompts.add(store, parsed(*rows), "ann")
    return store


def test_the_same_text_twice_is_one_prompt(store: Store) -> None:
    one = Prompt.from_text("Why?")
    file = Parsed(
        [(1, one), (3, Prompt.from_text(" Why?\n", "math")), (4, Prompt.from_text("How?"))],
        [Refusal(2, None, "x")],
    )
    report = prompts.add(store, file, "ann", "file.csv")
    assert (report.added, report.duplicates, [r.row for r in report.refused], report.rows) == (2, [3], [2], 4)
    again = prompts.add(store, parsed(Prompt.from_text("New"), one, one), "ann")
    assert (again.added, again.duplicates) == (1, [2, 3])
    assert texts(store) == ["How?", "New", "Why?"]
    rows = store.rows("SELECT actor, action, record_id, detail FROM audit ORDER BY occurred_at")
    assert [row[:3] for row in rows] == [("ann", "add", "file.csv"), ("ann", "add", "page")]
    assert json.loads(rows[0][3]) == {"added": 2, "duplicates": 1, "refused": 1}


def test_a_chat_and_its_last_turn_alone_are_two_prompts_and_come_back_whole(store: Store) -> None:
    chat = Prompt(
        (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Why?")),
        "math",
        ("t",),
        {"g": "x"},
    )
    prompts.add(store, parsed(chat, Prompt.from_text("Why?")), "ann")
    row = prompts.get(store, chat.id)
    assert row is not None and row.text == "Why?" and prompts.record(row) == chat
    other = prompts.get(store, Prompt.from_text("Why?").id)
    assert other is not None and other.messages is None and prompts.record(other) == Prompt.from_text("Why?")
    assert prompts.get(store, "p_no") is None


def test_an_empty_file_adds_nothing(store: Store) -> None:
    assert prompts.add(store, parsed(), "ann").added == 0
    assert prompts.page(store) == ([], 0)


@pytest.mark.parametrize(
    ("narrowed", "found"),
    [
        ({"search": "FERMAT'S"}, ["Prove Fermat's Last Theorem"]),
        ({"search": "100%"}, ["100% sure? under_score"]),
        ({"search": "r_s"}, ["100% sure? under_score"]),
        ({"search": "éclair"}, ["line\u2028separator ÉCLAIR"]),
        ({"search": "'; DROP TABLE prompt; --"}, []),
        ({"categories": ["math", "coding"]}, ["Prove Fermat's Last Theorem", "Sort a list"]),
        ({"categories": ["team's own"]}, ["line\u2028separator ÉCLAIR"]),
        ({"tag": "proof"}, ["Prove Fermat's Last Theorem", "Sort a list"]),
        ({"tag": "hard, very"}, ["Prove Fermat's Last Theorem"]),
        ({"tag": "hard"}, []),
        ({"tag": "prüf"}, ["100% sure? under_score"]),
        ({"tag": "😀"}, ["100% sure? under_score"]),
        ({"tag": "proof", "categories": ["math"], "search": "last"}, ["Prove Fermat's Last Theorem"]),
        ({"archived": True}, []),
    ],
)
def test_narrowing(filled: Store, narrowed: dict[str, object], found: list[str]) -> None:
    assert texts(filled, **narrowed) == sorted(found)


def test_a_prompt_is_found_by_its_id(filled: Store) -> None:
    wanted = Prompt((Message("system", "Be brief."), Message("user", "Sort a list")))
    assert [row.id for row in prompts.page(filled, search=wanted.id)[0]] == [wanted.id]


def test_categories_and_tags_in_use(filled: Store) -> None:
    assert prompts.categories(filled) == [("coding", 1), ("general", 1), ("math", 1), ("team's own", 1)]
    assert prompts.tags(filled) == sorted(["proof", "hard, very", "prüf", "😀"])


def test_paging_shows_each_once(store: Store) -> None:
    for batch in range(3):
        prompts.add(store, parsed(*(Prompt.from_text(f"{batch} {i}") for i in range(11))), "ann")
    pages = [prompts.page(store, offset=offset, limit=4) for offset in range(0, 36, 4)]
    seen = [row.text for rows, _ in pages for row in rows]
    assert len(seen) == len(set(seen)) == 33 and {total for _, total in pages} == {33}
    assert all(text.startswith("2") for text in seen[:11]), "the newest come first"


def test_edits_leave_a_trace(filled: Store) -> None:
    ids = [row.id for row in prompts.page(filled, tag="proof")[0]]
    assert prompts.edit(filled, [*ids, "p_no"], "bob", category="logic", tags=["x"]) == 2
    assert texts(filled, categories=["logic"], tag="x") == ["Prove Fermat's Last Theorem", "Sort a list"]
    assert prompts.edit(filled, ids[:1], "bob", archived=True) == 1
    assert [row.id for row in prompts.page(filled, archived=True)[0]] == ids[:1]
    assert prompts.page(filled)[1] == 3
    trail = filled.rows("SELECT record_id, detail FROM audit WHERE actor = 'bob' ORDER BY occurred_at")
    assert {i for i, _ in trail} == set(ids) and len(trail) == 3
    assert json.loads(trail[0][1])["before"]["tags"][0] == "proof"
    assert json.loads(trail[2][1]) == {"before": {"category": "logic", "tags": ["x"], "archived": False}}
    assert prompts.edit(filled, ids[:1], "bob", archived=False) == 1 and prompts.page(filled)[1] == 4


def test_the_prompt_files_enter_without_a_row_lost(store: Store, shared_data: Path) -> None:
    files = [
        p
        for p in sorted((shared_data / "prompts").rglob("*"))
        if p.name.endswith((".jsonl", ".jsonl.gz", ".csv", ".json", ".parquet"))
    ]
    assert files
    for file in files:
        rows = read_rows(file.read_bytes(), file.name)
        found = read_prompts(rows.rows, guess_columns(rows.rows))
        assert rows.refused == found.refused == []
        report = prompts.add(store, found, "ann", file.name)
        assert report.rows == len(rows.rows)
    stored = {i for (i,) in store.rows("SELECT id FROM prompt")}
    assert {prompt.id for _, prompt in found.rows} <= stored
