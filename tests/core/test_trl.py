"""TRL's RewardTrainer on the small encoder of the transformer's tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("trl", reason="the method trl needs the package trl (requirements-dev.txt)")

from core.calibrators import Identity
from core.preferences import Preference
from core.rewards import base
from core.rewards.base import Interrupted, RewardError, VotePredictor
from core.rewards.trl import fit
from tests.tiny import write_encoder

WORDS = ["good", "fine", "bad", "poor", "one", "two", "three", "four", "five", "six"]
TOLD = {"model": "tiny", "epochs": 6, "seed": 0, "learning_rate": 3e-3, "batch": 8, "tokens": 12}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("tiny"), WORDS, layers=2)


def pairs(count: int, seed: int) -> list[Preference]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        rest = [" ".join(rng.choice(WORDS[4:], rng.integers(2, 6))) for _ in "ab"]
        a, b, target = f"good fine {rest[0]}", f"bad poor {rest[1]}", 1.0
        if i % 2:
            a, b, target = b, a, 0.0
        made.append(Preference(str(i), "", a, b, target, 1.0, str(i), "x"))
    return made


def test_it_learns_keeps_long_pairs_and_is_read_back_the_same(tiny: Path, tmp_path: Path) -> None:
    data = pairs(96, 0)
    long = replace(data[0], response_a=data[0].response_a + " one" * 30)
    heard: list[dict[str, float]] = []
    reward, told = fit(
        [long, *data[1:], replace(data[1], target=0.5)],
        TOLD,
        tiny,
        tmp_path / "checkpoints",
        on_metric=lambda **values: heard.append(values),
    )
    assert (told["cut"], told["left_out"], told["steps"]) == (1, 1, 72)
    assert [one["step"] for one in heard] == list(range(1, 73))
    assert heard[-1]["loss"] < heard[0]["loss"]
    assert all(one["examples_per_second"] > 0 and one["learning_rate"] >= 0 for one in heard)
    fresh = pairs(40, 1)
    a, b = [p.response_a for p in fresh], [p.response_b for p in fresh]
    d = reward.score([""] * 40, a) - reward.score([""] * 40, b)
    assert np.mean((d > 0) == np.array([p.target > 0.5 for p in fresh])) > 0.9

    VotePredictor(reward, Identity()).save(tmp_path / "model")
    again = base.load(tmp_path / "model", lambda name: pytest.fail("it needs no encoder"))
    assert np.allclose(again.model.score([""] * 40, a), reward.score([""] * 40, a), atol=1e-6)


def test_ties_alone_teach_nothing(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="tie"):
        fit([replace(p, target=0.5) for p in pairs(4, 0)], TOLD, tiny, tmp_path)


def test_one_that_is_stopped_goes_on_and_ends_as_one_that_was_not(tiny: Path, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, at the end of another, and after the last step; dropout is on."""
    data, told = pairs(44, 0), {**TOLD, "epochs": 3}
    whole, _ = fit(data, told, tiny, tmp_path / "whole")
    steps: list[int] = []
    for end in (4, 12, 18):
        with pytest.raises(Interrupted):
            fit(
                data,
                told,
                tiny,
                tmp_path / "parts",
                on_metric=lambda **values: steps.append(values["step"]),
                should_stop=lambda end=end: len(steps) + 1 >= end,
            )
    assert steps == [*range(1, 19)]
    assert {path.suffix for path in tmp_path.glob("parts/*/*")} == {".safetensors", ".json"}
    parts, of = fit(
        data, told, tiny, tmp_path / "parts", on_metric=lambda **values: pytest.fail("it was done")
    )
    assert of["steps"] == 18
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, parts.model.state_dict()[name]), name
    with pytest.raises(RewardError, match="of other data or settings"):
        fit(data[1:], told, tiny, tmp_path / "parts")
