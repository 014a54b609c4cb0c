"""What changed between two windows: texts embedded, laid out on a map, clustered, named and tested.

inputs/rows.parquet          the texts of both windows (core.populations.SCHEMA)
inputs/refused.jsonl         the rows of the file that were left out, and why
inputs/previous.parquet      where there was an earlier run: ``id`` and ``cluster`` of its rows
inputs/centroids.parquet     and ``cluster``, ``centroid`` of its clusters
artifacts/points.parquet     a row each in the order of the input: ``id``, ``after``, ``seen_at``, ``x``, ``y``, ``cluster`` (-1 for none), ``error``,
                             ``gap``, ``flip``, ``pair_id``, ``topic``
artifacts/clusters.parquet   ``cluster``, ``name``, ``n``, ``x``, ``y`` (the middle of it on the map), ``centroid``
"""

import resource
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.change_points import changes
from core.clustering import Clustering, ClusteringError, Vectors, clustered, named, tfidf
from core.drift import ALPHA, Cluster, alarms, by_cluster, calibration, labels
from core.estimate import Estimate
from core.populations import Population, described, read_items, to_table
from core.ratings import FloatArray, IntArray
from core.reading import FileError
from core.rewards.base import RewardError
from core.settings import Settings, SettingsError, load
from core.topics import carried_over
from core.two_samples import Evidence, categories, classifier, mmd, one_each
from jobs import inputs
from jobs.inputs import Stopped, read_table
from jobs.protocol import JobError, Row, Run, replacing
from jobs.train_reward import cache_dir
from providers.encoder import DEFAULT, encoder

KIND = "drift"
View = Literal["semantic", "tfidf"]
DEFAULTS: Row = {
    "view": "semantic",
    "model": DEFAULT,
    "seed": 0,
    "alpha": ALPHA,
    "windows": ["before", "after"],
    "next": 0,
}
ROWS, PREVIOUS, CENTROIDS = "rows.parquet", "previous.parquet", "centroids.parquet"
POINTS, CLUSTERS = "points.parquet", "clusters.parquet"
Tell = Callable[[str, int, int], None]


def arguments(**chosen: Any) -> Row:
    """What job.json says of this job: DEFAULTS with what was chosen. Raises ValueError for a value that is wrong."""
    told = {**DEFAULTS, **{name: value for name, value in chosen.items() if value is not None}}
    if told["view"] not in get_args(View):
        raise ValueError(f"view is {told['view']!r}; it must be one of {', '.join(get_args(View))}.")
    if not isinstance(told["seed"], int) or told["seed"] < 0:
        raise ValueError(f"seed is {told['seed']!r}; it must be a whole number, 0 or more.")
    if not isinstance(told["alpha"], float) or not 0 < told["alpha"] < 1:
        raise ValueError(f"alpha is {told['alpha']!r}; it must be a number between 0 and 1.")
    return told


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers what changed. Raises JobError."""
    clock = _Clock(inputs.told(run, should_stop))
    try:
        told = arguments(**run.job()["arguments"])
        population = Population.of(read_table(run.inputs / ROWS))
        seed = told["seed"]
        vectors = _vectors(population, told, load(), clock)
        clock.tell("reducing and clustering", 0, 1)
        found = clustered(vectors, seed)
        label = _numbered(run, population, found, vectors, told)
        clock.tell("naming", 0, 1)
        texts = _joined(population)
        terms = named(texts, label, seed)
        clock.tell("testing", 0, 1)
        figures = _figures(population, found, label, told)
        clock.tell("testing", 1, 1)
    except (RewardError, SettingsError, ClusteringError, ValueError) as error:
        raise JobError(str(error)) from error
    except Stopped:
        return {}
    _write(run, population, found, label, vectors, terms)
    return {
        **figures,
        "clusters": [{**one, "terms": terms.get(one["cluster"], [])} for one in figures["clusters"]],
        "view": told["view"],
        "seconds": clock.seconds(),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "left_out": inputs.left_out(run),
    }


class _Clock:
    """Tells the phases as they come, and how long each took."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._begun: dict[str, float] = {}

    def tell(self, phase: str, done: int, total: int) -> None:
        self._begun.setdefault(phase, time.monotonic())
        self._tell(phase, done, total)

    def seconds(self) -> dict[str, float]:
        ends = [*list(self._begun.values())[1:], time.monotonic()]
        return {
            phase: round(end - begun, 2)
            for (phase, begun), end in zip(self._begun.items(), ends, strict=True)
        }


def _vectors(population: Population, told: Row, settings: Settings, clock: _Clock) -> Vectors:
    """A row's vector: the mean of those of its texts, of length 1; in the view by words that of all its texts."""
    if told["view"] == "tfidf":
        clock.tell("counting words", 0, 1)
        return tfidf(_joined(population), told["seed"])
    embed = encoder(told["model"], cache_dir(settings)).embed
    texts = list(dict.fromkeys(chain.from_iterable(population.texts)))
    clock.tell("embedding", 0, len(texts))
    single = embed(texts, lambda done, total: clock.tell("embedding", done, total))
    place = {text: row for row, text in enumerate(texts)}
    row = np.repeat(np.arange(len(population)), [len(some) for some in population.texts])
    vectors = np.zeros((len(population), single.shape[1]), dtype=np.float32)
    np.add.at(vectors, row, single[[place[text] for text in chain.from_iterable(population.texts)]])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)


