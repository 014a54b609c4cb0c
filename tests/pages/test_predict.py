"""The Predict page: ranking with and without a model, probes of a real one, and its errors as a retraining set."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.importing import read_judgements
from core.judging import Verdict
from core.labels import Policy
from core.rewards.base import MODEL_FILE
from core.roles import Role
from jobs import ingest, learning
from jobs import models as job_models
from jobs.resident import scorer
from providers.encoder import encoder
from storage import campaigns, models, pairs, people
from storage.models import Model
from storage.overview import learning as learnt
from storage.simulated import load_sample
from storage.tables import CampaignRow, ModelRow
from storage.workbench import Workbench
from tests.jobs.training import widened
from tests.pages.conftest import Filled

Visit = Callable[..., AppTest]
PROMPT = "Why is the sky blue?"
ANSWERS = [
    "no idea",
    "Sunlight is scattered by the air, and blue light most of all, so it reaches us from everywhere.",
    "It is.",
]

LATER = [
    {"prompt": f"How much is {n} times {n}?", "response_a": f"{n} times {n} is {n * n}.", "response_b": "Ask a calculator.",
     "annotator": who, "choice": "a" if n % 4 else "b"}
    for n in range(2, 14)
    for who in ("Grace", "Alan")
]  # fmt: skip
"""Judgements by people of pairs that came after the training."""


def advanced(bench: Workbench, seconds: float = 300) -> None:
    """Look after the jobs, as the app's thread does, until all have ended well."""
    until = time.monotonic() + seconds
    while any(not job.ingested for job, _ in ingest.listed(bench)):
        assert time.monotonic() < until, "a job did not end"
        ingest.advance(bench)
        time.sleep(0.2)
    assert {status.state for _, status in ingest.listed(bench)} == {"done"}


def learnt_from_the_sample(bench: Workbench) -> None:
    load_sample(bench.store, bench.desks, "test")
    here = campaigns.first(bench.store).id
    learning.start_training(bench, "helpful", "test", campaign_id=here, policy=Policy(simulated=True))
    advanced(bench)
    pairs.add_judged(
        bench.store, bench.desks, read_judgements(list(enumerate(LATER, 1))), here, "test", source="file"
    )


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(learnt_from_the_sample)


@pytest.fixture
def trained(project: Path, bench: Workbench) -> Workbench:
    """The sample project with a real model that learnt from its simulated annotators."""
    return bench


def the_model(bench: Workbench) -> Model:
    (model,) = models.listed(bench.store)
    return model


def view(app: AppTest, name: str) -> AppTest:
    next(group for group in app.segmented_control if group.label == "View").set_value(name).run()
    assert not app.exception
    return app


def typed(app: AppTest, answers: list[str]) -> AppTest:
    while len(app.text_area) < len(answers) + 1:
        button(app, "Add an answer").click().run()
    app.text_area("rank prompt").set_value(PROMPT)
    for i, answer in enumerate(answers):
        app.text_area(f"rank answer {i}").set_value(answer)
    button(app, "Rank").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):  # type: ignore[no-untyped-def]
    return next(one for one in app.button if one.label == label)


def model_box(app: AppTest):  # type: ignore[no-untyped-def]
    return next(box for box in app.selectbox if box.label == "Model")


def order(app: AppTest) -> list[int]:
    """Where each answer of the ranking stood, the best first."""
    marks = [text.value for text in app.markdown if " · Answer " in text.value]
    assert [mark[2] for mark in marks] == [str(n) for n in range(1, len(marks) + 1)]
    return [int(mark.rpartition(" ")[2]) for mark in marks]


def warnings(app: AppTest) -> str:
    return " ".join(warning.value for warning in app.warning).replace("\\", "")


def test_without_a_model_the_order_is_the_one_given_and_says_so(visit: Visit) -> None:
    app = visit("predict")
    assert model_box(app).disabled
    typed(app, ANSWERS)
    assert order(app) == [1, 2, 3]
    assert "order as given, not a ranking" in warnings(app) and "No model is deployed." in warnings(app)
    assert not app.get("progress")
    for other in ("Probe", "Retraining set"):
        assert "There is no model yet." in view(app, other).info[0].value


def test_a_prompt_and_two_answers_are_needed(visit: Visit) -> None:
    app = typed(visit("predict"), ["only one", " "])
    assert warnings(app) == "Give a prompt and two answers or more."


def test_a_model_that_is_not_deployed_ranks_only_when_chosen(trained: Workbench, visit: Visit) -> None:
    app = visit("predict")
    assert model_box(app).value is None
    assert "No model is deployed." in warnings(typed(app, ANSWERS))
    model_box(app).set_value(the_model(trained).id).run()
    button(app, "Rank").click().run()
    assert not app.warning
    assert any("Said by" in text.value and "testing" in text.value for text in app.caption)


