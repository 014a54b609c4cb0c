"""The Train page: what there is to learn from, what is missing, a real training from the button, and how others ended."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.importing import read_judgements
from core.roles import Role
from jobs import ingest
from jobs.launcher import Status
from jobs.protocol import Progress, Run, metric
from storage import campaigns, models, pairs
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.pages.registered import judged
from tests.tiny import write_encoder

Visit = Callable[..., AppTest]
WORKER = Path(__file__).resolve().parents[1] / "jobs" / "worker.py"


def label(bench: Workbench, choices: list[str]) -> None:
    """Pairs that one person judged, with these choices."""
    rows = [
        (n, {"prompt": f"Question {n}?", "response_a": f"Good answer {n}.", "response_b": f"Bad {n}.", "annotator": "Grace",
             "choice": choice, "category": "tone" if n % 2 else "sense"})
        for n, choice in enumerate(choices, start=1)
    ]  # fmt: skip
    report = pairs.add_judged(
        bench.store,
        bench.desks,
        read_judgements(rows),
        campaigns.first(bench.store).id,
        "test",
        source="test",
    )
    assert report.annotations == len(choices)


@pytest.fixture
def stand_in(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are carried out by the tests' worker, as ``how`` says, for as long as ``steps``."""
    monkeypatch.setattr(ingest.launcher(bench.settings.runs_dir), "command", [sys.executable, str(WORKER)])


def said(app: AppTest) -> str:
    assert not app.exception
    shown = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.toast]
    return "\n".join(element.value for element in shown).replace("\\", "")


def metrics(app: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in app.metric}


def train_button(app: AppTest) -> Any:
    return next(one for one in app.button if one.label == "Train")


def press(app: AppTest, label: str) -> AppTest:
    app = next(one for one in app.button if one.label == label).click().run()
    assert not app.exception
    return app


def newest(bench: Workbench) -> tuple[JobRow, Status]:
    return ingest.listed(bench)[0]


def ended(bench: Workbench, state: str = "done") -> None:
    late = time.monotonic() + 300
    while (now := newest(bench)[1]).state in ("queued", "running"):
        assert time.monotonic() < late, now
        time.sleep(0.1)
    assert now.state == state, now
    ingest.take_in(bench)


def queued(bench: Workbench, **told: Any) -> Run:
    """A training that waits, without a worker."""
    bench.settings.job_slots = 0
    job = ingest.start(bench, "train-reward", "helpful · transformer", "test", None, told, lambda run: None)
    return ingest.run_of(bench, job)


def test_without_labels_it_says_how_many_are_missing_and_why(visit: Visit, bench: Workbench) -> None:
    label(bench, ["a"] * 20 + ["both_bad"] * 3)
    app = visit("train")
    assert metrics(app)["Usable pairs"] == "20"
    assert "Left out: 3 of 23 pairs" in said(app) and "**3**: people found both answers bad" in said(app)
    assert "needs 50 pairs with a preferred answer: 30 more." in said(app)
    assert train_button(app).disabled


def test_simulated_annotators_count_only_when_switched_on(visit: Visit, sample: Workbench) -> None:
    app = visit("train")
    assert metrics(app)["Usable pairs"] == "0" and "Only simulated annotators have judged" in said(app)
    app.toggle(key="train simulated").set_value(True).run()
    assert metrics(app)["Usable pairs"] == "70" and not app.warning
    assert ":violet-badge" in said(app) and not train_button(app).disabled


def test_the_switch_is_not_there_where_nobody_is_simulated(visit: Visit, bench: Workbench) -> None:
    label(bench, ["a", "b"])
    assert "train simulated" not in [one.key for one in visit("train").toggle]


def test_policy_and_category_decide_what_is_usable(visit: Visit, bench: Workbench) -> None:
    label(bench, ["a", "b"] * 30 + ["tie"] * 10)
    app = visit("train")
    assert metrics(app)["Usable pairs"] == "70"
    app.button_group(key="train ties").set_value("drop").run()
    assert metrics(app)["Usable pairs"] == "60" and "**10**: people found the answers equally good" in said(
        app
    )
    app.selectbox(key="train category").set_value("tone").run()
    assert metrics(app)["Usable pairs"] == "30"


