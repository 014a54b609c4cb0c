"""How often drift detection cries wolf, and how often it sees one: false alarms without drift, and a new topic of 2% found.

    python -m benchmarks.drift_null [--runs 200] [--found 100] [--workers 2] [--alike 1] [--real]

Every run draws 1,500 + 1,500 texts, clusters them as a job would, and makes every test. Without drift both windows are of the same 20
topics of unequal size; the new topic has 2% of the second window. ``--workers`` processes share the runs, each on one core.
``--alike 2`` has two answers to every prompt, which mostly share a topic. ``--real`` takes real texts, from ATTUNE_TEST_DATA: answers of
hh-rlhf, dealt to the windows at random, and arguments of one debate of UKPConvArg1 as the new topic. It embeds 6,000 texts the first time.
"""

import gzip
import json
import os
import time
from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from core.agreement import proportion
from core.change_points import changes
from core.clustering import Vectors, clustered
from core.drift import ALPHA, Rows, alarms, by_cluster, calibration
from core.ratings import IntArray
from core.two_samples import BoolArray, categories, classifier, mmd, one_each
from providers.encoder import DEFAULT, encoder

EACH, NEW, TOPICS, DIMENSIONS = 1500, 30, 20, 384
TESTS = ("any cluster", "MMD", "classifier", "labels", "calibration", "stream")


@dataclass(frozen=True)
class Drawn:
    """The texts of a run: vectors, shape (2 * EACH, DIMENSIONS), their windows and groups, and which are of the new topic."""

    vectors: Vectors
    after: BoolArray
    group: IntArray
    new: BoolArray


Draw = Callable[[int, bool], Drawn]


def sphere(n: int, random: np.random.Generator) -> np.ndarray:
    x = random.normal(size=(n, DIMENSIONS))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def synthetic(alike: int) -> Draw:
    """Unit vectors around centres; ``alike`` of a group, nine in ten of them around the group's own."""

    def draw(seed: int, drift: bool) -> Drawn:
        random = np.random.default_rng([seed, drift])
        centres, share = sphere(TOPICS + 1, random), random.dirichlet(np.full(TOPICS, 3.0))
        group = np.arange(2 * EACH) // alike
        topic = random.choice(TOPICS, group[-1] + 1, p=share)[group]
        topic = np.where(random.random(2 * EACH) < 0.1, random.choice(TOPICS, 2 * EACH, p=share), topic)
        after = np.arange(2 * EACH) >= EACH
        new = np.zeros(2 * EACH, dtype=bool)
        if drift:
            new[-NEW:] = True
            topic[new] = TOPICS
        x = centres[topic] + random.uniform(0.7, 1.1) * sphere(2 * EACH, random)
        return Drawn((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), after, group, new)

    return draw


def real() -> Draw:
    """Embedded answers, and arguments of one debate a run."""
    data = Path(os.environ.get("ATTUNE_TEST_DATA", "../shared/data"))

    def read(name: str) -> list[dict[str, str]]:
        with gzip.open(data / name, "rb") as file:
            return [json.loads(line) for line in file.read().split(b"\n") if line]

    pairs = read("hh_rlhf_pairs/train.jsonl.gz")
    answers = list(dict.fromkeys(_said(row["chosen"]) for row in pairs))[:6000]
    debates: dict[str, list[str]] = {}
    for row in read("ukp_convarg1/arguments.jsonl.gz"):
        debates.setdefault(row["topic_file"].partition("_")[0], []).append(row["text"])
    usable = [texts for texts in debates.values() if len(texts) >= NEW]
    embed = encoder(DEFAULT, Path(os.environ.get("ATTUNE_DATA_DIR", "data")) / "embeddings").embed
    background = embed(answers)
    topics = [embed(texts) for texts in usable]

    def draw(seed: int, drift: bool) -> Drawn:
        random = np.random.default_rng([seed, drift])
        vectors = background[random.choice(len(background), 2 * EACH, replace=False)]
        new = np.zeros(2 * EACH, dtype=bool)
        if drift:
            new[-NEW:] = True
            topic = topics[seed % len(topics)]
            vectors[new] = topic[random.choice(len(topic), NEW, replace=False)]
        return Drawn(vectors, np.arange(2 * EACH) >= EACH, np.arange(2 * EACH), new)

    return draw


def _said(answer: object) -> str:
    """The last turn of a chosen answer, be it text or a chat."""
    return str(answer[-1]["content"]) if isinstance(answer, list) else str(answer)


@cache
def drawing(alike: int, from_real: bool) -> Draw:
    """What draws the texts, made once in a process."""
    return real() if from_real else synthetic(alike)


def alarmed(alike: int, from_real: bool, seed: int) -> dict[str, bool]:
    """Which tests alarm where nothing changed; labels, a predictor and its errors are drawn alike for both windows."""
    drawn = drawing(alike, from_real)(seed, False)
    random = np.random.default_rng([seed, 7])
    n, after, group = len(drawn.after), drawn.after, drawn.group
    found = clustered(drawn.vectors, seed)
    single = one_each(group, seed)
    x, side = found.reduced[single], after[single]
    p = random.uniform(0.1, 0.9, n)
    y = (random.random(n) < p).astype(np.float64)
    tests = {
        "MMD": mmd(x, side, seed=seed).p_value,
        "classifier": classifier(x, side, seed=seed).p_value,
        "labels": categories(
            random.choice(4, len(single), p=(0.45, 0.4, 0.1, 0.05)), side, seed=seed
        ).p_value,
        "calibration": calibration(p, y, after, np.arange(n), draws=20).p_value,
    }
    return {
        "any cluster": bool(alarms(by_cluster(found.label, Rows.of(after, group)))),
        **{name: p_value is not None and p_value <= ALPHA for name, p_value in tests.items()},
        "stream": bool(changes((p > 0.5) != (y > 0.5))),
    }


def seen(alike: int, from_real: bool, seed: int) -> bool:
    """Whether an alarm is of a cluster that is mostly the new topic, and holds most of it."""
    drawn = drawing(alike, from_real)(seed, True)
    label = clustered(drawn.vectors, seed).label
    found = alarms(by_cluster(label, Rows.of(drawn.after, drawn.group)))
    return any(
        drawn.new[label == one.cluster].mean() > 0.5 and (label[drawn.new] == one.cluster).mean() > 0.5
        for one in found
    )


def told(name: str, hits: int, runs: int, aim: str) -> str:
    share = proportion(hits, runs)
    if share.value is None:
        return f"{name:<28}no run"
    return (
        f"{name:<28}{hits:>4} of {runs:<4} {share.value:6.1%}  ({share.low:.1%} to {share.high:.1%})  {aim}"
    )


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="without drift")
    parser.add_argument("--found", type=int, default=100, help="with a new topic")
    parser.add_argument("--workers", type=int, default=2, help="processes, each on one core")
    parser.add_argument("--alike", type=int, default=1, help="texts of a group")
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    begun = time.perf_counter()
    if options.real:
        drawing(options.alike, True)
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        nothing = list(pool.map(partial(alarmed, options.alike, options.real), range(options.runs)))
        print(f"No drift, {EACH:,} + {EACH:,}: false alarms, with 95% intervals")
        for name in TESTS:
            aim = "at most 5%" if name in ("any cluster", "stream") else "5% ± 2"
            print(told(name, sum(run[name] for run in nothing), options.runs, aim), flush=True)
        found = list(pool.map(partial(seen, options.alike, options.real), range(options.found)))
    print(f"A new topic of {NEW / EACH:.0%} of the second window")
    print(told("found", sum(found), options.found, "at least 95%"))
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
