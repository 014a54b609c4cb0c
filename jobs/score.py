"""Rewards of answers (``prompt, response`` rows), or the probability that the first answer of a pair is preferred.

inputs/rows.jsonl         the rows that could be read, with their number in the file
inputs/refused.jsonl      the others, and why
artifacts/scores.jsonl    a line a row: ``row``, ``score``, and ``good`` from a model trained on ratings; of a pair ``row``,
                          ``pair_id``, ``score_a``, ``score_b``, ``probability`` (in TRL rows a is the chosen answer)
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from core.importing import PairColumns, read_pairs
from core.preferences import prompt_text
from core.reading import FileError, forbidden
from core.reading import Row as FileRow
from core.records import Parsed, Refusal
from core.rewards.base import RewardError, VotePredictor
from core.settings import SettingsError, load
from jobs import inputs
from jobs.evaluate import add_model_options, created, new_run, predictor_in
from jobs.inputs import Stopped
from jobs.protocol import JobError, Row, Run, appending, read_lines, replacing

KIND = "score"


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers how many rows were scored. Raises JobError."""
    rows = list(read_lines(run.inputs / "rows.jsonl"))
    if not rows:
        raise JobError("There is no row to score: each needs a prompt and a response, or two responses.")
    try:
        predictor = predictor_in(Path(run.job()["arguments"]["model"]), load(), run, should_stop)
        lines = _scored_pairs(predictor, rows) if "response_a" in rows[0] else _scored(predictor, rows)
    except (RewardError, SettingsError) as error:
        raise JobError(str(error)) from error
    except Stopped:
        return {}
    with replacing(run.artifacts / "scores.jsonl") as file:
        file.writelines(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    refused = sum(1 for _ in read_lines(run.inputs / "refused.jsonl"))
    return {"total": len(rows) + refused, "scored": len(rows), "refused": refused}


def _scored(predictor: VotePredictor, rows: list[Row]) -> list[Row]:
    prompts, responses = [row["prompt"] for row in rows], [row["response"] for row in rows]
    lines: list[Row] = [
        {"row": row["row"], "score": score}
        for row, score in zip(rows, predictor.score(prompts, responses).tolist(), strict=True)
    ]
    if predictor.trained_on == "ratings":
        for line, good in zip(lines, predictor.good(prompts, responses).tolist(), strict=True):
            line["good"] = good
    return lines


def _scored_pairs(predictor: VotePredictor, rows: list[Row]) -> list[Row]:
    prompts = [row["prompt"] for row in rows]
    a, b = (predictor.score(prompts, [row[side] for row in rows]) for side in ("response_a", "response_b"))
    found = zip(rows, a.tolist(), b.tolist(), predictor.probabilities(a - b).tolist(), strict=True)
    return [
        {"row": row["row"], "pair_id": row["pair_id"], "score_a": one, "score_b": other, "probability": p}
        for row, one, other, p in found
    ]


def read(rows: Parsed[FileRow]) -> Parsed[Row]:
    """The rows to score: pairs, labelled or not, where the file has two answers a row. Raises FileError."""
    columns = {column for _, row in rows.rows for column in row}
    trl = {"chosen", "rejected"} <= columns
    if not trl and not {"response_a", "response_b"} <= columns:
        return _read_answers(rows)
    ids = PairColumns(pair_id="pair_id" if "pair_id" in columns else None)
    pairs = read_pairs(rows.rows, "trl") if trl else read_pairs(rows.rows, "csv", ids)
    found: list[tuple[int, Row]] = []
    for number, pair in pairs.rows:
        first, second = pair.response_a.text, pair.response_b.text
        if trl and pair.label == "b":
            first, second = second, first
        row = {
            "row": number,
            "pair_id": pair.external_id or pair.id,
            "prompt": prompt_text(pair.prompt.messages),
        }
        found.append((number, {**row, "response_a": first, "response_b": second}))
    return Parsed(found, [*rows.refused, *pairs.refused])


def _read_answers(rows: Parsed[FileRow]) -> Parsed[Row]:
    columns = {column for _, row in rows.rows for column in row}
    if missing := {"prompt", "response"} - columns:
        raise FileError(
            f"rows to score need 'prompt' and 'response', or a pair of answers; {min(missing)!r} is missing"
        )
    found: list[tuple[int, Row]] = []
    refused = list(rows.refused)
    for number, row in rows.rows:
        for field in ("prompt", "response"):
            value = row.get(field)
            if not isinstance(value, str) or not value.strip():
                refused.append(Refusal(number, field, "is missing or empty; text is needed"))
                break
            if reason := forbidden(value):
                refused.append(Refusal(number, field, reason))
                break
        else:
            found.append((number, {"row": number, "prompt": row["prompt"], "response": row["response"]}))
    return Parsed(found, refused)


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file."""
    add_model_options(parser, "answers or pairs")


def run_from_options(options: Namespace) -> Run:
    """A new run on a bare file. Raises JobError."""
    run = new_run(options)
    try:
        parsed = read(inputs.read_file(options.data))
    except FileError as error:
        raise JobError(f"{options.data}: {error}") from None
    run.inputs.mkdir(parents=True, exist_ok=True)
    inputs.write_refused(run.inputs / "refused.jsonl", parsed.refused, options.data.name)
    rows = run.inputs / "rows.jsonl"
    rows.unlink(missing_ok=True)
    with appending(rows) as write:
        for _, row in parsed.rows:
            write(row)
    return created(options, KIND)
