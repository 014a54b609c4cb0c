"""Train a reward model and the vote predictor on it: fitted on one part of the prompts, calibrated on another, judged on a third.

Unless told otherwise, the model that is kept is then fitted to all pairs, or ratings, in the same way. The figures and the
predictions stay those of the fit that had not seen what they are about. What an earlier model was fitted to is for training alone
when it is trained on.

inputs/                         jobs.inputs
config.yaml                     the settings as they were resolved; --config reads them back
artifacts/model/                the model, written whole at the end (core.rewards.base)
artifacts/predictions.parquet   every pair with its part, raw difference of rewards, probability and target
"""

import shutil
import time
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.calibration import Predictions
from core.calibrators import choose
from core.comparing import accuracy, learning_curve
from core.preferences import HELD_OUT, PARTS, Preference, Rating, Ties, of_criterion, split
from core.ratings import FloatArray, IntArray
from core.rewards import sbert
from core.rewards.base import (
    METHODS,
    Encoder,
    Interrupted,
    RewardError,
    RewardModel,
    VotePredictor,
    describe,
    mark,
    sigmoid,
)
from core.rewards.report import by_category, described, differences, figures_of, longer_wins, predictions_of
from core.rewards.settings import OF_METHOD, resolved
from core.settings import Settings, SettingsError, load
from jobs import inputs
from jobs.inputs import Stopped
from jobs.protocol import JobError, Row, Run, metric, replacing
from providers.encoder import DEFAULT, encoder, model_folder

KIND = "train-reward"
DEFAULTS: Row = {
    "method": "sbert",
    "model": DEFAULT,
    "epochs": 3,
    "seed": 0,
    "surface": True,
    "ties": "half",
    "held_out": HELD_OUT,
    "refit": True,
    "learning_curve": False,
    "from": None,
    "criterion": None,
}
PREDICTIONS = "predictions.parquet"
ALL = "once more, on all pairs"
CURVE = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""The shares of the training pairs at which the learning curve has a point, beside all of them."""
LEAST_OF_CURVE = 30


@dataclass(frozen=True)
class Trained:
    """A fitted reward, other rewards to hold it against, by name, and what a report should tell of the fit."""

    reward: RewardModel
    variants: Mapping[str, RewardModel]
    details: Row


def arguments(**chosen: Any) -> Row:
    """What job.json says of this job: DEFAULTS and the settings of its method, with what was chosen.

    Raises ValueError, which names the setting, for a value that is wrong and for a setting that the method does not have.
    """
    told = {**DEFAULTS, **{name: value for name, value in chosen.items() if value is not None}}
    for name, allowed in (("method", tuple(METHODS)), ("ties", get_args(Ties))):
        if told[name] not in allowed:
            raise ValueError(f"{name} is {told[name]!r}; it must be one of {', '.join(allowed)}.")
    for name, kind, what in (
        ("model", str, "a name or a path"),
        ("surface", bool, "true or false"),
        ("refit", bool, "true or false"),
        ("learning_curve", bool, "true or false"),
    ):
        if not isinstance(told[name], kind):
            raise ValueError(f"{name} is {told[name]!r}; it must be {what}.")
    for name, least in (("epochs", 1), ("seed", 0)):
        value = told[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number, {least} or more.")
    share = told["held_out"]
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 0.8:
        raise ValueError(f"held_out is {share!r}; it must be a number from 0 to 0.8.")
    if told["from"] is not None and told["method"] != "transformer":
        raise ValueError(
            f"from: the method {told['method']} cannot train on from an earlier model, only transformer can."
        )
    known = OF_METHOD[told["method"]].model_fields
    if unknown := told.keys() - DEFAULTS.keys() - known.keys():
        raise ValueError(
            f"The method {told['method']} has no setting {min(unknown)!r}; it has {', '.join([*DEFAULTS, *known])}."
        )
    return {**told, **resolved(told["method"], {name: told[name] for name in known if name in told})}


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers the model's figures. Raises JobError."""
    try:
        told = arguments(**{k: v for k, v in run.job()["arguments"].items() if k != "data"})
        inputs.write_config(run, {"data": run.job()["arguments"].get("data"), **told})
        settings = load()
        if inputs.is_ratings(run):
            return _ratings(run, told, settings, should_stop)
        return _pairs(run, told, settings, should_stop)
    except (RewardError, SettingsError, ValueError) as error:
        raise JobError(str(error)) from error
    except Stopped:
        return {}


