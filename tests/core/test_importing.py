"""Rows into prompts, pairs and judgements: every reason for refusal, and the real files whole."""

import gc
import gzip
import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trl.data_utils import extract_prompt

from core.importing import (
    PairColumns,
    PromptColumns,
    guess_columns,
    guess_pair_columns,
    read_judgements,
    read_pairs,
    read_prompts,
)
from core.reading import FileError, read_rows
from core.records import MAX_TEXT, Message, Parsed, Response, uncollected
from tests.ukp import ukp_rows

USER = {"role": "user", "content": "Sky?"}
BLUE = {"role": "assistant", "content": "Blue."}
GREEN = {"role": "assistant", "content": "Green."}
JUDGEMENT = {
    "prompt": "Sky?",
    "response_a": "Blue.",
    "response_b": "Green.",
    "annotator": "ann",
    "choice": "a",
}


def numbered(*rows: dict[str, Any]) -> list[tuple[int, dict[str, object]]]:
    return list(enumerate(rows, start=1))


def refused(parsed: Parsed[Any]) -> tuple[int, str | None, str]:
    assert parsed.rows == []
    [refusal] = parsed.refused
    return refusal.row, refusal.field, refusal.reason


@pytest.mark.parametrize("name", ["Text", "prompt", "question", "instruction", "query", "messages", "turns"])
def test_usual_names_are_guessed(name: str) -> None:
    row = {
        "id": 7,
        name: "Why?",
        "Topic": "math",
        "tags": [],
        "source": "x",
        "reference": "y" * 201,
        "meta": {},
    }
    assert guess_columns(numbered(row)) == PromptColumns(name, "Topic", "tags", ("id", "source"))


def test_no_guess_says_what_was_expected_and_what_is_there() -> None:
    with pytest.raises(
        FileError, match=r"no column for the prompt: expected 'text' or .*the file has 'foo', 'bar'"
    ):
        guess_columns(numbered({"foo": 1}, {"bar": 2}))
    with pytest.raises(FileError, match="no column for response_b"):
        guess_pair_columns(numbered({"prompt": "a", "response_a": "b"}))
    with pytest.raises(FileError, match="no column for 'topic'"):
        read_prompts(numbered({"text": "a"}), PromptColumns("text", category="topic"))
    with pytest.raises(FileError, match="no column for the annotator"):
        read_judgements(numbered({k: v for k, v in JUDGEMENT.items() if k != "annotator"}))
    with pytest.raises(FileError, match="no column for 'rejected'"):
        read_pairs(numbered({"chosen": "a"}), "trl")


def test_a_prompt_keeps_category_tags_and_attributes() -> None:
    rows = numbered(
        {
            "q": " Why? ",
            "c": " math ",
            "tags": "a; b,a",
            "n": 3,
            "ok": True,
            "when": date(2026, 1, 31),
            "none": None,
        },
        {"q": "Why?", "c": "", "tags": ["x", "y"]},
    )
    mapping = PromptColumns("q", "c", "tags", ("n", "ok", "when", "none"))
    (_, first), (_, second) = read_prompts(rows, mapping, default_category="other").rows
    assert (first.text, first.category, first.tags) == (" Why? ", "math", ("a", "b"))
    assert first.attributes == {"n": "3", "ok": "true", "when": "2026-01-31"}
    assert (second.category, second.tags, second.attributes) == ("other", ("x", "y"), {})
    assert first.id == second.id