def _joined(population: Population) -> list[str]:
    return ["\n".join(texts) for texts in population.texts]


def _numbered(run: Run, population: Population, found: Clustering, vectors: Vectors, told: Row) -> IntArray:
    """The clusters under the numbers that an earlier run gave them, where there was one."""
    if not (run.inputs / PREVIOUS).is_file():
        before: dict[str, int] = {}
        centroids: dict[int, FloatArray] = {}
    else:
        table, middles = read_table(run.inputs / PREVIOUS), read_table(run.inputs / CENTROIDS)
        before = dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))
        centroids = {row["cluster"]: np.array(row["centroid"]) for row in middles.to_pylist()}
    here = {} if told["view"] == "tfidf" else _centroids(found.label, vectors)
    numbers = carried_over(
        before, dict(zip(population.id, found.label.tolist(), strict=True)), centroids, here, told["next"]
    )
    renamed = np.full(int(found.label.max(initial=-1)) + 2, -1)
    for old, new in numbers.items():
        renamed[old] = new
    return np.asarray(renamed[found.label], dtype=np.int64)


def _centroids(label: IntArray, vectors: Vectors) -> dict[int, FloatArray]:
    return {
        int(one): vectors[label == one].mean(0).astype(np.float64) for one in np.unique(label[label >= 0])
    }


def _figures(population: Population, found: Clustering, label: IntArray, told: Row) -> Row:
    rows, seed = population.rows, told["seed"]
    clusters = by_cluster(label, rows)
    single = one_each(rows.group, seed)
    x, after = found.reduced[single], rows.after[single]
    tests = {"mmd": mmd(x, after, seed=seed), "classifier": classifier(x, after, seed=seed)}
    both = ~np.isnan(population.probability) & ~np.isnan(population.target)
    calibrated = calibration(
        population.probability[both], population.target[both], rows.after[both], rows.group[both]
    )
    label_names, label_figures, label_test = _labels(population, seed)
    tests["labels"] = label_test
    stream, outcomes = _stream(population, told["alpha"])
    return {
        "windows": described(tuple(told["windows"]), population),
        "clusters": [asdict(one) for one in clusters],
        "unclustered": int((label < 0).sum()),
        "alike": bool(len(single) < len(population)),
        "next": max(told["next"], int(label.max(initial=-1)) + 1),
        "tests": {name: asdict(test) for name, test in tests.items()},
        "labels": [
            {"label": name, **asdict(one)} for name, one in zip(label_names, label_figures, strict=True)
        ],
        "calibration": asdict(calibrated),
        "stream": {"outcomes": outcomes, "changes": stream},
        "topics": asdict(_topics(population, label)),
        "alpha": told["alpha"],
        "seed": seed,
        "alerts": _alerts(clusters, tests, calibrated.p_value, len(stream), told["alpha"]),
    }


def _labels(population: Population, seed: int) -> tuple[list[str], list[Any], Evidence]:
    known = np.array([label is not None for label in population.label])
    if not known.any():
        return [], [], Evidence.unavailable("No row has a label: choose pairs that were judged.")
    names, code = np.unique([label for label in population.label if label is not None], return_inverse=True)
    after, group = population.rows.after[known], population.rows.group[known]
    single = one_each(group, seed)
    figures = labels(code, after, group)
    return names.tolist(), figures, categories(code[single], after[single], seed=seed)


def _stream(population: Population, alpha: float) -> tuple[list[Row], int]:
    """The changes of the error rate in order of time, with the time of each; one outcome of a group, its first."""
    known = np.flatnonzero(~np.isnan(population.rows.error) & ~np.isnat(population.at))
    order = known[np.argsort(population.at[known], kind="stable")]
    _, first = np.unique(population.rows.group[order], return_index=True)
    order = order[np.sort(first)]
    found = changes(population.rows.error[order], alpha)
    times = population.at[order]
    return [
        {**asdict(one), "found_at": str(times[one.found - 1]), "since_at": str(times[one.since])}
        for one in found
    ], len(order)


def _topics(population: Population, label: IntArray) -> Estimate:
    """Adjusted mutual information of the clusters and the topics known beforehand (Vinh, Epps & Bailey 2010), -1 a cluster too."""
    from sklearn.metrics import adjusted_mutual_info_score  # type: ignore[import-untyped]

    known = np.array([topic is not None for topic in population.topic])
    if not known.any():
        return Estimate.unavailable("No row has a topic known beforehand.")
    topics = [topic for topic in population.topic if topic is not None]
    return Estimate(
        float(adjusted_mutual_info_score(topics, label[known])),
        None,
        None,
        len(topics),
        reason="It has no interval.",
    )


