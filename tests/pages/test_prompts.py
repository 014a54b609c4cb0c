"""The Prompts page: finding, editing, adding one, uploading many, and what bad files are told."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from core.importing import PromptColumns, read_prompts
from storage import campaigns, prompts
from storage.tables import CampaignRow
from storage.workbench import Workbench

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "prompts.py")


def opened(view: str = "Browse") -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = "Ada"
    at.session_state["prompts view"] = view
    return at.run()


def uploaded(name: str, content: bytes) -> AppTest:
    return opened("Upload").file_uploader[0].upload(name, content).run()


def add(at: AppTest) -> AppTest:
    return next(button for button in at.button if button.label.startswith("Add ")).click().run()


def counts(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def stock(bench: Workbench, *texts: str, tags: tuple[str, ...] = ()) -> None:
    rows = [
        (i, {"text": text, "category": "math", "tags": list(tags)}) for i, text in enumerate(texts, start=1)
    ]
    prompts.add(bench.store, read_prompts(rows, PromptColumns("text", "category", "tags")), "test")


def test_an_empty_store_says_what_to_do_next(bench: Workbench) -> None:
    at = opened()
    assert "upload a file" in at.info[0].value
    next(button for button in at.button if "Upload" in button.label).click().run()
    assert at.file_uploader


def test_search_category_and_tag_narrow_the_list(sample: Workbench) -> None:
    at = opened()
    assert len(at.dataframe[0].value) == 50
    assert "of 72 prompts" in at.caption[0].value
    at.text_input[0].set_value("SKY BLUE").run()
    assert list(at.dataframe[0].value["text"]) == ["Why is the sky blue?"]
    at.text_input[0].set_value("no such words").run()
    assert "No prompt matches" in at.info[0].value
    at.text_input[0].set_value("").run()
    at.multiselect[0].set_value(["math"]).run()
    assert set(at.dataframe[0].value["category"]) == {"math"}


def test_the_list_is_narrowed_to_a_campaign(sample: Workbench) -> None:
    other = campaigns.create(sample.store, CampaignRow(id="", name="Other"), "test")
    at = opened()
    at.toggle(key="only this campaign").set_value(True).run()
    assert "of 72 prompts" in at.caption[0].value
    at.session_state["campaign"] = other.id
    at.run()
    assert "No prompt matches" in at.info[0].value
    at.toggle(key="only this campaign").set_value(False).run()
    assert "of 72 prompts" in at.caption[0].value


def test_pages_go_through_every_prompt_once(bench: Workbench) -> None:
    stock(bench, *(f"prompt {i}" for i in range(120)))
    at = opened()
    seen = list(at.dataframe[0].value["text"])
    for number in (2, 3):
        at.get("pagination")[0].select(number).run()
        seen += list(at.dataframe[0].value["text"])
    assert sorted(seen) == sorted(f"prompt {i}" for i in range(120))


def selected(*rows: int) -> AppTest:
    """The page with rows of its table chosen."""
    at = opened()
    at.session_state[at.dataframe[0].key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return at.run()


def test_category_and_tags_of_several_prompts_change_together(bench: Workbench) -> None:
    stock(bench, "one", "two", "three")
    at = selected(0, 1)
    assert at.markdown[0].value == "**2 selected**"
    at.session_state["new category"] = "coding"
    at.run().button("set category").click().run()
    assert dict(prompts.categories(bench.store)) == {"coding": 2, "math": 1}
    at = selected(0)
    at.session_state[next(box for box in at.multiselect if box.label == "Tags").key] = ["hard"]
    at.run().button("set tags").click().run()
    assert prompts.tags(bench.store) == ["hard"]


def test_an_archived_prompt_leaves_the_list_and_comes_back(bench: Workbench) -> None:
    stock(bench, "one", "two")
    at = selected(0)
    next(button for button in at.button if button.label == "Archive").click().run()
    assert prompts.page(bench.store)[1] == 1
    next(toggle for toggle in at.toggle if toggle.label == "Archived").set_value(True).run()
    assert len(at.dataframe[0].value) == 1
    at.session_state[at.dataframe[0].key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.run()
    next(button for button in at.button if button.label == "Unarchive").click().run()
    assert prompts.page(bench.store)[1] == 2


def test_one_prompt_is_added_once(bench: Workbench) -> None:
    at = opened("Add one")
    for expected in ("Added.", "This prompt is there already; nothing was added."):
        at.text_area[0].set_value("  What is 2 + 2?  ").run()
        at.button[-1].click().run()
        assert at.success[0].value == expected
    assert prompts.page(bench.store)[1] == 1


def test_an_empty_prompt_is_refused_with_the_reason(bench: Workbench) -> None:
    at = opened("Add one")
    at.button[-1].click().run()
    assert "is empty" in at.error[0].value
    assert prompts.page(bench.store)[1] == 0


def test_a_chat_is_added_with_its_turns(bench: Workbench) -> None:
    at = opened("Add one")
    at.segmented_control("prompts form").set_value("Chat").run()
    next(button for button in at.button if button.label == "Add an exchange").click().run()
    for area, text in zip(at.text_area, ["Be brief.", "Hello", "Hi!", "Tell me a joke."], strict=True):
        area.set_value(text)
    at.run()
    next(button for button in at.button if button.label == "Add").click().run()
    row = prompts.page(bench.store)[0][0]
    assert [m.role for m in prompts.record(row).messages] == ["system", "user", "assistant", "user"]
    assert row.text == "Tell me a joke."


def parquet(rows: list[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


ROWS = [{"question": "One?", "topic": "math"}, {"question": "Two?", "topic": "coding"}]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", json.dumps(ROWS).encode()),
        ("p.jsonl", LINES),
        ("p.csv", b"question,topic\nOne?,math\nTwo?,coding\n"),
        ("p.parquet", parquet(ROWS)),
        ("p.jsonl.gz", gzip.compress(LINES, mtime=0)),
    ],
)
def test_every_format_enters_with_guessed_columns(bench: Workbench, name: str, content: bytes) -> None:
    at = uploaded(name, content)
    assert [box.value for box in at.selectbox][:2] == ["question", "topic"]
    add(at)
    assert counts(at) == {"Rows": "2", "Added": "2", "Already there": "0", "Rows refused": "0"}
    assert dict(prompts.categories(bench.store)) == {"coding": 1, "math": 1}


def test_the_report_accounts_for_every_row(bench: Workbench) -> None:
    content = b'{"text": "a"}\n{"text": "a"}\nnot json\n{"text": ""}\n{"text": "b\xe2\x80\xa8c"}\n'
    at = add(uploaded("mixed.jsonl", content))
    assert counts(at) == {"Rows": "5", "Added": "2", "Already there": "1", "Rows refused": "2"}
    refused = at.dataframe[0].value
    assert list(refused["row"]) == [3, 4]
    assert list(refused["field"]) == ["", "text"]
    assert at.get("download_button")[0].label.startswith("Download what did not enter")
    assert {row.text for row in prompts.page(bench.store)[0]} == {"a", "b\u2028c"}


def test_a_column_with_another_name_can_be_chosen(bench: Workbench) -> None:
    at = uploaded("odd.csv", b"utterance,n\nHello there,1\n")
    assert "Choose the column" in at.warning[0].value
    assert not [button for button in at.button if button.label.startswith("Add ")]
    at.selectbox[0].set_value("utterance").run()
    add(at)
    assert counts(at)["Added"] == "1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("broken.json", b'[{"text": "a"', "JSON"),
        ("latin.csv", "text\nñ\n".encode("latin-1"), "save the file as UTF-8"),
        ("fake.parquet", b"PAR1 nothing", "is not a readable Parquet file"),
        ("cut.jsonl.gz", gzip.compress(LINES, mtime=0)[:20], "is not a whole gzip file"),
        ("none.json", b"[]", "holds no rows"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong_and_nothing_enters(
    bench: Workbench, name: str, content: bytes, message: str
) -> None:
    at = uploaded(name, content)
    assert not at.exception
    assert message in at.error[0].value.replace("\\", "")
    assert prompts.page(bench.store)[1] == 0


def test_a_file_name_and_a_reason_show_as_plain_text(bench: Workbench) -> None:
    at = add(uploaded("![x](http://evil.example/x.png).jsonl", b'{"text": "a"}\n'))
    taken = next(m.value for m in at.markdown if "taken in" in m.value)
    assert "![x](" not in taken


def test_the_real_prompt_files_load_without_a_row_lost(bench: Workbench, shared_data: Path) -> None:
    for path, n in (("mt_bench", 80), ("arena_hard_v2.0", 750)):
        name = f"{path}.jsonl"
        at = add(uploaded(name, (shared_data / "prompts" / name).read_bytes()))
        assert counts(at) == {"Rows": str(n), "Added": str(n), "Already there": "0", "Rows refused": "0"}


def test_an_annotator_is_turned_away(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.roles import Identity

    monkeypatch.setattr("storage.people.annotator", lambda store, name: Identity("u", name, "annotator"))
    at = opened()
    assert "for the role researcher" in at.warning[0].value
    assert not at.dataframe