def test_a_prompt_may_be_a_chat_or_a_list_of_turns() -> None:
    chat = [{"role": "system", "content": "Be brief."}, USER, BLUE, {"role": "user", "content": "Why?"}]
    parsed = read_prompts(numbered({"m": chat}, {"m": ["First?", "Then?"]}), PromptColumns("m"))
    assert [m.role for m in parsed.rows[0][1].messages] == ["system", "user", "assistant", "user"]
    assert parsed.rows[1][1].messages == (Message("user", "First?"),)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is missing"),
        (" \n\u2028", "is empty"),
        ("x" * (MAX_TEXT + 1), "has 200,001 characters; at most 200,000"),
        ("a\0b", "NUL"),
        ("a\ud800", "half of a surrogate pair"),
        (17, "is a number; text is needed"),
        ({"a": 1}, "is an object"),
        ([], "empty list"),
        ([17], "turn 1 is a number"),
        (
            [{"role": "robot", "content": "x"}],
            "turn 1: role is 'robot'; it is one of system, user, assistant",
        ),
        ([{"content": "x"}], "turn 1: role is nothing"),
        ([{"role": ["user"], "content": "x"}], "turn 1: role is a list"),
        ([USER, {"role": "user", "content": None}], "turn 2: content is missing"),
        ([USER, {"role": "user", "content": [{"type": "text"}]}], "turn 2: content is a list"),
        ([USER, BLUE], "ends with the assistant's turn"),
        ([{"role": "user", "content": "x" * 150_000}] * 2, "300,000 characters over its turns"),
    ],
)
def test_a_prompt_that_is_none_is_refused(value: object, reason: str) -> None:
    row, field, said = refused(read_prompts(numbered({"p": value}), PromptColumns("p")))
    assert (row, field) == (1, "p")
    assert reason in said


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"c": "x" * 201}, "has 201 characters; at most 200"),
        ({"c": ["a"]}, "is a list; text is needed"),
        ({"t": 7}, "is a number; a list, or text with commas"),
        ({"t": ["a", None]}, "is missing"),
        ({"a": {}}, "is an object; text is needed"),
    ],
)
def test_what_comes_with_a_prompt_is_checked(extra: dict[str, object], reason: str) -> None:
    rows = numbered({"p": "Why?", "c": None, "t": None, "a": None, **extra})
    _, field, said = refused(read_prompts(rows, PromptColumns("p", "c", "t", ("a",))))
    assert field == next(iter(extra))
    assert reason in said


TRL_ROWS: list[dict[str, object]] = [
    {"prompt": "Sky?", "chosen": "Blue.", "rejected": "Green."},
    {"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]},
    {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
    {"prompt": "Sky?", "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
    {"prompt": [USER], "chosen": "Blue.", "rejected": "Green."},
    {"chosen": "Sky?\nBlue.", "rejected": "Sky?\nGreen."},
]


@pytest.mark.parametrize("row", TRL_ROWS)
def test_every_trl_shape_is_the_same_pair_and_its_label_marks_the_chosen_answer(
    row: dict[str, object],
) -> None:
    [(_, pair)] = read_pairs(numbered(row), "trl").rows
    [(_, turned)] = read_pairs(
        numbered({**row, "chosen": row["rejected"], "rejected": row["chosen"]}), "trl"
    ).rows
    assert pair.prompt.text.strip() == "Sky?"
    assert {"a": pair.response_a, "b": pair.response_b}[str(pair.label)].text == "Blue."
    assert (turned.response_a, turned.response_b) == (pair.response_a, pair.response_b)
    assert {pair.label, turned.label} == {"a", "b"}


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
        {"chosen": [USER, BLUE, USER, BLUE], "rejected": [USER, BLUE, USER, GREEN]},
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        {"chosen": "Q: sky?\nA: yes", "rejected": "Q: sky?\nA: no"},
        {"chosen": "One two\nthree", "rejected": "One two\nfour"},
    ],
)
def test_an_implicit_prompt_is_the_one_trl_finds(row: dict[str, Any]) -> None:
    theirs = extract_prompt(row)
    [(_, pair)] = read_pairs(numbered(row), "trl").rows
    answers = {pair.response_a.text, pair.response_b.text}
    if isinstance(row["chosen"], str):
        assert (pair.prompt.text, answers) == (theirs["prompt"], {theirs["chosen"], theirs["rejected"]})
    else:
        assert [vars(message) for message in pair.prompt.messages] == theirs["prompt"]
        assert answers == {theirs["chosen"][0]["content"], theirs["rejected"][0]["content"]}


def test_an_implicit_prompt_does_not_end_inside_a_word() -> None:
    [(_, pair)] = read_pairs(
        numbered({"chosen": "The sky is blue", "rejected": "The sky is black"}), "trl"
    ).rows
    assert pair.prompt.text == "The sky is"
    assert {pair.response_a.text, pair.response_b.text} == {" blue", " black"}


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({"prompt": "p", "chosen": "x", "rejected": " x "}, None, "the two answers are identical"),
        ({"prompt": [USER], "chosen": [BLUE], "rejected": [BLUE]}, None, "the two answers are identical"),
        ({"chosen": [USER, BLUE], "rejected": [USER, BLUE]}, None, "the two answers are identical"),
        ({"chosen": "same", "rejected": "same"}, None, "the two answers are identical"),
        ({"prompt": "p", "chosen": "", "rejected": "x"}, "chosen", "is empty"),
        ({"prompt": "p", "chosen": "x", "rejected": None}, "rejected", "is missing"),
        ({"prompt": " ", "chosen": "x", "rejected": "y"}, "prompt", "is empty"),
        ({"chosen": "Yes", "rejected": "No"}, None, "there is no prompt"),
        ({"chosen": [USER, BLUE], "rejected": [GREEN]}, None, "do not share a prompt"),
        ({"chosen": [USER], "rejected": [USER, BLUE]}, "chosen", "has 0 messages after the prompt"),
        ({"chosen": [USER, BLUE, USER, BLUE], "rejected": [USER, GREEN]}, "chosen", "has 3 messages"),
        ({"prompt": [USER], "chosen": [USER], "rejected": [BLUE]}, "chosen", "answered by the user"),
        (
            {"prompt": [USER, BLUE], "chosen": [BLUE], "rejected": [GREEN]},
            "prompt",
            "ends with the assistant's",
        ),
        ({"prompt": [USER], "chosen": [BLUE], "rejected": "Green."}, "chosen", "is a list; text is needed"),
        ({"prompt": "p", "chosen": {"text": "x"}, "rejected": "y"}, "chosen", "is an object"),
    ],
)
def test_a_trl_row_that_is_no_pair_is_refused(row: dict[str, object], field: str | None, reason: str) -> None:
    _, at, said = refused(read_pairs(numbered(row), "trl"))
    assert at == field
    assert reason in said


