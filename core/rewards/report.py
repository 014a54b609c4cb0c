"""What a training, a calibration and an evaluation tell of a reward model: its figures, as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from core.calibration import Predictions, report
from core.calibrators import Choice
from core.comparing import accuracy, quality
from core.preferences import Preference
from core.ratings import FloatArray
from core.rewards.base import VotePredictor

Row = dict[str, Any]


def differences(predictor: VotePredictor, pairs: Sequence[Preference]) -> FloatArray:
    """The reward of a less that of b of each pair, shape (n,). Raises RewardError."""
    return predictor.differences(
        [pair.prompt for pair in pairs],
        [pair.response_a for pair in pairs],
        [pair.response_b for pair in pairs],
    )


def predictions_of(p: FloatArray, pairs: Sequence[Preference]) -> Predictions:
    """Predictions with what people said of the pairs; every pair counts once, however many votes it has."""
    target, groups = [pair.target for pair in pairs], np.array([pair.group for pair in pairs], dtype=object)
    return Predictions.of(p, target, None, groups)


def figures_of(predictions: Predictions, uncalibrated: FloatArray, of_pairs: bool = True) -> Row:
    """Accuracy, log loss, ECE and Brier score, and the last three before calibration.

    Those of pairs are turned towards the predicted answer; those of single answers have a side of their own: good.
    """
    raw = predictions.with_p(uncalibrated)
    after, before = (report(some.turned() if of_pairs else some).figures for some in (predictions, raw))
    calibration = ("log_loss", "ece", "brier")
    return {
        "accuracy": asdict(accuracy(predictions)),
        **{name: asdict(after[name]) for name in calibration},
        "uncalibrated": {name: asdict(before[name]) for name in calibration},
    }


def by_category(predictions: Predictions, pairs: Sequence[Preference]) -> Row:
    """Accuracy and log loss within each category of the pairs."""
    categories = np.array([pair.category for pair in pairs], dtype=object)
    found = {}
    for name in sorted(set(categories.tolist())):
        one = quality(predictions.take(categories == name))
        found[name] = {"accuracy": asdict(one.accuracy), "log_loss": asdict(one.log_loss)}
    return found


def longer_wins(pairs: Sequence[Preference]) -> Row:
    """The accuracy of preferring the longer answer."""
    difference = np.array([len(pair.response_a) - len(pair.response_b) for pair in pairs])
    return asdict(accuracy(predictions_of(0.5 + np.sign(difference) / 4, pairs)))


def described(choice: Choice) -> Row:
    """Which calibrator was chosen, why, and what each gave out of fold."""
    return {
        "calibrator": {
            "name": choice.name,
            "reason": choice.reason,
            "log_loss": {name: asdict(loss) for name, loss in choice.log_loss.items()},
            "gain": {name: asdict(gain) for name, gain in choice.gain.items()},
        }
    }
