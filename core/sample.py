"""The sample project: its pairs, and what only the simulation knows about them."""

import json

from core.records import Message, Pair, Prompt, Response
from core.simulation import SimulatedItem


def parse_sample(text: str) -> list[tuple[Pair, SimulatedItem]]:
    """Read ``assets/sample/pairs.jsonl``, one pair a line.

    A line has ``id``, ``category``, ``tags``, ``prompt`` (text) or ``messages`` (a chat that ends with the
    user's turn), ``response_a``, ``response_b``, ``model_a``, ``model_b``; and ``better`` (a, b, tie or both_bad)
    with ``gap`` (0 to 1, how clear the difference is), which reach the simulated annotators and nobody else.
    """
    sample = []
    for row in (json.loads(line) for line in text.split("\n") if line):
        turns = row.get("messages") or [{"role": "user", "content": row["prompt"]}]
        prompt = Prompt(tuple(Message(**turn) for turn in turns), row["category"], tuple(row["tags"]))
        a, b = (Response(row[f"response_{side}"], row[f"model_{side}"]) for side in "ab")
        pair = Pair(prompt, a, b, external_id=f"sample-{row['id']}")
        gap = row["gap"] * {"a": 1, "b": -1, "tie": 0, "both_bad": 0}[row["better"]]
        sample.append(
            (pair, SimulatedItem(pair.id, len(a.text), len(b.text), gap, row["better"] == "both_bad"))
        )
    return sample