def test_a_transcript_becomes_a_chat() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant:"
    row = {"chosen": f"{start} Blue.\n\nReally.", "rejected": f"{start} Green."}
    [(_, pair)] = read_pairs(numbered(row), "hh").rows
    assert pair.prompt.messages == (
        Message("user", "Hi"),
        Message("assistant", "Hello."),
        Message("user", "Sky?"),
    )
    assert {"a": pair.response_a, "b": pair.response_b}[str(pair.label)].text == "Blue.\n\nReally."


@pytest.mark.parametrize(
    ("chosen", "rejected", "field", "reason"),
    [
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: a\n\nAssistant: x", None, "identical"),
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: a\n\nAssistant:  x", None, "identical"),
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x", "rejected", "prompt differs"),
        ("\n\nHuman: a\n\nAssistant: ", "\n\nHuman: a\n\nAssistant: x", "chosen", "answer is empty"),
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: a\n\nAssistant:", "rejected", "answer is empty"),
        ("What?", "\n\nHuman: a\n\nAssistant: x", "chosen", "is not a transcript"),
        ("\n\nAssistant: x", "\n\nAssistant: y", "chosen", "is not a transcript"),
        (
            "\n\nHuman: a\n\nAssistant: x\n\nHuman: b",
            "\n\nHuman: a\n\nAssistant: y",
            "chosen",
            "is not a transcript",
        ),
        ("\n\nHuman: \n\nAssistant: x", "\n\nHuman: \n\nAssistant: y", "chosen", "turn 1: content is empty"),
        (17, "\n\nHuman: a\n\nAssistant: y", "chosen", "is a number"),
    ],
)
def test_a_transcript_that_is_no_pair_is_refused(
    chosen: object, rejected: object, field: str | None, reason: str
) -> None:
    _, at, said = refused(read_pairs(numbered({"chosen": chosen, "rejected": rejected}), "hh"))
    assert at == field
    assert reason in said


