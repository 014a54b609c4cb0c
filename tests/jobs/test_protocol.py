"""The run directory: files that are whole or absent, and lines that survive a kill."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.protocol import (
    JobError,
    Run,
    appending,
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
    last = list(read_lines_at_end(tmp_path / "x.jsonl"))
    assert last[0] == {"n": 4999}
    assert 100 < len(last) < 1000


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
