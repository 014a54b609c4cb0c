"""UKPConvArg1 as rows of the annotated format: a row a judgement, as the crowd gave it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rb") as file:
        yield from (json.loads(line) for line in file.read().split(b"\n") if line)


def _pairs(folder: Path) -> dict[str, dict[str, Any]]:
    """The texts of each pair, by its id."""
    text = {(a["topic_file"], a["argument_id"]): a["text"] for a in _read(folder / "arguments.jsonl.gz")}
    return {
        p["pair_id"]: {
            "prompt": f"{p['debate_title']} — which argument for the side “{p['stance']}” is more convincing?",
            "response_a": text[p["topic_file"], p["arg1_id"]],
            "response_b": text[p["topic_file"], p["arg2_id"]],
        }
        for p in _read(folder / "pairs_all.jsonl.gz")
    }


def ukp_rows(shared_data: Path) -> list[tuple[int, dict[str, object]]]:
    """All 67,129 judgements of 13,458 pairs by 3,788 annotators, numbered from 1."""
    folder = shared_data / "ukp_convarg1"
    pairs = _pairs(folder)
    return [
        (
            number,
            {
                "pair_id": row["pair_id"],
                **pairs[row["pair_id"]],
                "annotator": row["annotator"],
                "choice": row["choice"],
                "reason": row["rationale"],
                "submitted_at": row["submitted_at"],
            },
        )
        for number, row in enumerate(_read(folder / "annotations.jsonl.gz"), start=1)
    ]


def ukp_gold(shared_data: Path) -> list[tuple[int, dict[str, Any]]]:
    """The 9,169 of these pairs whose answer is established (UKPConvArg1Strict), as TRL rows with their pair ids."""
    folder = shared_data / "ukp_convarg1"
    texts = _pairs(folder)
    rows = []
    for pair in _read(folder / "pairs_all.jsonl.gz"):
        if pair["in_strict"]:
            both = [texts[pair["pair_id"]][f"response_{side}"] for side in "ab"]
            chosen, rejected = both if pair["gold_label"] == "a1" else both[::-1]
            prompt = texts[pair["pair_id"]]["prompt"]
            rows.append(
                {"pair_id": pair["pair_id"], "prompt": prompt, "chosen": chosen, "rejected": rejected}
            )
    return list(enumerate(rows, start=1))