def test_mapped_columns_become_pairs() -> None:
    columns = PairColumns("q", "x", "y", choice="better", category="topic", model_a="mx", pair_id="id")
    rows = numbered(
        {"q": "Sky?", "x": "Blue.", "y": "Green.", "better": "B", "topic": "nature", "mx": "m1", "id": 1},
        {"q": "Sky?", "x": "Blue.", "y": "Red.", "better": "", "topic": "", "mx": "", "id": ""},
    )
    (_, first), (_, second) = read_pairs(rows, "csv", columns).rows
    assert (first.external_id, first.label, first.prompt.category) == ("1", "b", "nature")
    assert (first.response_a, first.response_b) == (Response("Blue.", "m1"), Response("Green."))
    assert (second.external_id, second.label, second.response_a.model) == (None, None, None)
    [(_, guessed)] = read_pairs(numbered({**JUDGEMENT, "label": "tie", "choice": "tie"}), "csv").rows
    assert guessed.label == "tie"


def test_a_csv_pair_that_comes_again_the_other_way_round_keeps_its_meaning() -> None:
    turned = {**JUDGEMENT, "response_a": "Green.", "response_b": "Blue.", "choice": "b"}
    (_, first), (_, second) = read_pairs(numbered(JUDGEMENT, turned), "csv").rows
    assert second == first


def test_identical_answers_are_refused_in_csv_and_kept_where_judged() -> None:
    row = {**JUDGEMENT, "response_b": "Blue."}
    assert refused(read_pairs(numbered(row), "csv"))[2] == "the two answers are identical"
    assert len(read_judgements(numbered(row)).rows) == 1


def test_a_judgement_carries_everything_known() -> None:
    row = {
        **JUDGEMENT,
        "annotator": 12.0,
        "choice": "Both Bad",
        "confidence": "4",
        "reason": "Neither.",
        "seconds": "2.5",
        "submitted_at": "2026-01-31T13:23:06+02:00",
        "category": "nature",
        "model_a": "m1",
        "model_b": "m2",
    }
    [(_, judgement)] = read_judgements(numbered(row)).rows
    assert (judgement.annotator, judgement.choice, judgement.confidence) == ("12", "both_bad", 4)
    assert (judgement.reason, judgement.seconds) == ("Neither.", 2.5)
    assert judgement.submitted_at == datetime(2026, 1, 31, 11, 23, 6, tzinfo=UTC)
    assert judgement.pair.prompt.category == "nature"
    assert (judgement.pair.response_a.model, judgement.pair.response_b.model) == ("m1", "m2")


@pytest.mark.parametrize(
    "moment", ["2026-01-31T13:23:06Z", "2026-01-31 13:23:06", datetime(2026, 1, 31, 13, 23, 6)]
)
def test_a_time_without_zone_is_utc(moment: object) -> None:
    [(_, judgement)] = read_judgements(numbered({**JUDGEMENT, "submitted_at": moment})).rows
    assert judgement.submitted_at == datetime(2026, 1, 31, 13, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("choice", "left", "is 'left'; it is one of a, b, tie, both_bad"),
        ("choice", 1, "is 1; it is one of"),
        ("choice", "", "is missing or empty"),
        ("choice", ["a"], "is a list; it is one of"),
        ("annotator", " ", "is missing or empty"),
        ("annotator", "x" * 201, "has 201 characters"),
        ("annotator", True, "is true or false"),
        ("pair_id", "x" * 201, "has 201 characters"),
        ("model_a", "x" * 201, "has 201 characters"),
        ("prompt", None, "is missing"),
        ("response_a", "", "is empty"),
        ("response_b", "x" * 1_000_000, "has 1,000,000 characters"),
        ("confidence", 0, "is 0; a whole number from 1 to 5 is needed"),
        ("confidence", 6, "is 6;"),
        ("confidence", 2.5, "is 2.5;"),
        ("confidence", True, "is True;"),
        ("confidence", "high", "is 'high';"),
        ("confidence", float("nan"), "is nan;"),
        ("confidence", 10**400, "a whole number from 1 to 5 is needed"),
        ("seconds", -1, "is -1; a number of seconds, 0 or more, is needed"),
        ("seconds", float("inf"), "is inf;"),
        ("seconds", "nan", "is 'nan';"),
        ("seconds", {}, "is an object;"),
        ("submitted_at", "yesterday", "is 'yesterday'; a time like"),
        ("submitted_at", 1769865786, "is 1769865786; a time like"),
        ("submitted_at", "0001-01-01T00:00:00+10:00", "a time like"),
        ("reason", 5, "is a number; text is needed"),
    ],
)
def test_a_judgement_out_of_range_is_refused(field: str, value: object, reason: str) -> None:
    parsed = read_judgements(numbered({**JUDGEMENT, field: value}, JUDGEMENT))
    assert [number for number, _ in parsed.rows] == [2]
    [refusal] = parsed.refused
    assert (refusal.row, refusal.field) == (1, field)
    assert reason in refusal.reason