def _pairs(run: Run, told: Row, settings: Settings, should_stop: Callable[[], bool]) -> Row:
    begun = time.monotonic()
    pairs, left_out = inputs.preferences(run, told["ties"])
    if told["criterion"]:
        pairs = of_criterion(pairs, told["criterion"])
    sided = sum(pair.target != 0.5 for pair in pairs)
    if pairs and not sided:
        raise JobError(
            f"All {len(pairs)} pairs are ties: a reward model needs pairs with a preferred answer."
        )
    _enough(sided, "pairs with a preferred answer", settings, told, left_out)
    before = frozenset(describe(Path(told["from"]))["seen"]) if told["from"] else frozenset()
    parts = np.array(split([pair.group for pair in pairs], told["seed"], told["held_out"]))
    parts[[mark(pair.group) in before for pair in pairs]] = "train"
    train = [pair for pair, part in zip(pairs, parts, strict=True) if part == "train"]

    def fit_to(some: Sequence[Preference], fit: str = "") -> Trained:
        found = _fitted(run, told, pairs, some, fit, settings, should_stop)
        _stop(should_stop)
        return found

    trained = fit_to(train)
    again = told["refit"] and len(train) < len(pairs)
    shipped = fit_to(pairs, ALL).reward if again else trained.reward

    raw = differences(VotePredictor(trained.reward), pairs)
    data = predictions_of(sigmoid(raw), pairs)
    weight = np.array([pair.weight for pair in pairs])
    held, test = (np.flatnonzero(parts == part) for part in ("calibration", "test"))
    choice = choose(data.p[held], data.y[held], data.group[held], weight[held], told["seed"])
    seen = before | {mark(pair.group) for pair in (pairs if again else train)}
    predictor = VotePredictor(shipped, choice.calibrator, seen=seen)
    p = predictor.probabilities(raw)
    of_test = [pairs[row] for row in test]
    calibrated = data.with_p(p)
    figures = {
        **figures_of(calibrated.take(test), data.p[test]),
        "train_accuracy": asdict(accuracy(calibrated.take(parts == "train"))),
        **described(choice),
        "form": _form(trained, of_test),
        "by_category": by_category(calibrated.take(test), of_test),
        "learning_curve": _curve(trained, fit_to, train, of_test, told) if told["learning_curve"] else [],
        "details": trained.details,
        "parts": {part: _size(parts == part, data.group) for part in PARTS},
        "total": len(pairs),
        "ties": {"policy": told["ties"], "pairs": len(pairs) - sided},
        "left_out": left_out,
        "refitted": again,
        "trained_on": "pairs",
    }
    if told["method"] == "sbert":
        metric(run, step=1, accuracy=figures["accuracy"]["value"], loss=figures["log_loss"]["value"])
    columns = {
        "pair_id": [pair.id for pair in pairs],
        "split": parts.tolist(),
        "raw": raw,
        "probability": p,
        "target": data.y,
        "weight": weight,
        "group": [pair.group for pair in pairs],
        "category": [pair.category for pair in pairs],
    }
    _write(run, replace(predictor, figures=figures), columns, should_stop)
    return {**figures, "seconds": round(time.monotonic() - begun, 2)}


