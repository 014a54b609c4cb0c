"""The Export page: its account adds up, its files hold what was asked for, and the recipe it shows loads them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.exporting import SHAPES, Policy, bundle
from pages._export import exported, snippet
from storage import campaigns
from storage.workbench import Workbench

PAGES = Path(__file__).resolve().parents[2] / "pages"


def opened(page: str = "export.py") -> AppTest:
    at = AppTest.from_file(str(PAGES / page), default_timeout=300)
    at.session_state["name"] = "Ada"
    return at.run()


def account(at: AppTest) -> dict[str, int]:
    table = at.dataframe[0].value
    return dict(zip(table["Where they went"], table["Pairs"], strict=True))


def test_an_empty_campaign_has_nothing_to_export(bench: Workbench) -> None:
    at = opened("_shell.py").switch_page("export.py").run()
    assert not at.exception
    assert "Nothing has been judged" in at.info[0].value


def test_the_account_adds_up_whatever_the_options(sample: Workbench) -> None:
    at = opened()
    for key, value in (
        ("export method", "dawid_skene"), ("export ties", "keep"), ("export shape", "kto"),
        ("export shape", "kto_conversational"), ("export shape", "conversational"),
    ):  # fmt: skip
        at.segmented_control(key).set_value(value).run()
        assert not at.exception
        assert sum(account(at).values()) == 72
    at.number_input("export votes").set_value(3)
    at.number_input("export confidence").set_value(0.9).run()
    found = account(at)
    assert sum(found.values()) == 72
    assert found["Left out: the label is less certain than the policy asks for"] > 0


def test_simulated_votes_are_labelled_and_can_be_left_out(sample: Workbench) -> None:
    at = opened()
    assert "Simulated annotators] **" in "\n".join(one.value for one in at.markdown)
    at.toggle("export simulated").set_value(False).run()
    assert account(at)["Left out: nobody has voted on the pair"] == 72
    assert "Simulated annotators]" not in "\n".join(one.value for one in at.markdown)


def test_the_shares_of_the_splits_are_kept(sample: Workbench) -> None:
    at = opened()
    at.number_input("export validation").set_value(50)
    at.number_input("export test").set_value(50).run()
    found = account(at)
    assert found["Train"] == 0
    assert found["Validation"] > 0 < found["Test"]


def test_options_that_let_nothing_out_say_so(sample: Workbench) -> None:
    at = opened()
    at.number_input("export votes").set_value(100).run()
    assert not at.exception
    assert "No pair passes these options" in at.warning[0].value
    assert at.get("download_button")[0].proto.disabled


def test_a_category_narrows_the_export(sample: Workbench) -> None:
    at = opened()
    at.selectbox("export category").set_value("math").run()
    assert sum(account(at).values()) == 18


def test_each_file_can_be_downloaded_alone(sample: Workbench) -> None:
    at = opened()
    at.segmented_control("export format").set_value("parquet").run()
    labels = [button.label for button in at.get("download_button")]
    assert labels[0] == "Download all (zip)"
    assert {"train.parquet", "test.parquet"} <= set(labels)
    assert labels[-1] == "All annotations (CSV)"


@pytest.mark.parametrize("fmt", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_recipe_on_the_page_loads_the_bundle(
    sample: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, fmt: Any
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    result = exported(campaigns.first(sample.store).id, None, "majority", Policy(shape=shape), True)
    with zipfile.ZipFile(io.BytesIO(bundle(result, fmt))) as archive:
        archive.extractall(tmp_path)
        assert json.loads(archive.read("report.json"))["pairs"] == 72
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(snippet(["train", "validation", "test"], fmt, shape), found)
    rows = result.rows["train"]
    assert list(found["data"]["train"]) == rows
