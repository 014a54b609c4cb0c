"""Two answers to every prompt of a file; a run that was stopped goes on where it stopped, asking nothing twice.

inputs/prompts.jsonl       the prompts (core.generation.prompt_to_row)
results.jsonl              a line as each prompt is finished: prompt_id, results (core.generation.result_to_row)
artifacts/pairs.jsonl      the pairs, with the columns of pairs.csv
artifacts/pairs.csv
artifacts/failures.jsonl   the prompts without a pair, and why
"""

import csv
import io
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.generation import (
    CREATIVE,
    FOCUSED,
    MOST_CANDIDATES,
    Failure,
    ProviderError,
    Sampling,
    Side,
    generate_pairs,
    prompt_from_row,
    prompt_to_row,
    result_from_row,
    result_to_row,
)
from core.importing import guess_columns, read_prompts
from core.reading import FileError, read_rows
from core.records import Pair, Prompt
from core.settings import SettingsError, load
from jobs.protocol import JobError, Progress, Row, Run, appending, read_lines, replacing
from providers import NAMES, connect
from providers.base import answering

KIND = "generate-pairs"
COLUMNS = (
    "pair_id",
    "prompt_id",
    "category",
    "prompt",
    "response_a",
    "response_b",
    "model_a",
    "model_b",
    "temperature_a",
    "temperature_b",
)


def arguments(side_a: Side, side_b: Side, workers: int, candidates: int = 2) -> Row:
    """What job.json says of this job; ``candidates`` is the answers a prompt gets in all. Raises ValueError."""
    if not 2 <= candidates <= MOST_CANDIDATES:
        raise ValueError(f"The candidates must be 2 to {MOST_CANDIDATES}, not {candidates}.")
    return {"side_a": asdict(side_a), "side_b": asdict(side_b), "workers": workers, "candidates": candidates}


def write_prompts(run: Run, prompts: Iterable[Prompt]) -> int:
    """Freeze the prompts of a run, each once; answers how many there are."""
    found = {prompt.id: prompt for prompt in prompts}
    with replacing(run.inputs / "prompts.jsonl") as file:
        file.writelines(_line(prompt_to_row(prompt)) for prompt in found.values())
    return len(found)


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers how many prompts have a pair and how many failed. Raises JobError."""
    told = run.job()["arguments"]
    try:
        settings = load()
        sides = [Side(told[s]["provider"], Sampling(**told[s]["sampling"])) for s in ("side_a", "side_b")]
        complete_a, complete_b = (answering(connect(side.provider, settings), side) for side in sides)
    except (ProviderError, SettingsError, ValueError) as error:
        raise JobError(str(error)) from error
    prompts = [prompt_from_row(row) for row in read_lines(run.inputs / "prompts.jsonl")]
    if not prompts:
        raise JobError(f"{run.inputs / 'prompts.jsonl'} holds no prompts.")
    results = run.path / "results.jsonl"
    have = {row["prompt_id"] for row in read_lines(results) if "reason" not in row["results"][0]}
    progress = Progress(run, total=len(prompts), done=len(have))
    with appending(results) as write:

        def keep(found: list[Pair | Failure]) -> None:
            rows = [result_to_row(result) for result in found]
            write({"prompt_id": rows[0]["prompt_id"], "results": rows})
            progress.step(failed=isinstance(found[0], Failure))

        todo = (prompt for prompt in prompts if prompt.id not in have)
        generate_pairs(
            todo,
            complete_a,
            complete_b,
            on_result=keep,
            workers=told["workers"],
            candidates=told["candidates"],
            should_stop=should_stop,
        )
    progress.tell()
    pairs, failures = _write_artifacts(run, results)
    if failures and not pairs:
        raise JobError(f"No prompt got a pair. The first of {len(failures)} reasons: {failures[0].reason}")
    return {"total": len(prompts), "pairs": pairs, "failed": len(failures)}


def read_results(run: Run) -> Iterator[Pair | Failure]:
    """The results so far, in the order in which they came; a prompt that failed may have a pair later on."""
    for line in read_lines(run.path / "results.jsonl"):
        yield from map(result_from_row, line["results"])


def _write_artifacts(run: Run, results: Path) -> tuple[int, list[Failure]]:
    pairs = 0
    failures: dict[str, Failure] = {}
    with replacing(run.artifacts / "pairs.jsonl") as lines, replacing(run.artifacts / "pairs.csv") as sheet:
        text = io.TextIOWrapper(sheet, "utf-8", newline="", write_through=True)
        table = csv.DictWriter(text, COLUMNS)
        table.writeheader()
        for result in read_results(run):
            if isinstance(result, Failure):
                failures[result.prompt_id] = result
                continue
            pairs += 1
            failures.pop(result.prompt.id, None)
            row = _flat(result)
            lines.write(_line(row))
            if not isinstance(row["prompt"], str):
                row["prompt"] = json.dumps(row["prompt"], ensure_ascii=False)
            table.writerow(row)
        text.detach()
    with replacing(run.artifacts / "failures.jsonl") as file:
        file.writelines(_line(asdict(failure)) for failure in failures.values())
    return pairs, list(failures.values())


def _flat(pair: Pair) -> Row:
    messages = pair.prompt.messages
    single = len(messages) == 1
    values = (
        pair.id,
        pair.prompt.id,
        pair.prompt.category,
        pair.prompt.text if single else [{"role": m.role, "content": m.content} for m in messages],
        pair.response_a.text,
        pair.response_b.text,
        pair.response_a.model,
        pair.response_b.model,
        pair.response_a.params.get("temperature"),
        pair.response_b.params.get("temperature"),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def add_options(parser: ArgumentParser) -> None:
    """The options for a bare file; of a side's option without -a or -b both sides get the value."""
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="JSON, JSONL, CSV or Parquet")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the run directory; an unfinished one goes on"
    )
    parser.add_argument("--workers", type=int, default=4, help="prompts under way at once (default 4)")
    parser.add_argument("--candidates", type=int, default=2, help="answers a prompt gets in all (default 2)")
    kinds: dict[str, type] = {
        "model": str,
        "temperature": float,
        "max_tokens": int,
        "system": str,
        "seed": int,
    }
    for end in ("", "-a", "-b"):
        whose = f"for side {end[1:].upper()}" if end else "for both sides"
        parser.add_argument(f"--backend{end}", choices=NAMES, help=whose)
        for name, kind in kinds.items():
            parser.add_argument(f"--{name.replace('_', '-')}{end}", type=kind, help=whose)