@pytest.mark.parametrize("name", [None, "p1"])
def test_the_first_row_says_which_answer_is_a(name: str | None) -> None:
    row = {**JUDGEMENT, "pair_id": name}
    turned = {**row, "response_a": "Green.", "response_b": "Blue.", "annotator": "bob"}
    rows = numbered(row, turned, {**turned, "choice": "b"}, {**turned, "choice": "tie"}, row)
    parsed = read_judgements(rows)
    assert [j.choice for _, j in parsed.rows] == ["a", "b", "a", "tie", "a"]
    assert len({id(j.pair) for _, j in parsed.rows}) == 1
    assert parsed.rows[0][1].pair.response_a.text == "Blue."


def test_equal_texts_under_two_pair_ids_are_two_pairs() -> None:
    parsed = read_judgements(numbered({**JUDGEMENT, "pair_id": "p1"}, {**JUDGEMENT, "pair_id": "p2"}))
    assert len({j.pair.id for _, j in parsed.rows}) == 2


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"prompt": "Sea?"}, "prompt"),
        ({"response_a": "Red."}, "response_a"),
        ({"response_b": "Red."}, "response_b"),
        ({"model_b": "m2"}, "response_b"),
    ],
)
def test_a_pair_id_used_for_another_pair_is_refused(change: dict[str, str], part: str) -> None:
    row = {**JUDGEMENT, "pair_id": "p1", "model_b": "m1"}
    parsed = read_judgements(numbered(row, {**row, **change}, {**row, "model_b": None}))
    assert [number for number, _ in parsed.rows] == [1, 3]
    [refusal] = parsed.refused
    assert (refusal.row, refusal.field) == (2, "pair_id")
    assert f"'p1' is used earlier in the file with another {part}" in refusal.reason


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.dates(),
    st.binary(max_size=3),
)
WORDS = st.sampled_from(
    ["a", "tie", "x\0", "\ud800", "user", "assistant", "2026-01-31", "", "\n\nHuman: a\n\nAssistant: b"]
)
KEYS = st.sampled_from(["role", "content", "text"])
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)
COLUMNS = [*vars(PairColumns()), "chosen", "rejected", "text", "tags"]


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, VALUES)), max_size=4))
def test_any_values_give_records_refusals_or_a_file_error(rows: list[dict[str, object]]) -> None:
    table = numbered(*rows)
    readers = (
        lambda: read_prompts(table, guess_columns(table)),
        lambda: read_pairs(table, "trl"),
        lambda: read_pairs(table, "hh"),
        lambda: read_pairs(table, "csv"),
        lambda: read_judgements(table),
    )
    for read in readers:
        try:
            parsed: Parsed[Any] = read()
        except FileError as error:
            assert "no column for" in str(error)
        else:
            seen = [number for number, _ in parsed.rows] + [refusal.row for refusal in parsed.refused]
            assert sorted(seen) == [number for number, _ in table]
            "".join(refusal.reason for refusal in parsed.refused).encode()


