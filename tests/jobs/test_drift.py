"""Drift jobs on bare files: real processes, the real encoder, and what goes wrong."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.populations import Item, to_table
from jobs import drift
from jobs.drift import arguments, freeze
from jobs.protocol import JobError, Run, read_lines

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 3, 2, tzinfo=UTC)
TOPICS = {
    "bread": "flour yeast oven crust dough kneading sourdough loaf rye baker",
    "stars": "telescope galaxy orbit comet nebula planet eclipse supernova astronomer meteor",
    "chess": "bishop knight pawn checkmate castling gambit endgame rook opening grandmaster",
    "tax": "income deduction audit invoice revenue refund levy fiscal ledger accountant",
}


def rows(n: int = 120, new: str = "tax", seed: int = 0) -> list[dict[str, Any]]:
    """Texts on three topics in two weeks, with a fourth in the second; the predictor is wrong about chess."""
    draw = random.Random(seed)
    found = []
    for i in range(n):
        after = i >= n // 2
        topic = draw.choice([*TOPICS] if after else [name for name in TOPICS if name != new])
        words = " ".join(draw.sample(TOPICS[topic].split(), 5))
        right = draw.random() < (0.1 if topic == "chess" else 0.9)
        found.append(
            {
                "id": f"row {i}",
                "text": f"Somebody asks about {words}, number {i}.",
                "time": (START + timedelta(hours=3 * i)).isoformat(),
                "topic": topic,
                "probability": draw.uniform(0.6, 0.95),
                "target": float(right),
                "other_probability": 0.2 if topic == "stars" else 0.8,
                "label": draw.choice("ab"),
            }
        )
    return found


def write(path: Path, some: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return path


@pytest.fixture(autouse=True)
def _data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_DATA_DIR", str(tmp_path_factory.getbasetemp() / "drift"))


def shell(*told: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs", "drift", *map(str, told)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def asked(*told: object) -> Run:
    """The run that a shell would make."""
    parser = ArgumentParser()
    drift.add_options(parser)
    return drift.run_from_options(parser.parse_args([str(one) for one in told]))


def done(output: Path) -> dict[str, Any]:
    found = Run(output).result()
    assert found is not None
    return found


def here(folder: Path, items: list[Item], **told: Any) -> dict[str, Any]:
    """The figures of a run in this process."""
    run = Run.create(folder, drift.KIND, arguments(**told))
    freeze(run, to_table(items))
    return drift.work(run, lambda: False)


def test_a_run_finds_names_and_places_what_came_and_where_the_errors_are(tmp_path: Path) -> None:
    some = [*rows(), {"text": "no time"}]
    process = shell("--data", write(tmp_path / "rows.jsonl", some), "--output", tmp_path / "out")
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    assert "row 121: time: is missing" in out
    found = done(tmp_path / "out")
    topics = {row["id"]: row["topic"] for row in rows()}
    points = pq.read_table(tmp_path / "out" / "artifacts" / "points.parquet").to_pandas()
    assert points["id"].tolist() == list(topics) and np.isfinite(points[["x", "y"]]).all(axis=None)
    of = {
        c["cluster"]: points.loc[points["cluster"] == c["cluster"], "topic"].mode()[0]
        for c in found["clusters"]
    }
    assert sorted(of.values()) == sorted(TOPICS) and found["topics"]["value"] > 0.95

    first = found["clusters"][0]
    assert of[first["cluster"]] == "tax" and set(first["terms"]) <= set(TOPICS["tax"].split())
    assert first["share"]["before"]["value"] == 0 and first["share"]["change"]["adjusted"] < 0.05
    assert found["alerts"][0] == {
        "kind": "clusters",
        "p": first["share"]["change"]["adjusted"],
        "clusters": [first["cluster"]],
    }
    assert {alert["kind"] for alert in found["alerts"]} >= {"clusters", "mmd", "classifier"}
    by_topic = {of[c["cluster"]]: c for c in found["clusters"]}
    assert (
        by_topic["chess"]["error"]["whole"]["low"] > 0.6
        and by_topic["chess"]["error"]["apart"]["adjusted"] < 1e-6
    )
    assert by_topic["chess"]["gap"]["whole"]["value"] > 0.4 > by_topic["bread"]["gap"]["whole"]["value"]
    assert (
        by_topic["stars"]["flips"]["whole"]["value"] == 1
        and by_topic["bread"]["flips"]["whole"]["value"] == 0
    )
    assert [(w["rows"], w["groups"]) for w in found["windows"]] == [(60, 60), (60, 60)]
    assert found["stream"] == {"outcomes": 120, "changes": []} and not found["alike"]
    assert [one["label"] for one in found["labels"]] == ["a", "b"] and found["tests"]["labels"][
        "p_value"
    ] > 0.01
    assert found["left_out"] == {"count": 1, "reasons": {"is missing": 1}}
    assert {*found["seconds"]} == {"embedding", "reducing and clustering", "naming", "testing"} and found[
        "peak_mb"
    ] > 100
    phases = [event["phase"] for event in read_lines(tmp_path / "out" / "events.jsonl")]
    assert list(dict.fromkeys(phases)) == [*found["seconds"]]


def test_clusters_keep_their_numbers_from_run_to_run(tmp_path: Path) -> None:
    def numbers(name: str, shift: int, *told: object) -> dict[str, int]:
        file = write(tmp_path / f"{name}.jsonl", rows()[shift:] + rows(40, seed=9)[:shift])
        run = asked("--data", file, "--view", "tfidf", "--output", tmp_path / name, *told)
        run.end("done", None, drift.work(run, lambda: False))
        points = pq.read_table(run.artifacts / "points.parquet").to_pandas()
        return {topic: int(part["cluster"].mode()[0]) for topic, part in points.groupby("topic")}

    first = numbers("first", 0)
    assert numbers("second", 20, "--previous", tmp_path / "first") == first
    second = Run(tmp_path / "second")
    assert (second.result() or {})["next"] == max(first.values()) + 1
    third = Run.create(tmp_path / "third", drift.KIND, arguments(view="tfidf", next=77))
    freeze(third, pq.read_table(second.inputs / "rows.parquet"))
    new = [one["cluster"] for one in drift.work(third, lambda: False)["clusters"]]
    assert min(new) == 77, "what never was gets a number that never was"


def test_a_text_of_200_000_characters_and_one_class_are_no_trouble(tmp_path: Path) -> None:
    items = [
        Item(row["id"], (row["text"],), i >= 60, probability=0.8, target=1.0) for i, row in enumerate(rows())
    ]
    items[3] = Item("long", ("flour yeast oven " * 11_700,), False, probability=0.8, target=1.0)
    found = here(tmp_path / "run", items, seed=5)
    assert (found["seed"], found["alpha"]) == (5, 0.05)
    assert found["clusters"] and all(one["error"]["whole"]["value"] == 0 for one in found["clusters"])
    assert found["tests"]["labels"]["figure"]["reason"].startswith("No row has a label")
    gap = found["clusters"][0]["gap"]["whole"]
    assert gap["value"] == pytest.approx(-0.2) and gap["low"] is None and "does not vary" in gap["reason"]
    assert found["stream"]["outcomes"] == 0


@pytest.mark.parametrize(
    ("texts", "after", "said"),
    [
        (["same words"] * 30, 15, "All 30 texts are the same"),
        ([f"word{i}" for i in range(12)], 6, "12 different texts, and a map needs more than 15"),
        ([f"text {i}" for i in range(30)], 30, "The second window is empty"),
        ([f"text {i}" for i in range(30)], 0, "The first window is empty"),
    ],
)
def test_what_cannot_be_done_says_what_is_missing(
    tmp_path: Path, texts: list[str], after: int, said: str
) -> None:
    with pytest.raises(JobError, match=said):
        here(tmp_path / "run", [Item(str(i), (text,), i >= after) for i, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"view": "colours"}, "view is 'colours'"),
        ({"seed": -1}, "seed is -1"),
        ({"alpha": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_that_are_wrong_are_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        arguments(**told)


def test_a_file_without_two_windows_fails_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"text": f"{i}", "window": 1} for i in range(30)])
    with pytest.raises(JobError, match="two windows are needed"):
        asked("--data", file, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(JobError, match="--data FILE and --output DIR"):
        asked("--data", file)


def test_a_run_that_is_stopped_leaves_no_result_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", rows(400, seed=4))
    process = shell("--data", file, "--output", tmp_path / "out")
    run, end = Run(tmp_path / "out"), time.monotonic() + 60
    while not run.events_file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert done(run.path)["status"] == "cancelled" and not list(run.artifacts.iterdir())