def _alerts(
    clusters: Sequence[Cluster],
    tests: dict[str, Evidence],
    calibrated: float | None,
    stream: int,
    alpha: float,
) -> list[Row]:
    """What is to be looked into, each with the test's p-value; where nothing changed, each of them comes in ``alpha`` of runs at most."""
    changed = alarms(clusters, alpha)
    found: list[Row] = []
    if changed and changed[0].share.change:
        p = changed[0].share.change.adjusted
        found.append({"kind": "clusters", "p": p, "clusters": [one.cluster for one in changed]})
    p_values = {**{name: test.p_value for name, test in tests.items()}, "calibration": calibrated}
    found += [{"kind": kind, "p": p} for kind, p in p_values.items() if p is not None and p <= alpha]
    return [*found, *([{"kind": "stream", "p": None, "changes": stream}] if stream else [])]


def _write(
    run: Run,
    population: Population,
    found: Clustering,
    label: IntArray,
    vectors: Vectors,
    terms: dict[int, list[str]],
) -> None:
    points = {
        "id": population.id,
        "after": population.rows.after,
        "seen_at": pa.array(population.at, pa.timestamp("us", "UTC")),
        "x": found.point[:, 0],
        "y": found.point[:, 1],
        "cluster": label.astype(np.int32),
        **{
            name: pa.array(getattr(population.rows, name), pa.float32(), from_pandas=True)
            for name in ("error", "gap", "flip")
        },
        "pair_id": pa.array(population.pair_id, pa.string()),
        "topic": pa.array(population.topic, pa.string()),
    }
    kept = np.unique(label[label >= 0]).tolist()
    middle = [np.median(found.point[label == one], axis=0) for one in kept]
    centroids = _centroids(label, vectors)
    clusters = {
        "cluster": pa.array(kept, pa.int32()),
        "name": pa.array([" · ".join(terms.get(one, [])) for one in kept], pa.string()),
        "n": pa.array([int((label == one).sum()) for one in kept], pa.int64()),
        "x": pa.array([float(one[0]) for one in middle], pa.float32()),
        "y": pa.array([float(one[1]) for one in middle], pa.float32()),
        "centroid": pa.array([centroids[one].astype(np.float32) for one in kept], pa.list_(pa.float32())),
    }
    for name, columns in ((POINTS, points), (CLUSTERS, clusters)):
        with replacing(run.artifacts / name) as file:
            pq.write_table(pa.table(columns), file)


def freeze(run: Run, table: pa.Table, before: tuple[pa.Table, pa.Table] | None = None) -> None:
    """Write what the job works on: a population, and the points and clusters of an earlier run, whose numbers the clusters keep."""
    run.inputs.mkdir(parents=True, exist_ok=True)
    tables = {ROWS: table}
    if before is not None:
        points, clusters = before
        tables |= {
            PREVIOUS: points.select(["id", "cluster"]),
            CENTROIDS: clusters.select(["cluster", "centroid"]),
        }
    for name, one in tables.items():
        with replacing(run.inputs / name) as file:
            pq.write_table(one, file)


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file."""
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help=f"JSON, JSONL, CSV or Parquet. {read_items.__doc__}"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the run directory")
    parser.add_argument(
        "--split", type=datetime.fromisoformat, metavar="TIME", help="where the second window begins"
    )
    parser.add_argument("--view", choices=get_args(View), help="by meaning (default) or by words")
    parser.add_argument("--model", help=f"the encoder, by name or path ({DEFAULT})")
    parser.add_argument("--seed", type=int, help="of the map and the tests (0)")
    parser.add_argument(
        "--alpha", type=float, help=f"the chance of each alert where nothing changed ({ALPHA})"
    )
    parser.add_argument(
        "--previous", type=Path, metavar="DIR", help="an earlier run, whose clusters keep their numbers"
    )


def run_from_options(options: Namespace) -> Run:
    """A new run on a bare file. Raises JobError."""
    if None in (options.data, options.output):
        raise JobError("Give a run directory, or --data FILE and --output DIR.")
    run = Run(options.output.absolute())
    if run.job_file.exists():
        raise JobError(f"{options.output} holds a job already: choose another directory.")
    rows = inputs.read_file(options.data)
    split = options.split
    if split is not None and split.tzinfo is None:
        split = split.replace(tzinfo=UTC)
    try:
        found = read_items(rows.rows, split)
        told = {name: getattr(options, name) for name in ("view", "model", "seed", "alpha")}
        first = (Run(options.previous.absolute()).result() or {}).get("next") if options.previous else None
        told = arguments(windows=list(found.names), next=first, **told)
    except (FileError, ValueError) as error:
        raise JobError(f"{options.data}: {error}") from None
    made = options.previous and options.previous / "artifacts"
    before = made and (read_table(made / POINTS), read_table(made / CLUSTERS))
    freeze(run, to_table([item for _, item in found.items.rows]), before)
    inputs.write_refused(
        run.inputs / "refused.jsonl", [*rows.refused, *found.items.refused], options.data.name
    )
    return Run.create(options.output, KIND, told)