@pytest.mark.parametrize(
    ("name", "rows", "attributes"),
    [
        ("mt_bench.jsonl", 80, ("prompt_id", "source")),
        ("vicuna_bench.jsonl", 80, ("prompt_id", "source")),
        ("arena_hard_v2.0.jsonl", 750, ("prompt_id", "source", "subcategory")),
        ("self_instruct_user_oriented.jsonl", 252, ("prompt_id", "source")),
    ],
)
def test_the_prompts_files_load_without_a_row_lost(
    shared_data: Path, name: str, rows: int, attributes: tuple[str, ...]
) -> None:
    data = (shared_data / "prompts" / name).read_bytes()
    read = read_rows(data, name)
    mapping = guess_columns(read.rows)
    parsed = read_prompts(read.rows, mapping)
    assert (mapping.prompt, mapping.category, mapping.attributes) == ("text", "category", attributes)
    assert (len(parsed.rows), parsed.refused, read.refused) == (rows, [], [])
    expected = [json.loads(line) for line in data.split(b"\n") if line]
    assert [(p.text, p.category) for _, p in parsed.rows] == [(e["text"], e["category"]) for e in expected]
    assert len({p.id for _, p in parsed.rows}) == rows


def test_hh_as_published_refuses_what_is_no_pair(shared_data: Path) -> None:
    data = (shared_data / "hh_rlhf_raw" / "harmless-base.test.jsonl.gz").read_bytes()
    parsed = read_pairs(read_rows(data, "harmless-base.test.jsonl.gz").rows, "hh")

    expected: dict[int, str] = {}
    for number, line in enumerate(gzip.decompress(data).split(b"\n")[:-1], start=1):
        row = json.loads(line)
        one, other = (row[side].rpartition("\n\nAssistant:") for side in ("chosen", "rejected"))
        if row["chosen"] == row["rejected"]:
            expected[number] = "the two answers are identical"
        elif one[0] != other[0]:
            expected[number] = "its prompt differs from that of chosen"
        elif not one[2].strip() or not other[2].strip():
            expected[number] = "its answer is empty"
    assert {refusal.row: refusal.reason for refusal in parsed.refused} == expected
    assert Counter(expected.values()) == {
        "its prompt differs from that of chosen": 5,
        "its answer is empty": 4,
    }
    assert len(parsed.rows) == 2_312 - 9
    assert 0.45 < sum(pair.label == "a" for _, pair in parsed.rows) / len(parsed.rows) < 0.55


def test_hh_pairs_load_as_trl_rows(shared_data: Path) -> None:
    data = (shared_data / "hh_rlhf_pairs" / "train.jsonl.gz").read_bytes()
    read = read_rows(data, "train.jsonl.gz")
    parsed = read_pairs(read.rows, "trl")
    identical = {n for n, row in read.rows if str(row["chosen"]).strip() == str(row["rejected"]).strip()}
    assert {refusal.row for refusal in parsed.refused} == identical
    assert len(parsed.rows) == 5_875 - len(identical)
    rows = dict(read.rows)
    for number, pair in parsed.rows:
        chosen, rejected = pair.response_a.text, pair.response_b.text
        if pair.label == "b":
            chosen, rejected = rejected, chosen
        expected = rows[number]
        assert (pair.external_id, pair.prompt.text) == (expected["pair_id"], expected["prompt"])
        assert (chosen, rejected) == (expected["chosen"], expected["rejected"])


def test_ukp_loads_whole(shared_data: Path) -> None:
    rows = ukp_rows(shared_data)
    parsed = read_judgements(rows)
    judgements = [judgement for _, judgement in parsed.rows]
    assert parsed.refused == []
    assert len(judgements) == 67_129
    assert len({j.pair.id for j in judgements}) == len({id(j.pair) for j in judgements}) == 13_458
    assert len({j.annotator for j in judgements}) == 3_788
    assert Counter(j.choice for j in judgements) == Counter(row["choice"] for _, row in rows)
    identical = {j.pair.id for j in judgements if j.pair.response_a == j.pair.response_b}
    assert len(identical) == 11
    assert judgements[0].submitted_at == datetime(2016, 1, 31, 13, 23, 6, tzinfo=UTC)


def test_the_collector_is_on_again_after_a_block_without_it() -> None:
    with pytest.raises(KeyError), uncollected(), uncollected():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