def test_a_training_from_the_button_ends_as_a_model_with_figures_and_a_learning_curve(
    visit: Visit, sample: Workbench
) -> None:
    judged(sample, 200)
    app = visit("train")
    app.toggle(key="train simulated").set_value(True).run()
    app = train_button(app).click().run()
    assert ":blue-badge" in said(app) or ":gray-badge" in said(app)
    ended(sample)
    app.run()
    assert "It is **helpful 1.0.0** now, in testing." in said(app)
    assert set(metrics(app)) == {"Accuracy", "Log loss", "Calibration error (ECE)", "Brier score"}
    assert "n = " in said(app) and " to " in said(app) and "No calibrator" in said(app)
    assert "No text was cut." in said(app) and "Training is done: helpful" in said(app)
    assert len(app.get("plotly_chart")) == 1
    [model] = models.listed(sample.store)
    assert models.lineage(sample.store, model.id).learnt["policy"]["simulated"]
    app.button_group(key="train view").set_value("New training").run()
    assert "helpful 1.0.0 has learnt from all of this already." in said(app)
    assert metrics(app)["New since 1.0.0"] == "0"

    curve = model.figures["learning_curve"]
    assert len(curve) > 2 and all(point["accuracy"]["value"] is not None for point in curve)
    assert [point["labels"] for point in curve] == sorted({point["labels"] for point in curve})
    app = visit("models")
    without = len(app.get("plotly_chart"))
    app.button_group(key="models view").set_value("Evolution").run()
    assert not app.exception and len(app.get("plotly_chart")) > without
    assert "The same method trained on parts of the labels" in said(app)


PANELS = {
    "trl": ["Loss", "Accuracy", "Learning rate", "Pairs a second"],
    "transformer": ["Loss", "Accuracy", "Learning rate", "Pairs a second", "held out, after an epoch"],
}


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("trl", {"epochs": 3, "learning_rate": 3e-3, "batch": 8, "tokens": 16}),
        ("transformer", {"epochs": 3, "tokens": 16, "trained": 1, "learning_rate": 3e-3, "head_rate": 1e-2, "surface": False, "refit": False, "learning_curve": True}),
    ],
)  # fmt: skip
def test_a_network_is_trained_from_the_button_on_a_folder_of_the_server(
    visit: Visit, bench: Workbench, tmp_path: Path, method: str, settings: dict[str, Any]
) -> None:
    pytest.importorskip("trl", reason="the method trl needs the package trl (requirements-dev.txt)")
    base = str(write_encoder(tmp_path / "tiny", ["good", "bad", "answer"]))
    label(bench, ["a"] * 100)
    app = visit("train")
    app.radio(key="train method").set_value(method).run()
    app.toggle(key="train more").set_value(True).run()
    app.text_input(key=f"train {method} model").set_value(base).run()
    for name, value in settings.items():
        field = app.toggle if isinstance(value, bool) else app.number_input
        field(key=f"train {method} {name}").set_value(value).run()
    app = press(app, "Train")
    seen = set()
    while newest(bench)[1].state in ("queued", "running"):
        time.sleep(0.7)
        app.run()
        seen |= {bar.text.split(" · ")[0] for bar in app.get("progress")}
    assert any(text.endswith(" steps") for text in seen), newest(bench)[1]
    ended(bench)
    app.run()
    assert f"helpful · {method} · 100 pairs" in said(app) and "It is **helpful 1.0.0** now" in said(app)
    assert float(metrics(app)["Accuracy"]) > 0.9
    assert ("was then fitted to all 100 pairs" in said(app)) == settings.get("refit", True)
    curves = json.loads(app.get("plotly_chart")[1].proto.spec)["data"]
    drawn = {line["name"]: line["y"] for line in curves if line.get("name")}
    assert list(drawn) == PANELS[method] and all(
        len(y["bdata"] if isinstance(y, dict) else y) for y in drawn.values()
    )
    [model] = models.listed(bench.store)
    assert (model.method, model.base) == (method, base)
    assert bool(model.figures["learning_curve"]) == settings.get("learning_curve", False)
    told = ingest.run_of(bench, newest(bench)[0]).job()["arguments"]
    assert settings.items() <= told.items()


