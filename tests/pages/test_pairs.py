"""The Pairs page: finding a pair, reading it, gold, and importing every format with its report."""

import gzip
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from storage import annotations, campaigns, pairs
from storage.tables import CampaignRow
from storage.workbench import Workbench

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "pairs.py")


def opened(view: str = "Browse", **state: object) -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["pairs view"] = view
    for key, value in state.items():
        at.session_state[key.replace("_", " ")] = value
    return at.run()


def imported(kind: str, name: str, content: bytes) -> AppTest:
    return opened("Import", import_kind=kind).file_uploader[0].upload(name, content).run()


def click(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label.startswith(label)).click().run()


def counts(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def lines(*rows: dict[str, object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_an_empty_campaign_says_what_to_do_next(bench: Workbench) -> None:
    at = AppTest.from_file(str(Path(PAGE).with_name("_shell.py")), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.switch_page("pairs.py").run()
    assert "has no pairs yet" in at.info[0].value
    click(at, "Import pairs")
    assert at.file_uploader


def test_search_category_and_campaign_narrow_the_list(sample: Workbench) -> None:
    campaigns.create(sample.store, CampaignRow(id="", name="Other"), "test")
    at = opened()
    assert "of 72 pairs" in at.caption[0].value
    at.text_input[0].set_value("sky blue").run()
    assert list(at.dataframe[0].value["prompt"]) == ["Why is the sky blue?"]
    at.text_input[0].set_value("zzz").run()
    assert "No pair matches" in at.info[0].value
    at.text_input[0].set_value("").run()
    at.selectbox[0].set_value("math").run()
    assert set(at.dataframe[0].value["category"]) == {"math"}
    other = next(c.id for c in campaigns.listed(sample.store) if c.name == "Other")
    at.session_state["campaign"] = other
    at.run()
    assert "No pair matches" in at.info[0].value
    at.toggle[0].set_value(True).run()
    assert len(at.dataframe[0].value) == 18


def open_first(bench: Workbench) -> tuple[AppTest, str]:
    pair_id = pairs.page(bench.store, limit=1)[0][0]["id"]
    return opened(open_pair=(campaigns.first(bench.store).id, pair_id)), pair_id


def test_an_open_pair_shows_its_texts_and_judgements(sample: Workbench) -> None:
    row = pairs.page(sample.store)[0][3]
    at = opened(open_pair=(campaigns.first(sample.store).id, row["id"]))
    shown = [m.value for m in at.markdown]
    assert any(row["prompt"].split("\n")[0] in text for text in shown)
    assert len(at.dataframe[0].value) == 3
    assert set(at.dataframe[0].value["State"]) == {"stands"}
    click(at, "All pairs")
    assert "open pair" not in at.session_state


def test_gold_is_set_and_taken_away_and_the_audit_keeps_both(sample: Workbench) -> None:
    at, pair_id = open_first(sample)
    for chosen, stored in (("b", "b"), ("", None)):
        control = next(c for c in at.segmented_control if c.label.startswith("Gold"))
        control.set_value(chosen)
        at = at.run()
        assert not at.exception
        assert pairs.golds(sample.store).get(pair_id) == stored
    entries = [
        e
        for e in sample.store.rows("SELECT detail FROM audit WHERE action = 'set gold' ORDER BY occurred_at")
    ]
    assert [json.loads(detail) for (detail,) in entries] == [
        {"before": None, "after": "b"},
        {"before": "b", "after": None},
    ]


def test_html_and_images_in_an_answer_stay_text(bench: Workbench) -> None:
    evil = "<script>alert(1)</script> ![x](http://evil.example/x.png)"
    row = {"prompt": "p", "response_a": evil, "response_b": "fine"}
    click(imported("csv", "t.jsonl", lines(row)), "Import 1")
    at, _ = open_first(bench)
    assert not at.exception
    assert not [m for m in at.markdown if m.proto.allow_html]
    assert not [m for m in at.markdown if "![x](" in m.value and "\\![x](" not in m.value]


JUDGED = [
    {
        "prompt": "p1",
        "response_a": "x",
        "response_b": "y",
        "annotator": "ann",
        "choice": "a",
        "confidence": 4,
    },
    {"prompt": "p1", "response_a": "y", "response_b": "x", "annotator": "bob", "choice": "b"},
    {"prompt": "p2", "response_a": "x", "response_b": "y", "annotator": "ann", "choice": "tie"},
    {"prompt": "p3", "response_a": "x", "response_b": "y", "annotator": "ann", "choice": "left"},
    {
        "prompt": "p3",
        "response_a": "x",
        "response_b": "y",
        "annotator": "ann",
        "choice": "a",
        "confidence": 9,
    },
]


def test_annotated_pairs_enter_with_a_report_of_the_refused_rows(bench: Workbench) -> None:
    at = imported("annotated", "judged.jsonl", lines(*JUDGED))
    click(at, "Import 5")
    assert counts(at) == {
        "Pairs added": "2", "Annotations added": "3", "Annotators new": "2", "Rows already there": "0", "Rows refused": "2",
    }  # fmt: skip
    refused = at.dataframe[0].value
    assert list(zip(refused["row"], refused["field"], strict=True)) == [(4, "choice"), (5, "confidence")]
    ratings, _ = annotations.ratings(bench.store)
    assert sorted(ratings.category.tolist()) == [0, 0, 2]


def test_the_same_file_again_adds_nothing(bench: Workbench) -> None:
    for expected in ("2", "0"):
        at = imported("annotated", "judged.jsonl", lines(*JUDGED))
        click(at, "Import 5")
        assert (at.metric[0].value, at.metric[0].label) in [(expected, "Pairs added"), ("5", "Rows")]
    assert pairs.page(bench.store)[1] == 2


PREFERENCE = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "Seven."}


@pytest.mark.parametrize(
    ("labels", "gold", "judged"), [("annotations", 0, 1), ("gold", 1, 0), ("none", 0, 0)]
)
def test_the_labels_of_trl_rows_become_what_was_chosen(
    bench: Workbench, labels: str, gold: int, judged: int
) -> None:
    at = imported("trl", "pairs.jsonl", lines(PREFERENCE, {**PREFERENCE, "rejected": "Blue."}))
    next(box for box in at.selectbox if box.label == "The labels become").set_value(labels).run()
    click(at, "Import 2")
    assert len(pairs.golds(bench.store)) == gold
    assert annotations.page(bench.store)[1] == judged
    assert list(at.dataframe[0].value["row"]) == [2]


def test_a_table_of_pairs_enters_by_the_columns_chosen(bench: Workbench) -> None:
    at = imported("csv", "table.csv", b"ask,one,two\nWhat?,x,y\n")
    assert "Choose the column of: prompt, response a, response b" in at.warning[0].value
    for label, column in (("Prompt *", "ask"), ("Response a *", "one"), ("Response b *", "two")):
        next(box for box in at.selectbox if box.label == label).set_value(column)
    at.run()
    click(at, "Import 1")
    row = pairs.page(bench.store)[0][0]
    assert (row["prompt"], row["response_a"], row["response_b"], row["source"]) == (
        "What?",
        "x",
        "y",
        "table",
    )


def test_pairs_go_into_the_campaign_that_was_chosen(bench: Workbench) -> None:
    campaigns.first(bench.store)
    other = campaigns.create(bench.store, CampaignRow(id="", name="Other"), "test")
    at = imported("trl", "pairs.jsonl", lines(PREFERENCE))
    next(box for box in at.selectbox if box.label == "Into campaign").set_value(other.id).run()
    click(at, "Import 1")
    assert pairs.page(bench.store, campaign_id=other.id)[1] == 1


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("trl", "a.csv", b"text\nhello\n", "no column for 'chosen'"),
        ("hh", "a.jsonl", b"", "is empty"),
        ("annotated", "a.parquet", b"PAR1", "is not a readable Parquet file"),
    ],
)
def test_a_file_of_another_kind_is_told_so_and_nothing_enters(
    bench: Workbench, kind: str, name: str, content: bytes, message: str
) -> None:
    at = imported(kind, name, content)
    assert not at.exception
    assert message in at.error[0].value.replace("\\", "")
    assert pairs.page(bench.store)[1] == 0


def test_hh_rlhf_as_published_reports_each_refused_row(bench: Workbench, shared_data: Path) -> None:
    content = (shared_data / "hh_rlhf_raw" / "harmless-base.test.jsonl.gz").read_bytes()
    rows = gzip.decompress(content).count(b"\n")
    at = imported("hh", "harmless-base.test.jsonl.gz", content)
    click(at, "Import")
    found = {label: int(value.replace(",", "")) for label, value in counts(at).items()}
    assert found["Pairs added"] + found["Rows already there"] + found["Rows refused"] == rows
    assert len(at.dataframe[0].value) == found["Rows refused"] > 0
