"""The SBERT reward, the vote predictor on it, and the folder they are kept in."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from core.calibrators import Isotonic, Platt, Temperature
from core.preferences import Preference, Rating
from core.ratings import FloatArray
from core.rewards import sbert
from core.rewards.base import (
    MODEL_FILE,
    RewardError,
    VotePredictor,
    describe,
    load,
    model_directory,
    sigmoid,
)


@dataclass(frozen=True)
class HashEncoder:
    """An encoder without a model: a text's vector is drawn from its hash, and has length 1."""

    name: str = "hash"
    dimension: int = 12

    @property
    def identity(self) -> str:
        return f"{self.name} {self.dimension}"

    def embed(
        self, texts: Sequence[str], on_progress: Callable[[int, int], None] | None = None
    ) -> FloatArray:
        seeds = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts)
        drawn = [np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds]
        return np.stack([vector / np.linalg.norm(vector) for vector in drawn])

    def cut(self, texts: Sequence[str]) -> int:
        return 0


ENCODER = HashEncoder()
TRUTH = np.random.default_rng(5).standard_normal(ENCODER.dimension) * 6


def simulated(count: int, seed: int = 0, soft: bool = False) -> list[Preference]:
    """Pairs whose votes are drawn from a Bradley-Terry model with the weights TRUTH on the embedding."""
    random = np.random.default_rng(seed)
    pairs = []
    for i in range(count):
        a, b = f"answer a {seed} {i}", f"answer b {seed} {i}"
        p = float(sigmoid(ENCODER.embed([a]) @ TRUTH - ENCODER.embed([b]) @ TRUTH)[0])
        target = random.binomial(5, p) / 5 if soft else float(random.random() < p)
        pairs.append(Preference(f"x{i}", "p", a, b, target, 5.0 if soft else 1.0, f"g{i // 3}", "general"))
    return pairs


def texts(pairs: Sequence[Preference]) -> tuple[list[str], list[str], list[str]]:
    return [p.prompt for p in pairs], [p.response_a for p in pairs], [p.response_b for p in pairs]


@pytest.fixture(scope="module")
def fitted() -> sbert.Fitted:
    return sbert.fit_pairs(simulated(600), ENCODER, with_surface=True, seed=0)


def test_the_solver_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    x, y = random.standard_normal((300, 7)), random.random(300) < 0.3
    weight = random.uniform(0.5, 2, 300)
    other = LogisticRegression(C=1 / 4, tol=1e-9, max_iter=1000).fit(x, y, weight)
    mine = sbert._Logistic(x[:, :3], x[:, 3:], y, weight, intercept=True).fit(4.0, 4.0)
    assert np.allclose(mine[:-1], other.coef_[0], atol=2e-3) and mine[-1] == pytest.approx(
        other.intercept_[0], abs=2e-3
    )


def test_a_soft_target_is_both_outcomes_with_its_shares() -> None:
    random = np.random.default_rng(2)
    x, t = random.standard_normal((200, 4)), random.random(200)
    empty = np.empty((200, 0))
    soft = sbert._Logistic(x, empty, t, np.ones(200)).fit(1.0, 1.0)
    both = LogisticRegression(C=1, fit_intercept=False, tol=1e-9, max_iter=1000)
    both.fit(np.vstack([x, x]), np.r_[np.ones(200), np.zeros(200)], np.r_[t, 1 - t])
    assert np.allclose(soft, both.coef_[0], atol=2e-3)


@pytest.mark.parametrize("soft", [False, True])
def test_what_votes_were_drawn_from_is_recovered(soft: bool) -> None:
    reward = sbert.fit_pairs(simulated(1500, soft=soft), ENCODER, with_surface=False, seed=0).reward
    assert np.corrcoef(reward.embedding, TRUTH)[0, 1] > 0.97
    assert not len(reward.surface)


def test_the_variants_tell_form_from_meaning(fitted: sbert.Fitted) -> None:
    pairs = simulated(600, seed=9)
    target = np.array([p.target for p in pairs])
    right = {
        name: np.mean((VotePredictor(reward).differences(*texts(pairs)) > 0) == (target > 0.5))
        for name, reward in fitted.variants.items()
    }
    assert right[sbert.EMBEDDING] > 0.8 and right[sbert.BOTH] > 0.8
    assert right[sbert.SURFACE] < 0.6


