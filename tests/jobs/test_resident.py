"""The models that score in the app's process: which one answers, how long it stays, and that callers share batches."""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
import pytest

from core.calibrators import Temperature
from core.preferences import Preference, Rating
from core.production import bucket
from core.ratings import FloatArray
from core.rewards import sbert
from core.rewards.base import MODEL_FILE, RewardError, RewardModel, VotePredictor
from jobs import ingest, models, resident
from jobs.resident import NoSuchModel, NotReady, scorer, serving
from providers.encoder import encoder
from storage import models as registry
from storage.models import Model, ModelError
from storage.tables import ModelRow
from storage.workbench import Workbench
from tests.jobs.benches import until

KIND = "Thank you for asking; here is a careful and friendly explanation of {}."
RUDE = "shut up about {}, you fool"
THINGS = [f"{what} {n}" for what in ("the sea", "a garden", "cold soup", "the moon") for n in range(5)]


@pytest.fixture(scope="module")
def kind() -> VotePredictor:
    """A real model that prefers kind answers."""
    pairs = [
        Preference(thing, thing, KIND.format(thing), RUDE.format(thing), 1.0, 1.0, thing, "general")
        for thing in THINGS
    ]
    return VotePredictor(sbert.fit_pairs(pairs, encoder(), True, 0).reward, Temperature(2.0))


@pytest.fixture(scope="module")
def rated() -> VotePredictor:
    ratings = [Rating(t, form.format(t), n) for t in THINGS for form, n in ((KIND, 5.0), (RUDE, 1.0))]
    return VotePredictor(sbert.fit_ratings(ratings, encoder(), True, 4.0, 0), trained_on="ratings")


def registered(bench: Workbench, name: str, predictor: VotePredictor) -> Model:
    home = bench.settings.models_dir / f"{name}{len(registry.listed(bench.store, archived=True))}"
    predictor.save(home)
    row = ModelRow(
        id="",
        name=name,
        version="",
        method="sbert",
        path=str(home.relative_to(bench.settings.data_dir)),
        actor="ann",
        created_at=datetime.now(UTC),
        checksum=hashlib.sha256((home / MODEL_FILE).read_bytes()).hexdigest(),
    )
    return registry.register(bench.store, row)


def test_the_deployed_version_answers_and_the_swap_is_at_once(bench: Workbench, kind: VotePredictor) -> None:
    with pytest.raises(NotReady, match="No model is deployed"):
        scorer(bench)
    first, second = registered(bench, "kind", kind), registered(bench, "kind", kind)
    with pytest.raises(NotReady, match="No version of 'kind' is deployed"):
        scorer(bench, "kind")
    models.deploy(bench, first.id, "ann")
    one = scorer(bench)
    assert one.model.id == first.id and scorer(bench, "kind") is one is scorer(bench, first.id)
    models.deploy(bench, second.id, "ann")
    assert scorer(bench).model.id == scorer(bench, "kind").model.id == second.id
    registry.roll_back(bench.store, "kind", "ann")
    assert scorer(bench) is one, "it was still there"


def test_by_alias(bench: Workbench, kind: VotePredictor) -> None:
    a, b = registered(bench, "a", kind), registered(bench, "b", kind)
    registry.set_alias(bench.store, a.id, "best", "ann")
    assert scorer(bench, "best").model.id == a.id == scorer(bench, "a@best").model.id
    registry.set_alias(bench.store, b.id, "best", "ann")
    with pytest.raises(ModelError, match="ask for one of b@best, a@best"):
        scorer(bench, "best")
    assert scorer(bench, "b@best").model.id == b.id
    with pytest.raises(NoSuchModel, match="id, name or alias 'worst'"):
        scorer(bench, "worst")
    registry.archive(bench.store, a.id, "ann")
    with pytest.raises(ModelError, match="archived"):
        scorer(bench, a.id)


def test_the_last_two_stay(bench: Workbench, kind: VotePredictor) -> None:
    a, b, c = (registered(bench, name, kind) for name in "abc")
    first, second = scorer(bench, a.id), scorer(bench, b.id)
    assert scorer(bench, a.id) is first
    scorer(bench, c.id)
    assert scorer(bench, a.id) is first and scorer(bench, b.id) is not second
    assert len(resident._loaded) == resident.KEPT


def test_callers_at_once_load_it_once(bench: Workbench, kind: VotePredictor) -> None:
    model = registered(bench, "kind", kind)
    with ThreadPoolExecutor(16) as pool:
        assert len({id(one) for one in pool.map(lambda _: scorer(bench, model.id), range(16))}) == 1


def test_scores_and_probabilities_are_those_of_the_model(bench: Workbench, kind: VotePredictor) -> None:
    found = scorer(bench, registered(bench, "kind", kind).id)
    nice, rude = KIND.format("tea"), RUDE.format("tea")
    assert found.score(["tea"] * 2, [nice, rude]) == pytest.approx(
        kind.score(["tea"] * 2, [nice, rude]), abs=1e-3
    )
    (p,), (q,) = found.predict(["tea"], [nice], [rude]), found.predict(["tea"], [rude], [nice])
    assert p > 0.6 and p + q == pytest.approx(1, abs=1e-12)
    assert p == pytest.approx(kind.predict(["tea"], [nice], [rude])[0], abs=1e-3)
    assert found.good(found.score(["tea"], [nice])) is None


