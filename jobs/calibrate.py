"""A model calibrated anew on pairs, or ratings, that it was not trained on; the calibrator it had counts for nothing.

artifacts/model/                the model with the new calibrator
artifacts/predictions.parquet   every pair with the raw difference of rewards, and the probability out of fold
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.calibration import Predictions
from core.calibrators import choose
from core.ratings import FloatArray
from core.rewards.base import RewardError, VotePredictor, sigmoid
from core.rewards.report import described, differences, figures_of, predictions_of
from core.settings import Settings, SettingsError, load
from jobs import inputs
from jobs.evaluate import add_model_options, predictor_in, run_on_file
from jobs.inputs import Stopped
from jobs.protocol import JobError, Row, Run, replacing
from jobs.train_reward import PREDICTIONS, write_model

KIND = "calibrate"


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers which calibrator was chosen and why, and the figures before and after. Raises JobError."""
    told = run.job()["arguments"]
    try:
        settings = load()
        predictor = predictor_in(Path(told["model"]), settings, run, should_stop)
        ids, raw, before, weight, left_out = _data(run, predictor, settings)
    except (RewardError, SettingsError) as error:
        raise JobError(str(error)) from error
    except Stopped:
        return {}
    symmetric = predictor.trained_on == "pairs"
    choice = choose(before.p, before.y, before.group, weight, told.get("seed", 0), symmetric)
    after = choice.out_of_fold
    calibration = {
        **figures_of(before.with_p(after), before.p, symmetric),
        **described(choice),
        "total": len(before),
        "left_out": left_out,
    }
    columns = {
        "pair_id": ids,
        "split": ["calibration"] * len(ids),
        "raw": raw,
        "probability": after,
        "target": before.y,
    }
    with replacing(run.artifacts / PREDICTIONS) as file:
        pq.write_table(pa.table(columns), file)
    figures = {**predictor.figures, "calibration": calibration}
    if should_stop():
        return {}
    write_model(run, replace(predictor, calibrator=choice.calibrator, figures=figures))
    return calibration


def _data(
    run: Run, predictor: VotePredictor, settings: Settings
) -> tuple[list[str], FloatArray, Predictions, FloatArray, Row]:
    """The ids, the rewards, shape (n,), what they say uncalibrated, the votes behind each, and what was left out."""
    if inputs.is_ratings(run) != (predictor.trained_on == "ratings"):
        raise JobError(
            f"The model was trained on {predictor.trained_on}: calibrate it on {predictor.trained_on}."
        )
    if inputs.is_ratings(run):
        rated, left_out = inputs.ratings(run)
        ids = [rating.id for rating in rated]
        raw = predictor.score([rating.prompt for rating in rated], [rating.response for rating in rated])
        good = np.array([rating.rating >= settings.reward_threshold for rating in rated], dtype=float)
        groups = np.array([rating.group for rating in rated], dtype=object)
        predictions, weight = Predictions.of(sigmoid(raw), good, None, groups), np.ones(len(rated))
    else:
        pairs, left_out = inputs.preferences(run)
        ids = [pair.id for pair in pairs]
        raw = differences(predictor, pairs)
        predictions, weight = predictions_of(sigmoid(raw), pairs), np.array([pair.weight for pair in pairs])
    if not len(predictions):
        raise JobError(f"There is nothing to calibrate on; {left_out['count']} rows were left out.")
    return ids, raw, predictions, weight, left_out


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file."""
    add_model_options(parser, "labelled pairs or ratings that the model was not trained on")


def run_from_options(options: Namespace) -> Run:
    """A new run on a bare file. Raises JobError."""
    return run_on_file(options, KIND)