def test_the_deployed_model_ranks_with_its_probabilities(trained: Workbench, visit: Visit) -> None:
    model = job_models.deploy(trained, the_model(trained).id, "test")
    app = visit("predict")
    assert model_box(app).value == model.id
    typed(app, ANSWERS)
    ready = scorer(trained)
    rewards = ready.score([PROMPT] * 3, ANSWERS)
    best = np.argsort(-rewards)
    assert order(app) == [i + 1 for i in best]
    sure = ready.predict([PROMPT] * 2, [ANSWERS[i] for i in best[:2]], [ANSWERS[i] for i in best[1:]])
    assert [bar.text for bar in app.get("progress")] == [
        f"**{min(p, 0.999):.1%}** preferred to the next" for p in sure
    ]
    assert all(p >= 0.5 for p in sure)
    (said,) = [text.value.replace("\\", "") for text in app.caption if "Said by" in text.value]
    assert "**helpful 1.0.0** (deployed)" in said and "accuracy 0." in said
    typed(app, ANSWERS[::-1])
    assert order(app) == [3 - i for i in best]


def test_a_pair_of_the_campaign_is_taken_as_it_is(trained: Workbench, visit: Visit) -> None:
    app = visit("predict")
    shown = app.dataframe[0].value
    assert list(shown.columns) == ["Prompt", "Answer A", "Answer B"] and len(shown) == 30
    app.text_input("rank search").set_value("no such words").run()
    assert any("No pair of this campaign matches" in text.value for text in app.caption)


def flipped(bench: Workbench, model: Model) -> None:
    (weights,) = job_models.directory(bench, model).glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def wide(bench: Workbench, model: Model) -> None:
    """As if it had been registered so."""
    home = job_models.directory(bench, model)
    widened(home, encoder).save(home)
    with bench.store.writing() as session:
        session.get_one(ModelRow, model.id).checksum = hashlib.sha256(
            (home / MODEL_FILE).read_bytes()
        ).hexdigest()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flipped, "its SHA-256 differs"),
        (wide, "vectors of 384 numbers, but the reward was trained on vectors of 385"),
    ],
)
def test_a_damaged_model_falls_back_and_says_what_is_wrong(
    trained: Workbench, visit: Visit, damage: Callable[[Workbench, Model], None], says: str
) -> None:
    model = job_models.deploy(trained, the_model(trained).id, "test")
    damage(trained, model)
    app = typed(visit("predict"), ANSWERS)
    assert order(app) == [1, 2, 3]
    assert says in warnings(app)


def test_a_file_of_answers_comes_back_ranked(trained: Workbench, visit: Visit) -> None:
    job_models.deploy(trained, the_model(trained).id, "test")
    app = visit("predict")
    next(group for group in app.segmented_control if group.label == "Answers").set_value("File").run()
    rows = [
        {"prompt": PROMPT, "response": answer, "id": i, "rank": "mine"} for i, answer in enumerate(ANSWERS)
    ]
    rows += [{"prompt": "Two plus two?", "response": answer, "id": 9} for answer in ("4", "It is four.")]
    rows.append({"prompt": "", "response": "to nothing"})
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    app.file_uploader[0].upload("answers.jsonl", content).run()
    assert any("5 answers to 2 prompts. 1 row cannot be ranked." in text.value for text in app.caption)
    button(app, "Rank").click().run()
    assert not app.exception
    file, found, ranked = app.session_state["ranked file"]
    assert file.name == "answers.jsonl" and [len(one.answers) for one in found] == [3, 2]
    rewards = scorer(trained).score([PROMPT] * 3, ANSWERS)
    assert [row["id"] for row in ranked[:3]] == np.argsort(-rewards).tolist()
    assert [row["rank"] for row in ranked] == [1, 2, 3, 1, 2]
    assert ranked[2]["preferred_to_next"] is None and ranked[0]["preferred_to_next"] >= 0.5
    assert {row["ranked_by"] for row in ranked} == {"helpful 1.0.0"}


def test_a_file_that_is_none_of_answers_says_what_it_lacks(visit: Visit) -> None:
    app = visit("predict")
    next(group for group in app.segmented_control if group.label == "Answers").set_value("File").run()
    app.file_uploader[0].upload("x.csv", b"prompt,text\na,b\n").run()
    assert "'response' is missing" in app.error[0].value.replace("\\", "")


