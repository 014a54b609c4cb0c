"""The settings of each method of training: those it has, as they were told, and what they must not be."""

from typing import Any

import pytest

from core.rewards.base import METHODS
from core.rewards.settings import OF_METHOD, Settings, resolved


def test_what_is_not_told_is_as_usual() -> None:
    assert resolved("sbert", {}) == {}
    assert resolved("trl", {"batch": 8}) == {
        "learning_rate": 5e-5,
        "batch": 8,
        "tokens": 256,
        "checkpoint_seconds": 30.0,
    }
    usual = Settings().model_dump(exclude={"epochs", "seed", "surface"})
    assert resolved("transformer", {}) == usual
    assert resolved("transformer", usual | {"recipe": "plain"}) == usual | {"recipe": "plain"}
    assert resolved("trl", {"learning_rate": "3e-5"})["learning_rate"] == 3e-5, "YAML reads this as a text"


@pytest.mark.parametrize(
    ("method", "told", "says"),
    [
        ("transformer", {"recipe": "magic"}, "recipe is 'magic': Input should be 'probed' or 'plain'."),
        ("transformer", {"learning_rate": 0}, "learning_rate is 0: Input should be greater than 0."),
        ("transformer", {"head_rate": float("nan")}, "head_rate is nan: Input should be a finite number."),
        ("transformer", {"stop_share": 0.9}, "stop_share is 0.9: Input should be less than 0.9."),
        ("transformer", {"accumulate": 1.5}, "accumulate is 1.5: Input should be a valid integer"),
        ("transformer", {"patience": -1}, "patience is -1: Input should be greater than or equal to 0."),
        ("trl", {"tokens": [8]}, "tokens is [8]: Input should be a valid integer"),
        ("trl", {"head_rate": 1e-3}, "head_rate is 0.001: Extra inputs are not permitted."),
        ("sbert", {"batch": 8}, "batch is 8: Extra inputs are not permitted."),
    ],
)
def test_a_wrong_one_is_named(method: str, told: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as error:
        resolved(method, told)
    assert str(error.value).startswith(says)


def test_each_method_has_its_own() -> None:
    assert OF_METHOD.keys() == METHODS.keys()
