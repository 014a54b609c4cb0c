"""The reward models on real pairs, train split to validation split, beside preferring the longer answer.

python -m benchmarks.reward_models [--methods sbert transformer] [--sets ukp_convarg1 helpful harmless] [--epochs 3]
python -m benchmarks.reward_models --debates [3] [--methods plain transformer]

Accuracy and log loss have 95% intervals, clustered by prompt. The models are not calibrated. One model a criterion.
"""

import gzip
import json
import os
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from core.comparing import accuracy, quality
from core.estimate import Estimate
from core.preferences import Preference, of_criterion, read_preferences
from core.rewards import sbert
from core.rewards.base import RewardModel, VotePredictor, sigmoid
from core.rewards.report import differences, longer_wins, predictions_of
from providers.encoder import DEFAULT, encoder, model_folder

SETS = ("ukp_convarg1", "helpful", "harmless")
METHODS = ("sbert", "transformer", "plain", "trl")


def main() -> None:
    """Print a table a set, and for HH rows by subset."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:3])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, help="only so many training pairs")
    parser.add_argument(
        "--debates", type=int, nargs="?", const=1000, help="leave out so many debates, one at a time"
    )
    options = parser.parse_args()
    if options.debates:
        leave_out(read("ukp_convarg1", "train", None), options.methods, options.epochs, options.debates)
        return
    for name in options.sets:
        source, criterion = (name, None) if name == "ukp_convarg1" else ("hh_rlhf_pairs", name)
        train = read(source, "train", criterion)[: options.pairs]
        held = read(source, "validation", criterion)
        print(f"\n{name}: {len(train)} pairs to {len(held)}")
        base = longer_wins(held)
        print(f"{'longer wins':28s} {_told(Estimate(**base))}", flush=True)
        for method in options.methods:
            begun = time.perf_counter()
            for variant, reward in fitted(method, train, options.epochs).items():
                seconds = time.perf_counter() - begun
                report(f"{method}: {variant}" if variant != method else method, reward, held, seconds)


def leave_out(pairs: Sequence[Preference], methods: Sequence[str], epochs: int, most: int) -> None:
    """Fit without each debate in turn and judge on it; then all of them together, beside the last model."""
    debates = sorted({debate_of(pair) for pair in pairs})[:most]
    held: list[Preference] = []
    found: dict[str, list[np.ndarray]] = {}
    single: dict[str, list[float]] = {}
    for debate in debates:
        there = [pair for pair in pairs if debate_of(pair) == debate]
        held += there
        for method in methods:
            begun = time.perf_counter()
            rest = [pair for pair in pairs if debate_of(pair) != debate]
            for variant, reward in fitted(method, rest, epochs).items():
                p = sigmoid(differences(VotePredictor(reward), there))
                one = quality(predictions_of(p, there))
                found.setdefault(variant, []).append(p)
                single.setdefault(variant, []).append(one.accuracy.value or 0.0)
                seconds = time.perf_counter() - begun
                print(f"{debate[:40]:40s} {variant:28s} {_told(one.accuracy)}  {seconds:6.1f} s", flush=True)
    print(
        f"\n{len(debates)} debates, {len(held)} pairs; the last model less each, mean over debates (standard error)"
    )
    last = np.array(list(single.values())[-1])
    for name, parts in found.items():
        pooled = quality(predictions_of(np.concatenate(parts), held))
        less = last - single[name]
        error = less.std(ddof=1) / np.sqrt(len(less)) if len(less) > 1 else np.nan
        print(
            f"{name:28s} {_told(pooled.accuracy)}  log loss {_told(pooled.log_loss)}  {less.mean():+.3f} ({error:.3f})"
        )


def debate_of(pair: Preference) -> str:
    return pair.prompt.partition(" — ")[0]


def read(source: str, part: str, criterion: str | None) -> list[Preference]:
    """The pairs of a split; ATTUNE_TEST_DATA is where the sets are."""
    data = Path(os.environ.get("ATTUNE_TEST_DATA", "../shared/data"))
    name = {"ukp_convarg1": f"pairs_{part}", "hh_rlhf_pairs": part}[source]
    with gzip.open(data / source / f"{name}.jsonl.gz", "rb") as file:
        rows = [json.loads(line) for line in file.read().split(b"\n") if line]
    pairs = [pair for _, pair in read_preferences(list(enumerate(rows, start=1))).rows]
    return of_criterion(pairs, criterion) if criterion else pairs


def fitted(method: str, train: Sequence[Preference], epochs: int) -> dict[str, RewardModel]:
    """The models of a method, by variant."""
    if method == "sbert":
        return dict(sbert.fit_pairs(train, encoder(DEFAULT), True, 0).variants)
    told: dict[str, Any] = {"model": DEFAULT, "epochs": epochs, "seed": 0}
    if method == "plain":
        told["recipe"] = "plain"
    from core.rewards import transformer, trl

    with tempfile.TemporaryDirectory() as folder:
        fit = trl.fit if method == "trl" else transformer.fit
        return {method: fit(train, told, model_folder(DEFAULT), Path(folder))[0]}


def report(name: str, reward: RewardModel, held: Sequence[Preference], seconds: float) -> None:
    """Print accuracy, log loss and seconds, and the accuracy by category where there are several."""
    predictions = predictions_of(sigmoid(differences(VotePredictor(reward), held)), held)
    found = quality(predictions)
    print(
        f"{name:28s} {_told(found.accuracy)}  log loss {_told(found.log_loss)}  {seconds:6.1f} s", flush=True
    )
    categories = sorted({pair.category for pair in held})
    for category in categories if len(categories) > 1 else []:
        rows = np.array([pair.category == category for pair in held])
        of_one = [pair for pair in held if pair.category == category]
        one = accuracy(predictions.take(rows))
        print(f"  {category:26s} {_told(one)}  longer wins {_told(Estimate(**longer_wins(of_one)))}")


def _told(one: Estimate) -> str:
    return (
        "none"
        if one.value is None or one.low is None
        else f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
    )


if __name__ == "__main__":
    main()