def test_a_probe_is_started_logged_and_leads_to_its_disagreements(trained: Workbench, visit: Visit) -> None:
    model = the_model(trained)
    app = view(visit("predict"), "Probe")
    assert any("**12** of the campaign’s 84 pairs have a label" in text.value for text in app.markdown)
    assert any("72, only simulated annotators judged it" in text.value for text in app.caption)
    app.toggle("probe simulated").set_value(True).run()
    assert any("**12** of the campaign’s 84 pairs" in text.value for text in app.markdown)
    assert any("the model has learnt from its prompt" in text.value for text in app.caption)
    for _ in range(2):
        button(app, "Probe").click().run()
    assert not app.exception and not app.error
    assert len(ingest.listed(trained, kinds=["evaluate"])) == 1, "a second click starts no second probe"
    advanced(trained)
    app.run()
    (row,) = models.probes(trained.store, model.id)
    log = app.dataframe[0].value
    assert log["Pairs"].tolist() == [12] and log["By"].tolist() == ["Ada"]
    assert log["Accuracy"][0].startswith(f"{row.figures['accuracy']['value']:.3f} (")
    said = models.predictions(trained.store, model.id, ("probe",), probe_id=row.id).to_pandas()
    against = said[(said["probability"] - 0.5) * (said["target"] - 0.5) < 0]
    assert 0 < len(against) < 12
    assert f"{len(against)} disagreements in 12 pairs" in [text.value for text in app.subheader]
    shown = app.dataframe[1].value
    assert shown["confidence"].is_monotonic_decreasing and len(shown) == len(against)
    assert (shown["model"] != shown["people"]).all()
    assert app.get("plotly_chart")


def test_without_an_unseen_pair_there_is_no_probe(trained: Workbench, visit: Visit) -> None:
    empty = campaigns.create(trained.store, CampaignRow(name="Empty"), "test")
    app = view(visit("predict", campaign=empty.name), "Probe")
    assert any("**0** of the campaign’s 0 pairs" in text.value for text in app.markdown)
    assert button(app, "Probe").disabled


def judge(bench: Workbench, campaign_id: str, name: str, n: int) -> None:
    """Somebody judges the next pairs, always for a."""
    desk, who = bench.desks[campaign_id], people.annotator(bench.store, name).id
    for _ in range(n):
        lease = desk.next(who, datetime.now(UTC))
        desk.submit(who, lease.pair_id, Verdict("a"), datetime.now(UTC), source="person", lease_id=lease.id)


def test_the_errors_become_a_set_that_the_train_page_takes_up(trained: Workbench, visit: Visit) -> None:
    model = the_model(trained)
    app = view(visit("predict"), "Retraining set")
    tiles = {tile.label: tile for tile in app.metric}
    said = models.predictions(trained.store, model.id, ("test",)).to_pandas()
    sure = said["probability"].clip(lower=1 - said["probability"])
    wrong = (said["probability"] - 0.5) * (said["now"] - 0.5) < 0
    assert tiles["Confident mistakes"].value == str(int((wrong & (sure >= 0.8)).sum()))
    assert tiles["Low confidence"].value == str(int((sure <= 0.6).sum()))
    assert tiles["Low confidence"].delta.endswith(f"of {len(said)} held-out pairs")
    button(app, "Train with these weights").click().run()
    assert not app.exception
    assert app.title[0].value == "Train"
    assert app.selectbox("train name").value == "helpful"
    assert app.selectbox("train emphasise helpful").value == model.id
    assert app.toggle("train simulated").value, "the policy is the model's"
    button(app, "Train").click().run()
    assert not app.exception and not app.error
    ((job, _),) = ingest.listed(trained, kinds=["train-reward"])[:1]
    advanced(trained)
    newest = next(found for found in models.listed(trained.store) if found.job_id == job.id)
    assert (
        newest.version == "1.1.0" and models.lineage(trained.store, newest.id).learnt["emphasise"] == model.id
    )


def test_roles(trained: Workbench, visit: Visit, sign_in: Callable[[Role], str]) -> None:
    sign_in("researcher")
    app = view(visit("predict", name=""), "Probe")
    assert button(app, "Probe").disabled
    app = view(app, "Retraining set")
    assert "Train with these weights" not in [one.label for one in app.button]
    assert "A lead can train." in [text.value for text in app.caption]
    sign_in("annotator")
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        visit("predict", name="")


def test_the_overview_knows_the_models(trained: Workbench, visit: Visit) -> None:
    model, here = the_model(trained), campaigns.first(trained.store).id
    now = learnt(trained.store, here, 50)
    assert (now.labelled, now.simulated, now.deployed, now.fresh) == (82, 70, None, 24)
    assert now.newest is not None and now.newest.name == "helpful 1.0.0"
    assert now.newest.accuracy.value == model.figures["accuracy"]["value"]
    assert now.learnt == len(models.lineage(trained.store, model.id).annotation_ids)
    judge(trained, here, "Ada", 5)
    models.deploy(trained.store, model.id, "test")
    now = learnt(trained.store, here, 50)
    assert now.labelled == 82 and now.simulated < 70 and now.fresh == 29
    assert now.deployed == now.newest
    assert learnt(trained.store, "c_none", 50).labelled == 0
    app = visit("overview")
    assert not app.exception
    (said,) = [text.value.replace("\\", "") for text in app.markdown if text.value.startswith("**helpful")]
    assert said.startswith("**helpful 1.0.0** :gray-badge[deployed] prefers what people prefer in ")
    assert said.endswith(f"{model.figures['accuracy']['n']} held-out pairs.")