def test_a_model_trained_on_ratings_says_what_is_good(bench: Workbench, rated: VotePredictor) -> None:
    found = scorer(bench, registered(bench, "rated", rated).id)
    good = found.good(found.score(["tea"] * 2, [KIND.format("tea"), RUDE.format("tea")]))
    assert good is not None and good[0] > 0.6 > 0.4 > good[1]
    with pytest.raises(NotReady, match="was trained on ratings"):
        found.predict(["tea"], ["x"], ["y"])


def test_what_is_served_is_counted_and_written_when_the_app_stops(
    bench: Workbench, kind: VotePredictor, rated: VotePredictor
) -> None:
    with pytest.raises(NotReady), serving(bench, "score", 1, perf_counter()):
        pass
    first, second = registered(bench, "kind", kind), registered(bench, "rated", rated)
    models.deploy(bench, first.id, "ann")
    with ingest.watch(bench):
        since = perf_counter() - 3
        with serving(bench, "score", 2, since) as ready:
            ready.score(["tea"] * 2, ["x", "y"])
        with pytest.raises(NotReady), serving(bench, "predict", 2, since, second.id) as ready:
            ready.predict(["tea"], ["x"], ["y"])
    rows = bench.store.rows("SELECT model_id, route, failed, requests, texts FROM served ORDER BY route DESC")
    assert rows == [(first.id, "score", False, 1, 2), (second.id, "predict", True, 1, 2)]
    (took,) = bench.store.rows("SELECT min(bucket) FROM served")[0]
    assert took >= bucket(3), "from when the request came"


class Counting:
    """A model that counts how often it is asked, and with how many answers."""

    def __init__(self, model: RewardModel) -> None:
        self.model, self.method, self.base = model, model.method, model.base
        self.sizes: list[int] = []
        self.free = threading.Event()

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        self.sizes.append(len(responses))
        assert self.free.wait(30)
        return self.model.score(prompts, responses)


def test_sixteen_callers_share_batches(bench: Workbench, kind: VotePredictor) -> None:
    counting = Counting(kind.model)
    found = resident.Scorer(registered(bench, "kind", kind), replace(kind, model=counting))
    asked = [[f"{KIND.format(thing)} {n}" for n in range(10)] for thing in THINGS[:16]]
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(found.score, ["q"] * 10, texts) for texts in asked]
        until(lambda: len(found._rewards._waiting) + sum(counting.sizes) // 10 == 16)
        counting.free.set()
        got = np.concatenate([answer.result() for answer in answers])
    alone = kind.score(["q"] * 160, [text for texts in asked for text in texts])
    assert got == pytest.approx(alone, abs=1e-3)
    assert len(counting.sizes) <= 5 and max(counting.sizes) == resident.BATCH and sum(counting.sizes) == 160


def test_an_answer_that_breaks_the_model_costs_its_caller_alone(
    bench: Workbench, kind: VotePredictor
) -> None:
    class Breaking(Counting):
        def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
            scores = super().score(prompts, responses)
            return np.where(np.array(responses) == "break", np.nan, scores)

    breaking = Breaking(kind.model)
    found = resident.Scorer(registered(bench, "kind", kind), replace(kind, model=breaking))
    with ThreadPoolExecutor(3) as pool:
        first, bad, fine = (pool.submit(found.score, ["q"], [text]) for text in ("a", "break", "b"))
        breaking.free.set()
        assert np.isfinite([*first.result(), *fine.result()]).all()
        with pytest.raises(RewardError, match="not a number"):
            bad.result()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda home: (home / "weights.safetensors").write_bytes(b"x"), "SHA-256 differs"),
        (lambda home: (home / "weights.safetensors").unlink(), "lacks weights.safetensors"),
        (lambda home: (home / MODEL_FILE).write_text("{}"), "cannot be read"),
        (lambda home: (home / MODEL_FILE).write_bytes((home / MODEL_FILE).read_bytes() + b"\n"), "was registered"),
        (lambda home: (home / "pytorch_model.bin").write_bytes(b"x"), "a pickle"),
        (lambda home: home.rename(home.with_name("gone")), "There is no folder"),
    ],
)  # fmt: skip
def test_damaged_files_are_neither_deployed_nor_asked(
    bench: Workbench, kind: VotePredictor, damage: object, says: str
) -> None:
    model = registered(bench, "kind", kind)
    damage(models.directory(bench, model))  # type: ignore[operator]
    for use in (lambda: models.deploy(bench, model.id, "ann"), lambda: scorer(bench, model.id)):
        with pytest.raises(RewardError, match=says):
            use()
    assert registry.get(bench.store, model.id).status == "testing"
