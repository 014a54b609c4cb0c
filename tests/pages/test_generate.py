"""The Generate page: choosing prompts and models, a trial, and a real job from start to pairs in the campaign."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.generation import Sampling, Side
from core.importing import PromptColumns, read_prompts
from jobs import ingest
from storage import campaigns, pairs, prompts
from storage.workbench import Workbench

PAGE = str(Path(__file__).resolve().parents[2] / "pages" / "generate.py")


def opened() -> AppTest:
    at = AppTest.from_file(PAGE, default_timeout=300)
    at.session_state["name"] = "Ada"
    return at.run()


def stock(bench: Workbench, n: int) -> None:
    rows = [
        (i, {"text": f"What is {i} + {i}?", "category": "math" if i % 2 else "coding"})
        for i in range(1, n + 1)
    ]
    prompts.add(bench.store, read_prompts(rows, PromptColumns("text", "category")), "test")


def button(at: AppTest, label: str):  # type: ignore[no-untyped-def]
    return next(one for one in at.button if one.label.startswith(label))


def finished(bench: Workbench, *, state: str = "done", seconds: float = 300) -> None:
    """Wait until the latest job has ended, then take it in as the app's thread does."""
    until = time.monotonic() + seconds
    while ingest.listed(bench)[0][1].state in ("queued", "running"):
        assert time.monotonic() < until, "the job did not end"
        time.sleep(0.1)
    assert ingest.listed(bench)[0][1].state == state
    ingest.take_in(bench)


def test_without_prompts_it_sends_you_to_the_prompts_page(bench: Workbench) -> None:
    at = AppTest.from_file(str(Path(PAGE).with_name("_shell.py")), default_timeout=300)
    at.session_state["name"] = "Ada"
    at.switch_page("generate.py").run()
    assert not at.exception
    assert "no prompts yet" in at.info[0].value
    assert not [one for one in at.button if one.label.startswith("Generate")]


def test_prompts_that_have_a_pair_here_are_left_out_unless_asked_for(sample: Workbench) -> None:
    at = opened()
    assert "Every prompt that matches has a pair" in at.info[0].value
    at.toggle[0].set_value(True).run()
    assert button(at, "Generate").label == "Generate 72 pairs"
    stock(sample, 3)
    at.toggle[0].set_value(False).run()
    assert button(at, "Generate").label == "Generate 3 pairs"
    at.multiselect[0].set_value(["coding"]).run()
    assert button(at, "Generate").label == "Generate 1 pair"


def test_a_provider_that_is_not_set_up_says_which_variable_to_set(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(bench, 2)
    at = opened()
    at.selectbox("provider A").set_value("groq").run()
    assert "GROQ_API_KEY" in at.warning[0].value.replace("\\", "")
    assert button(at, "Generate").disabled
    assert button(at, "Try").disabled


def test_a_trial_shows_both_answers_and_keeps_nothing(bench: Workbench) -> None:
    stock(bench, 2)
    at = button(opened(), "Try").click().run()
    assert not at.exception
    assert [c.value for c in at.caption if c.value.startswith("Answer")] == [
        "Answer A · mock",
        "Answer B · mock",
    ]
    assert pairs.page(bench.store)[1] == 0


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("ATTUNE_PROVIDER_RETRIES", "0")


def test_a_trial_loads_no_model_into_the_app(bench: Workbench) -> None:
    stock(bench, 1)
    at = opened()
    at.selectbox("provider A").set_value("hf_local").run()
    at = button(at, "Try").click().run()
    assert not at.exception and "A model of this machine is loaded by a job" in at.error[0].value


def test_a_trial_that_fails_says_why(nobody_answers: None, bench: Workbench) -> None:
    stock(bench, 1)
    at = opened()
    at.selectbox("provider B").set_value("ollama").run()
    at.text_input("model B").set_value("llama").run()
    at = button(at, "Try").click().run()
    assert not at.exception
    assert "Ollama" in at.error[0].value


def test_a_job_runs_shows_its_progress_and_its_pairs_enter_the_campaign(bench: Workbench) -> None:
    stock(bench, 6)
    at = button(opened(), "Generate 6 pairs").click().run()
    assert not at.exception
    assert any("running" in m.value for m in at.markdown)
    assert [one for one in at.button if one.label == "Cancel"]
    finished(bench)
    at.run()
    assert at.get("progress")[0].text == "6 of 6 prompts have a pair · in the campaign, ready to annotate"
    assert "Every prompt that matches has a pair" in at.info[0].value
    rows, total = pairs.page(bench.store, campaign_id=campaigns.first(bench.store).id)
    assert total == 6
    assert all(row["response_a"] != row["response_b"] for row in rows)


def test_a_second_click_on_the_same_offer_starts_no_second_job(bench: Workbench) -> None:
    stock(bench, 2)
    generate = button(opened(), "Generate")
    for _ in range(2):
        generate.click().run()
    assert len(ingest.listed(bench)) == 1
    finished(bench)


def test_a_cancelled_job_keeps_what_it_has_and_goes_on_when_asked(bench: Workbench) -> None:
    stock(bench, 4000)
    at = opened()
    at.number_input[2].set_value(4000)
    at = at.run()
    at = button(at, "Generate").click().run()
    until = time.monotonic() + 30
    while not ingest.listed(bench)[0][1].done:
        assert time.monotonic() < until
        time.sleep(0.02)
    at.run()
    button(at, "Cancel").click().run()
    finished(bench, state="cancelled")
    some = pairs.page(bench.store)[1]
    at = opened()
    assert any("cancelled" in m.value for m in at.markdown)
    button(at, "Go on").click().run()
    finished(bench)
    assert 0 < some < 4000
    assert pairs.page(bench.store)[1] == 4000


def test_what_a_job_could_not_do_is_listed_with_the_reason(bench: Workbench) -> None:
    stock(bench, 2)
    here = campaigns.first(bench.store).id
    rows = [prompts.record(row) for row in prompts.page(bench.store)[0]]
    same = Side("mock", Sampling(temperature=0.0))
    ingest.start_generation(bench, rows, here, same, same, 2, "test")
    finished(bench, state="failed")
    at = opened()
    assert not at.exception
    at.button_group[-1].set_value("2 failed: why").run()
    assert len(at.dataframe[0].value) == 2
    assert "same answer" in at.dataframe[0].value["Reason"][0]
    assert any("No prompt got a pair" in m.value for m in at.markdown)
