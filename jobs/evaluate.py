"""How good a model is on labelled pairs, or rated answers, that it has not seen.

artifacts/predictions.parquet   every pair with the raw difference of rewards, probability and target
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.calibration import Predictions
from core.preferences import Ties, of_criterion
from core.rewards.base import RewardError, VotePredictor, load, sigmoid
from core.rewards.report import by_category, differences, figures_of, longer_wins, predictions_of
from core.settings import Settings, SettingsError
from core.settings import load as load_settings
from jobs import inputs
from jobs.inputs import Stopped
from jobs.protocol import JobError, Row, Run, replacing
from jobs.train_reward import PREDICTIONS, cache_dir
from providers.encoder import encoder

KIND = "evaluate"


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers accuracy, log loss, ECE and the rest, each with its interval. Raises JobError."""
    told = run.job()["arguments"]
    try:
        settings = load_settings()
        predictor = predictor_in(Path(told["model"]), settings, run, should_stop)
        evaluated = _ratings if inputs.is_ratings(run) else _pairs
        figures, columns = evaluated(run, told, predictor, settings)
    except (RewardError, SettingsError) as error:
        raise JobError(str(error)) from error
    except Stopped:
        return {}
    with replacing(run.artifacts / PREDICTIONS) as file:
        pq.write_table(pa.table(columns), file)
    return {**figures, "model": {"method": predictor.model.method, "base": predictor.model.base}}


def predictor_in(
    directory: Path, settings: Settings, run: Run, should_stop: Callable[[], bool]
) -> VotePredictor:
    """The predictor in a folder; texts it has to embed are told as progress. Raises RewardError."""
    tell = partial(inputs.told(run, should_stop), "embedding")
    return load(directory, lambda name: encoder(name, cache_dir(settings), tell))


def _pairs(run: Run, told: Row, predictor: VotePredictor, settings: Settings) -> tuple[Row, Row]:
    pairs, left_out = inputs.preferences(run, told["ties"])
    if told["criterion"]:
        pairs = of_criterion(pairs, told["criterion"])
    if not pairs:
        raise JobError(f"There is no pair to evaluate on; {left_out['count']} rows were left out.")
    raw = differences(predictor, pairs)
    p = predictor.probabilities(raw)
    predictions = predictions_of(p, pairs)
    figures = {
        **figures_of(predictions, sigmoid(raw)),
        "longer_wins": longer_wins(pairs),
        "by_category": by_category(predictions, pairs),
        "total": len(pairs),
        "left_out": left_out,
    }
    columns = {
        "pair_id": [pair.id for pair in pairs],
        "raw": raw,
        "probability": p,
        "target": predictions.y,
        "weight": [pair.weight for pair in pairs],
        "group": [pair.group for pair in pairs],
        "category": [pair.category for pair in pairs],
    }
    return figures, columns


def _ratings(run: Run, told: Row, predictor: VotePredictor, settings: Settings) -> tuple[Row, Row]:
    rated, left_out = inputs.ratings(run)
    if not rated:
        raise JobError(f"There is no rated answer to evaluate on; {left_out['count']} rows were left out.")
    prompts, responses = [rating.prompt for rating in rated], [rating.response for rating in rated]
    p = predictor.good(prompts, responses)
    raw = predictor.score(prompts, responses)
    good = np.array([rating.rating >= settings.reward_threshold for rating in rated], dtype=float)
    groups = np.array([rating.group for rating in rated], dtype=object)
    predictions = Predictions.of(p, good, None, groups)
    figures = {
        **figures_of(predictions, sigmoid(raw), of_pairs=False),
        "total": len(rated),
        "left_out": left_out,
    }
    return figures, {"pair_id": [rating.id for rating in rated], "raw": raw, "probability": p, "target": good}


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file."""
    add_model_options(parser, "labelled pairs or ratings")
    parser.add_argument("--ties", choices=get_args(Ties), help="half a vote each (default), or dropped")
    parser.add_argument(
        "--criterion", help="only pairs of this category, or of those that begin with it and a hyphen"
    )


def add_model_options(parser: ArgumentParser, data: str) -> None:
    """The options of every job that takes a model and a file."""
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a model folder, or what train-reward wrote"
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help=f"{data}: JSON, JSONL, CSV or Parquet")
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run directory")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the same in YAML or JSON; what is given here wins"
    )


def run_from_options(options: Namespace) -> Run:
    """A new run on a bare file. Raises JobError."""
    configure(options)
    ties = options.ties or "half"
    if ties not in get_args(Ties):
        raise JobError(f"ties is {ties!r}; it must be one of {', '.join(get_args(Ties))}.")
    return run_on_file(options, KIND, ties=ties, criterion=options.criterion)


def configure(options: Namespace) -> None:
    """Take from --config what was not given beside it. Raises JobError."""
    config = inputs.read_config(options.config) if options.config else {}
    for name, value in config.items():
        if name not in vars(options) or name in ("kind", "run", "config"):
            raise JobError(f"{options.config}: there is no setting {name!r}.")
        if getattr(options, name) is None and value is not None:
            setattr(options, name, Path(str(value)) if name in ("model", "data", "output") else str(value))


def run_on_file(options: Namespace, kind: str, **arguments: str | None) -> Run:
    """A new run of a model on a file of labelled rows. Raises JobError."""
    run = new_run(options)
    inputs.freeze(run, options.data, "drop" if arguments.get("ties") == "drop" else "half")
    return created(options, kind, **arguments)


def created(options: Namespace, kind: str, **arguments: str | None) -> Run:
    """The run of a model on a file, once its inputs are there; what it was told is in its config.yaml too."""
    told = {"model": str(options.model.absolute()), "data": str(options.data.absolute()), **arguments}
    run = Run.create(options.output, kind, told)
    inputs.write_config(run, told)
    return run


def new_run(options: Namespace) -> Run:
    """The directory in --output, if the options are whole and no job is in it. Raises JobError."""
    configure(options)
    if None in (options.model, options.data, options.output):
        raise JobError("Give a run directory, or --model DIR, --data FILE and --output DIR.")
    run = Run(options.output.absolute())
    if run.job_file.exists():
        raise JobError(f"{options.output} holds a job already: choose another directory.")
    return run