def test_a_second_click_on_the_same_offer_starts_no_second_training(visit: Visit, bench: Workbench) -> None:
    label(bench, ["a", "b"] * 30)
    bench.settings.job_slots = 0
    train = train_button(visit("train"))
    for _ in range(2):
        train.click().run()
    assert len(ingest.listed(bench)) == 1


def test_what_was_chosen_reaches_the_job(visit: Visit, bench: Workbench) -> None:
    label(bench, ["a", "b"] * 30)
    bench.settings.job_slots = 0
    app = visit("train")
    app.radio(key="train method").set_value("transformer").run()
    app.toggle(key="train more").set_value(True).run()
    app.number_input(key="train transformer epochs").set_value(5).run()
    app.button_group(key="train part").set_value("Run").run()
    app.number_input(key="train minutes").set_value(3).run()
    app.button_group(key="train priority").set_value(1).run()
    train_button(app).click().run()
    job, _ = newest(bench)
    told = ingest.run_of(bench, job).job()["arguments"]
    assert job.label.startswith("helpful · transformer") and (job.priority, job.time_limit) == (1, 180.0)
    assert told["method"] == "transformer" and told["epochs"] == 5 and told["learning_rate"] == 3e-5
    assert told["refit"] and not told["learning_curve"]


def test_pairs_that_are_all_ties_are_refused_and_say_so(visit: Visit, bench: Workbench) -> None:
    label(bench, ["tie"] * 60)
    app = train_button(visit("train")).click().run()
    assert "there are 0, so 50 more are needed" in said(app) and not ingest.listed(bench)


def test_a_network_shows_its_curves_while_it_runs(visit: Visit, bench: Workbench) -> None:
    run = queued(bench, method="transformer")
    app = visit("train")
    assert "The curves begin with the second step." in said(app) and "queued]" in said(app)
    for step in range(1, 4):
        metric(run, step=step, epoch=1, loss=0.7, accuracy=0.5, learning_rate=1e-5, examples_per_second=30.0)
    Progress(run, 10, 3, "training: once more, on all pairs")
    app.run()
    assert len(app.get("plotly_chart")) == 1
    assert app.get("progress")[0].text == "3 of 10 steps · once more, on all pairs"


def test_without_a_pair_held_out_it_says_that_there_are_no_figures(visit: Visit, bench: Workbench) -> None:
    run = queued(bench, method="transformer")
    none = {"value": None, "low": None, "high": None, "n": 0, "target": None, "reason": "No pair."}
    part = {"rows": 0, "groups": 0}
    figures = {
        **dict.fromkeys(("accuracy", "log_loss", "ece", "brier"), none),
        "form": {"transformer": none},
        "parts": {"train": {"rows": 70, "groups": 70}, "calibration": part, "test": part},
        "calibrator": {"name": "identity", "reason": "There are 0 prompts."},
        "ties": {"policy": "half", "pairs": 0},
        "left_out": {"count": 0, "reasons": {}},
        "total": 70,
    }
    run.end("done", None, figures)
    app = visit("train")
    app.button_group(key="train view").set_value("Trainings").run()
    assert "No pair was held out, so there are no figures" in said(app) and not app.metric


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_one_that_did_not_end_says_why_and_what_to_do(visit: Visit, bench: Workbench, state: str) -> None:
    run = queued(bench, method="transformer")
    run.end(state, "The loss is not a number at step 3.")
    ingest.take_in(bench)
    app = visit("train")
    app.button_group(key="train view").set_value("Trainings").run()
    assert "The loss is not a number at step 3." in said(app) and "leaves no model" in said(app)
    press(app, "Go on")
    assert newest(bench)[1].state == "queued"


def test_trainings_is_empty_at_first(visit: Visit, bench: Workbench) -> None:
    app = visit("train")
    app.button_group(key="train view").set_value("Trainings").run()
    assert "Nothing has been trained yet." in said(app)


def test_only_a_lead_trains(visit: Visit, sign_in: Callable[[Role], str]) -> None:
    sign_in("researcher")
    page = str(Path(__file__).resolve().parents[2] / "pages" / "train.py")
    app = AppTest.from_file(page, default_timeout=300).run()
    assert "for the role lead" in app.warning[0].value and not app.title