def run_from_options(options: Namespace) -> Run:
    """A run on a bare file: a new one, or the one in --output, if it was given the same. Raises JobError."""
    if options.prompts is None or options.output is None:
        raise JobError("Give a run directory, or both --prompts FILE and --output DIR.")
    if options.workers < 1:
        raise JobError(f"--workers must be at least 1, not {options.workers}.")
    try:
        told = arguments(
            _side(options, "a", FOCUSED), _side(options, "b", CREATIVE), options.workers, options.candidates
        )
        prompts = _read_file(options.prompts)
    except (FileError, OSError, ValueError) as error:
        raise JobError(str(error)) from error
    run = Run(options.output.absolute())
    if run.job_file.exists():
        before = run.job()["arguments"]
        frozen = {prompt_from_row(row).id for row in read_lines(run.inputs / "prompts.jsonl")}
        same = [before[s] == told[s] for s in ("side_a", "side_b", "candidates")]
        if not all(same) or frozen != {prompt.id for prompt in prompts}:
            raise JobError(
                f"{options.output} holds a run with other prompts or settings: choose another --output, or repeat "
                "its options to go on with it."
            )
        return run
    run.inputs.mkdir(parents=True, exist_ok=True)
    write_prompts(run, prompts)
    return Run.create(options.output, KIND, told)


def _side(options: Namespace, letter: str, default: Side) -> Side:
    def chosen(name: str, otherwise: Any) -> Any:
        values = (getattr(options, f"{name}_{letter}"), getattr(options, name))
        return next((value for value in values if value is not None), otherwise)

    sampling = {name: chosen(name, value) for name, value in asdict(default.sampling).items()}
    return Side(chosen("backend", default.provider), Sampling(**sampling))


def _read_file(path: Path) -> list[Prompt]:
    parsed = read_rows(path.read_bytes(), path.name)
    found = read_prompts(parsed.rows, guess_columns(parsed.rows))
    for refusal in sorted((*parsed.refused, *found.refused), key=lambda r: r.row):
        print(f"{path.name}, row {refusal.row}: {refusal.field or 'the row'}: {refusal.reason}")
    if not found.rows:
        raise JobError(f"{path} holds no prompt that can be read.")
    return [prompt for _, prompt in found.rows]