def _ratings(run: Run, told: Row, settings: Settings, should_stop: Callable[[], bool]) -> Row:
    begun = time.monotonic()
    rated, left_out = inputs.ratings(run)
    if told["method"] != "sbert":
        raise JobError(f"The method {told['method']} learns from pairs alone; on ratings use --method sbert.")
    if told["learning_curve"]:
        raise JobError("A learning curve is of pairs: leave learning_curve out for ratings.")
    _enough(len(rated), "rated answers", settings, told, left_out)
    threshold = settings.reward_threshold
    good = np.array([rating.rating >= threshold for rating in rated], dtype=float)
    groups, by = _strata(rated, good)
    parts = np.empty(len(rated), dtype=object)
    for one_class in np.unique(groups[:, 0]):
        rows = np.flatnonzero(groups[:, 0] == one_class)
        parts[rows] = split(groups[rows, 1].tolist(), told["seed"], told["held_out"])
    found = encoder(told["model"], cache_dir(settings))
    tell = inputs.told(run, should_stop)
    train = [rating for rating, part in zip(rated, parts, strict=True) if part == "train"]
    texts = [sbert.join(rating.prompt, rating.response) for rating in rated]
    found.embed(texts, partial(tell, "embedding"))

    def fit_to(some: Sequence[Rating], with_surface: bool) -> sbert.SbertReward:
        return sbert.fit_ratings(some, found, with_surface, threshold, told["seed"])

    rewards = {sbert.BOTH: fit_to(train, True), sbert.EMBEDDING: fit_to(train, False)}
    reward = rewards[sbert.BOTH if told["surface"] else sbert.EMBEDDING]
    again = told["refit"] and len(train) < len(rated)
    shipped = fit_to(rated, told["surface"]) if again else reward
    said = ([rating.prompt for rating in rated], [rating.response for rating in rated])
    raw = reward.score(*said)
    data = Predictions.of(sigmoid(raw), good, None, groups[:, 1])
    held, test = (np.flatnonzero(parts == part) for part in ("calibration", "test"))
    choice = choose(data.p[held], good[held], data.group[held], None, told["seed"], symmetric=False)
    seen = frozenset(mark(rating.group) for rating in (rated if again else train))
    predictor = VotePredictor(shipped, choice.calibrator, "ratings", seen=seen)
    p = choice.calibrator(data.p)
    figures = {
        **figures_of(data.with_p(p).take(test), data.p[test], of_pairs=False),
        **described(choice),
        "form": {
            name: asdict(accuracy(data.with_p(sigmoid(one.score(*said))).take(test)))
            for name, one in rewards.items()
        },
        "details": {"cut": found.cut(texts), "threshold": threshold, "good": int(good.sum()), "split_by": by},
        "parts": {part: _size(parts == part, data.group) for part in PARTS},
        "total": len(rated),
        "left_out": left_out,
        "refitted": again,
        "trained_on": "ratings",
    }
    columns = {
        "pair_id": [rating.id for rating in rated],
        "split": parts.tolist(),
        "raw": raw,
        "probability": p,
        "target": good,
    }
    _say_cut(found.cut(texts), found)
    _write(run, replace(predictor, figures=figures), columns, should_stop)
    return {**figures, "seconds": round(time.monotonic() - begun, 2)}


def _fitted(
    run: Run,
    told: Row,
    pairs: Sequence[Preference],
    train: Sequence[Preference],
    fit: str,
    settings: Settings,
    should_stop: Callable[[], bool],
) -> Trained:
    """The reward fitted on the training pairs by the method that was asked for; ``pairs`` are all that it will score.

    ``fit`` tells the later fits of the job from its first one, in progress and metric events and among the checkpoints.
    """
    tell = inputs.told(run, should_stop, fit)
    if told["method"] == "sbert":
        found = encoder(told["model"], cache_dir(settings))
        texts = [text for pair in pairs for text in (pair.response_a, pair.response_b)]
        found.embed(texts, partial(tell, "embedding"))
        fitted = sbert.fit_pairs(train, found, told["surface"], told["seed"])
        cut = found.cut(texts)
        _say_cut(cut, found)
        return Trained(fitted.reward, fitted.variants, {"cut": cut, **fitted.settings})
    method = import_module(METHODS[told["method"]])
    try:
        reward, details = method.fit(
            train,
            told,
            model_folder(told["model"]),
            run.path / "checkpoints" / (fit or "first"),
            on_progress=tell,
            on_metric=partial(metric, run, fit=fit or None),
            should_stop=should_stop,
        )
    except Interrupted:
        raise Stopped from None
    if details["cut"]:
        print(f"{details['cut']} texts are longer than the model reads; of those only the beginning counts.")
    return Trained(reward, {told["method"]: reward}, details)


def _curve(
    trained: Trained,
    fit_to: Callable[[Sequence[Preference], str], Trained],
    train: Sequence[Preference],
    test: Sequence[Preference],
    told: Row,
) -> list[Row]:
    """Accuracy and log loss on the test pairs against the number of pairs fitted to: CURVE of them, drawn by the seed."""
    order = np.random.default_rng(told["seed"]).permutation(len(train))
    rewards = {len(train): trained.reward}
    for share in CURVE:
        some = [train[i] for i in order[: round(share * len(train))]]
        if len(some) >= LEAST_OF_CURVE:
            rewards[len(some)] = fit_to(some, f"on {len(some)} pairs, for the learning curve").reward
    return [
        asdict(point)
        for point in learning_curve(
            {
                labels: predictions_of(sigmoid(differences(VotePredictor(reward), test)), test)
                for labels, reward in rewards.items()
            }
        )
    ]


def cache_dir(settings: Settings) -> Path:
    return settings.data_dir / "embeddings"