@pytest.mark.parametrize(
    "calibrator", [Temperature(2.0), Platt(0.7, 0.9), Isotonic((0.1, 0.4, 0.9), (0.2, 0.3, 0.7))]
)
def test_the_order_of_a_pair_does_not_matter_whatever_the_calibrator(
    fitted: sbert.Fitted, calibrator: Temperature | Platt | Isotonic
) -> None:
    predictor = VotePredictor(fitted.reward, calibrator)
    prompts, a, b = texts(simulated(50, seed=3))
    assert np.allclose(predictor.predict(prompts, a, b), 1 - predictor.predict(prompts, b, a), atol=1e-12)
    assert np.allclose(predictor.predict(prompts, a, a), 0.5)


def test_ratings_are_good_against_poor_with_classes_of_equal_weight() -> None:
    random = np.random.default_rng(0)
    rated = []
    for i in range(900):
        one = Rating(f"p{i}", f"answer {i}", 1.0)
        z = ENCODER.embed([sbert.join(one.prompt, one.response)]) @ TRUTH - 2.5
        rated.append(replace(one, rating=5.0 if random.random() < sigmoid(z)[0] else 2.0))
    good = np.array([r.rating >= 4 for r in rated])
    assert good.mean() < 0.35
    reward = sbert.fit_ratings(rated, ENCODER, with_surface=True, threshold=4.0, seed=0)
    p = sigmoid(reward.score([r.prompt for r in rated], [r.response for r in rated]))
    assert (p[good].mean() + p[~good].mean()) / 2 == pytest.approx(0.5, abs=0.005)
    assert p[good].mean() > p[~good].mean() + 0.2
    with pytest.raises(RewardError, match="All 3 answers are poor"):
        sbert.fit_ratings([r for r in rated if r.rating < 4][:3], ENCODER, True, 4.0, 0)


def test_ties_alone_teach_nothing() -> None:
    with pytest.raises(RewardError, match="tie"):
        sbert.fit_pairs([replace(p, target=0.5) for p in simulated(20)], ENCODER, True, 0)


def encoders(name: str) -> HashEncoder:
    return HashEncoder(name)


@pytest.fixture
def saved(fitted: sbert.Fitted, tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "artifacts" / "model"
    VotePredictor(fitted.reward, Temperature(1.5), figures={"accuracy": 0.8}).save(folder)
    return folder


def test_a_saved_model_predicts_the_same_from_its_folder_or_its_run(
    saved: Path, fitted: sbert.Fitted
) -> None:
    pairs = texts(simulated(40, seed=4))
    before = VotePredictor(fitted.reward, Temperature(1.5)).predict(*pairs)
    for folder in (saved, saved.parent.parent):
        again = load(folder, encoders)
        assert np.array_equal(again.predict(*pairs), before)
        assert again.figures == {"accuracy": 0.8} and again.trained_on == "pairs"
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors"}


def damage_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def change_model(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        described = json.loads((folder / MODEL_FILE).read_text())
        (folder / MODEL_FILE).write_text(json.dumps({**described, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_weights, "SHA-256 differs"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "lacks weights.safetensors"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"\x80\x04"), "pickle"),
        (lambda folder: (folder / MODEL_FILE).write_text('{"format": 1'), "cannot be read"),
        (lambda folder: (folder / MODEL_FILE).unlink(), "holds no reward model"),
        (change_model(format=2), "format 2"),
        (change_model(files={}), "no weights"),
        (change_model(files={"../../secret.safetensors": "0"}), "outside its folder"),
        (change_model(method="magic"), "method 'magic'"),
        (change_model(calibrator={"name": "magic"}), "calibrator"),
    ],
)
def test_a_damaged_folder_is_refused(saved: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(saved)
    with pytest.raises(RewardError, match=message):
        load(saved, encoders)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="no folder"):
        model_directory(tmp_path / "none")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(RewardError, match="pickle"):
        describe(tmp_path)


def test_another_encoder_under_the_same_name_is_refused(saved: Path, fitted: sbert.Fitted) -> None:
    with pytest.raises(RewardError, match="not the one"):
        load(saved, lambda name: HashEncoder(name, 24))
    wide = replace(fitted.reward, encoder=HashEncoder(dimension=24))
    with pytest.raises(RewardError, match=r"vectors of 24 numbers.*vectors of 12"):
        VotePredictor(wide).predict(["p"], ["a"], ["b"])


def test_scores_that_are_no_numbers_are_an_error(fitted: sbert.Fitted) -> None:
    broken = replace(fitted.reward, embedding=fitted.reward.embedding * np.nan)
    with pytest.raises(RewardError, match="2 of 2 answers a score that is not a number"):
        VotePredictor(broken).predict(["p"], ["a"], ["b"])


def test_a_model_of_pairs_does_not_say_what_is_good(fitted: sbert.Fitted) -> None:
    with pytest.raises(RewardError, match="trained on pairs"):
        VotePredictor(fitted.reward).good(["p"], ["a"])
