"""The run directory: files that are whole or absent, and lines that survive a kill."""

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.protocol import (
    JobError,
    Run,
    appending,
    metric,
    metrics,
    read_json,
    read_lines,
    read_lines_at_end,
    replacing,
    write_json,
)


def test_a_half_written_last_line_is_not_read_and_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"n": 1}\n{"n": 2}\n{"n": 3, "te')
    assert list(read_lines(file)) == [{"n": 1}, {"n": 2}]
    with appending(file) as write:
        write({"n": 4})
    assert file.read_bytes() == b'{"n": 1}\n{"n": 2}\n{"n": 4}\n'


@settings(max_examples=30)
@given(st.integers(0, 200_000), st.booleans())
def test_any_half_line_is_cut_off(tmp_path_factory: pytest.TempPathFactory, length: int, first: bool) -> None:
    file = tmp_path_factory.mktemp("lines") / "x.jsonl"
    file.write_bytes((b"" if first else b'{"n": 1}\n') + b"x" * length)
    with appending(file) as write:
        write({"n": 2})
    assert list(read_lines(file)) == ([] if first else [{"n": 1}]) + [{"n": 2}]


def test_odd_line_ends_do_not_split_a_line(tmp_path: Path) -> None:
    rows = [{"t": "one\u2028two\u0085three\x0b\x1c\r\n"}, {"t": "next"}]
    with appending(tmp_path / "x.jsonl") as write:
        for row in rows:
            write(row)
    assert list(read_lines(tmp_path / "x.jsonl")) == rows
    assert list(read_lines_at_end(tmp_path / "x.jsonl")) == rows[::-1]


def test_the_end_of_a_long_file_is_read_without_the_rest(tmp_path: Path) -> None:
    with appending(tmp_path / "x.jsonl") as write:
        for n in range(5000):
            write({"n": n})
    last = list(islice(read_lines_at_end(tmp_path / "x.jsonl"), 3000))
    assert last == [{"n": n} for n in range(4999, 1999, -1)]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 20_000), max_size=6), st.integers(0, 20_000))
def test_lines_of_any_length_are_read_backwards(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], half: int
) -> None:
    file = tmp_path_factory.mktemp("lines") / "x.jsonl"
    rows = [{"n": n, "t": "é" * length} for n, length in enumerate(lengths)]
    file.write_bytes(b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in rows) + b"1" * half)
    assert list(read_lines_at_end(file)) == rows[::-1]


def test_nan_never_enters_a_file(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "train-reward", {"rates": (1e-5, float("inf"))})
    metric(run, step=1, loss=float("nan"), accuracy=np.float32(0.5), learning_rate=None)
    write_json(run.result_file, {"status": "done", "loss": np.float64("nan"), "auc": [0.5, float("-inf")]})
    for name in ("job.json", "events.jsonl", "result.json"):
        text = (run.path / name).read_text()
        json.loads(text, parse_constant=pytest.fail)
    (event,) = metrics(run)
    event.pop("time")
    assert event == {"event": "metric", "step": 1, "loss": None, "accuracy": 0.5}
    assert run.result() == {"status": "done", "reason": None, "loss": None, "auc": [0.5, None]}


def test_metrics_of_a_long_training_are_thinned_but_not_those_of_its_validations(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "train-reward", {})
    assert metrics(run) == []
    with appending(run.events_file) as write:
        for step in range(1, 10_001):
            write({"event": "metric", "time": "t", "step": step, "loss": 1 / step})
            if step % 1000 == 0:
                write({"event": "metric", "time": "t", "step": step, "accuracy": 0.6})
                write({"event": "progress", "done": step})
    found = metrics(run, most=100)
    assert [e["step"] for e in found if "accuracy" in e] == list(range(1000, 10_001, 1000))
    assert [e["step"] for e in found if "loss" in e] == list(range(100, 10_001, 100))
    assert [e["step"] for e in found] == sorted(e["step"] for e in found)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_json(file, {"status": "done"})
    with pytest.raises(ZeroDivisionError), replacing(file) as new:
        new.write(b'{"status": "fa')
        1 / 0  # noqa: B018
    assert read_json(file) == {"status": "done"}
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("content", [b"", b'{"status": ', b"[]", b"\xff"])
def test_what_is_no_json_object_is_as_good_as_absent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    assert Run(tmp_path).result() is None
    with pytest.raises(JobError, match=r"no readable job\.json"):
        Run(tmp_path).job()


def test_a_directory_takes_one_job(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "generate-pairs", {"workers": 2})
    assert run.job()["arguments"] == {"workers": 2}
    with pytest.raises(JobError, match="holds a job already"):
        Run.create(tmp_path / "run", "generate-pairs", {})


def test_a_process_with_the_same_number_is_not_the_job(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.process_file.write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert run.process() is None
    run.process_file.write_text(json.dumps({"pid": 2**22 + 5, "started": 1.0}))
    assert run.process() is None