def write_model(run: Run, predictor: VotePredictor) -> None:
    """Put a model into artifacts/model, whole or not at all."""
    draft, final = run.artifacts / ".model", run.artifacts / "model"
    for old in (draft, final):
        shutil.rmtree(old, ignore_errors=True)
    try:
        predictor.save(draft)
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _form(trained: Trained, pairs: Sequence[Preference]) -> Row:
    """How much of the accuracy is form: that of each variant of the reward, and of length alone."""
    found = {
        name: asdict(accuracy(predictions_of(sigmoid(differences(VotePredictor(reward), pairs)), pairs)))
        for name, reward in trained.variants.items()
    }
    return {**found, "longer wins": longer_wins(pairs)}


def _strata(rated: Sequence[Rating], good: FloatArray) -> tuple[Any, str]:
    """The class and the group of each rating, (n, 2), so that a group is of one class: that of most of its ratings.

    A group is a prompt; where a class has too few prompts to be split, an answer.
    """
    for by in ("prompt", "answer"):
        names = [rating.group if by == "prompt" else rating.id for rating in rated]
        share = {name: [0.0, 0] for name in names}
        for name, one in zip(names, good, strict=True):
            share[name] = [share[name][0] + one, share[name][1] + 1]
        kind = {name: total * 2 >= count for name, (total, count) in share.items()}
        if all(sum(k == one for k in kind.values()) >= len(PARTS) for one in (True, False)):
            break
    return np.array([(kind[name], name) for name in names], dtype=object), by


def _size(rows: Any, groups: IntArray) -> Row:
    return {"rows": int(rows.sum()), "groups": len(np.unique(groups[rows]))}


def _enough(have: int, what: str, settings: Settings, told: Row, left_out: Row) -> None:
    missing = settings.reward_minimum - have
    if missing > 0:
        of = f" of the criterion {told['criterion']}" if told["criterion"] else ""
        out = (
            f" {left_out['count']} rows were left out: {'; '.join(left_out['reasons'])}."
            if left_out["count"]
            else ""
        )
        raise JobError(
            f"A reward model needs {settings.reward_minimum} {what}; there are {have}{of}, so {missing} more are needed.{out}"
        )


def _say_cut(cut: int, found: Encoder) -> None:
    if cut:
        print(f"{cut} texts are longer than {found.name} reads; of those only the beginning counts.")


def _stop(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise Stopped


def _write(run: Run, predictor: VotePredictor, columns: Row, should_stop: Callable[[], bool]) -> None:
    _stop(should_stop)
    with replacing(run.artifacts / PREDICTIONS) as file:
        pq.write_table(pa.table(columns), file)
    write_model(run, predictor)


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file; what is given here wins over --config."""
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="preferences or ratings: JSON, JSONL, CSV or Parquet"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or JSON")
    parser.add_argument("--method", choices=tuple(METHODS), help=f"default {DEFAULTS['method']}")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"pretrained model, by name or path (default {DEFAULT})",
    )
    parser.add_argument("--epochs", type=int, help="passes over the data (sbert has none)")
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument(
        "--surface", action=BooleanOptionalAction, help="surface features beside the embedding"
    )
    parser.add_argument(
        "--ties", choices=get_args(Ties), help="a tie is half a vote for each answer, or dropped"
    )
    parser.add_argument(
        "--held-out",
        type=float,
        help=f"share kept for calibration and test (default {HELD_OUT}; 0: no figures)",
    )
    parser.add_argument(
        "--refit",
        action=BooleanOptionalAction,
        help="once the figures are known, fit the model that is kept to all of the data (default yes)",
    )
    parser.add_argument(
        "--learning-curve",
        action=BooleanOptionalAction,
        help="also fit to parts of the pairs, to see what more labels would give",
    )
    parser.add_argument("--from", metavar="DIR", help="an earlier model to train on from (transformer)")
    parser.add_argument(
        "--criterion", help="only pairs of this category, or of those that begin with it and a hyphen"
    )


def run_from_options(options: Namespace) -> Run:
    """A new run on a bare file. Raises JobError."""
    config = inputs.read_config(options.config) if options.config else {}
    given = {name: getattr(options, name) for name in ("data", *DEFAULTS)}
    chosen = {**config, **{name: value for name, value in given.items() if value is not None}}
    data = chosen.pop("data", None)
    if data is None or options.output is None:
        raise JobError("Give a run directory, or both --data FILE and --output DIR.")
    try:
        told = arguments(**chosen)
    except ValueError as error:
        raise JobError(str(error)) from None
    run = Run(options.output.absolute())
    if run.job_file.exists():
        raise JobError(f"{options.output} holds a job already: choose another directory.")
    inputs.freeze(run, Path(data), told["ties"])
    return Run.create(options.output, KIND, {"data": str(Path(data).absolute()), **told})
