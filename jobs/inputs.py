"""What a reward job works on: the rows of a bare file, frozen into its run directory, and read back by the worker.

inputs/preferences.parquet   pairs with targets (core.preferences.to_row), or, in its place,
inputs/ratings.parquet       rated answers: prompt, response, rating
inputs/refused.jsonl         the rows of the file that were left out, and why
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.preferences import Preference, Rating, Ties, is_rated, read_preferences, read_ratings, to_row
from core.reading import FileError, read_rows
from core.reading import Row as FileRow
from core.records import Parsed, Refusal
from jobs.protocol import JobError, Progress, Row, Run, appending, read_lines, replacing

PREFERENCES = "preferences.parquet"
RATINGS = "ratings.parquet"
_REFUSED = "refused.jsonl"
_TYPES = {"target": pa.float64(), "weight": pa.float64(), "rating": pa.float64()}


class Stopped(Exception):
    """The job was asked to stop."""


def told(run: Run, should_stop: Callable[[], bool], fit: str = "") -> Callable[[str, int, int], None]:
    """A callback ``(phase, done, total)`` that writes progress events, and raises Stopped once the job is to stop.

    Each phase (embedding, training) is counted by itself; ``fit`` is added to its name.
    """
    now: Progress | None = None

    def tell(phase: str, done: int, total: int) -> None:
        nonlocal now
        if should_stop():
            raise Stopped
        named = f"{phase}: {fit}" if fit else phase
        if now is None or (now.phase, now.total) != (named, total) or done < now.done:
            now = Progress(run, total, done, named)
        else:
            now.reach(done)

    return tell


def read_file(path: Path) -> Parsed[FileRow]:
    """The rows of a JSON, JSONL, CSV or Parquet file, also as .gz. Raises JobError."""
    try:
        return read_rows(path.read_bytes(), path.name)
    except (FileError, OSError) as error:
        raise JobError(str(error)) from None


def freeze(run: Run, path: Path, ties: Ties = "half") -> None:
    """Read a file of preferences or ratings into ``run.inputs``. Raises JobError where it is neither."""
    rows = read_file(path)
    try:
        if is_rated(rows.rows):
            rated = read_ratings(rows.rows)
            refused, name, kept = rated.refused, RATINGS, [asdict(rating) for _, rating in rated.rows]
            columns = ["prompt", "response", "rating"]
        else:
            pairs = read_preferences(rows.rows, ties)
            refused, name, kept = pairs.refused, PREFERENCES, [to_row(pair) for _, pair in pairs.rows]
            columns = [
                "pair_id",
                "prompt",
                "response_a",
                "response_b",
                "target",
                "weight",
                "group",
                "category",
            ]
    except FileError as error:
        raise JobError(f"{path}: {error}") from None
    run.inputs.mkdir(parents=True, exist_ok=True)
    write_refused(run.inputs / _REFUSED, [*rows.refused, *refused], path.name)
    schema = pa.schema([(column, _TYPES.get(column, pa.string())) for column in columns])
    with replacing(run.inputs / name) as file:
        pq.write_table(pa.Table.from_pylist(kept, schema), file)


def write_refused(file: Path, refused: Sequence[Refusal], name: str) -> None:
    """Write the refusals, and print them so that they stand in the log."""
    file.unlink(missing_ok=True)
    with appending(file) as write:
        for refusal in sorted(refused, key=lambda r: r.row):
            print(f"{name}, row {refusal.row}: {refusal.field or 'the row'}: {refusal.reason}")
            write(asdict(refusal))


def is_ratings(run: Run) -> bool:
    return (run.inputs / RATINGS).is_file()


def preferences(run: Run, ties: Ties = "half") -> tuple[list[Preference], Row]:
    """The pairs of a run, and what was left out: ``count`` and ``reasons``. Raises JobError."""
    found = _frozen(run, PREFERENCES)
    try:
        parsed = read_preferences(found, ties)
    except FileError as error:
        raise JobError(f"{run.inputs / PREFERENCES}: {error}") from None
    return [pair for _, pair in parsed.rows], left_out(run, parsed.refused)


def ratings(run: Run) -> tuple[list[Rating], Row]:
    """The rated answers of a run, and what was left out. Raises JobError."""
    try:
        parsed = read_ratings(_frozen(run, RATINGS))
    except FileError as error:
        raise JobError(f"{run.inputs / RATINGS}: {error}") from None
    return [rating for _, rating in parsed.rows], left_out(run, parsed.refused)


def read_table(path: Path) -> pa.Table:
    """The table of a Parquet file of a run. Raises JobError where it cannot be read."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise JobError(f"{path} cannot be read: {error}") from None


def _frozen(run: Run, name: str) -> list[tuple[int, FileRow]]:
    return list(enumerate(read_table(run.inputs / name).to_pylist(), start=1))


def write_config(run: Run, config: Row) -> None:
    """Write the resolved settings to config.yaml; a run from a shell repeats with --config and another --output."""
    import yaml

    with replacing(run.path / "config.yaml") as file:
        file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())


def read_config(path: Path) -> Row:
    """The settings in a YAML or JSON file. Raises JobError."""
    import yaml

    try:
        config = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise JobError(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise JobError(f"{path} must hold settings, a name and a value each.")
    return config


def left_out(run: Run, later: Sequence[Refusal] = ()) -> Row:
    """How many rows of the file a run leaves out, and why."""
    reasons = Counter(str(row["reason"]) for row in read_lines(run.inputs / _REFUSED))
    reasons.update(refusal.reason for refusal in later)
    return {"count": reasons.total(), "reasons": dict(reasons.most_common(20))}
