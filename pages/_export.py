"""What the Export page rests on, computed once for each choice of options; and how a trainer loads it."""

import streamlit as st

from core.exporting import Candidate, Export, Format, Policy, Shape, export, validate
from storage import exports
from storage.workbench import workbench

TRAINERS: dict[Shape, str] = {
    "preference": "RewardTrainer or DPOTrainer",
    "conversational": "RewardTrainer or DPOTrainer",
    "kto": "KTOTrainer",
    "kto_conversational": "KTOTrainer",
}
MESSAGES: dict[Shape, str] = {
    "conversational": "prompt chosen rejected",
    "kto_conversational": "prompt completion",
}


def exported(
    campaign_id: str | None, category: str | None, method: exports.Method, policy: Policy, simulated: bool
) -> Export:
    """The export as the store stands. Raises InvalidRow where a trainer would refuse or misread a row."""
    store = workbench().store
    return _export((id(store), store.revision), campaign_id, category, method, policy, simulated)


@st.cache_resource(max_entries=2, ttl="10m", show_spinner="Putting the data set together…")
def _export(
    at: object,
    campaign_id: str | None,
    category: str | None,
    method: exports.Method,
    policy: Policy,
    simulated: bool,
) -> Export:
    result = export(_candidates(at, campaign_id, category, method, simulated), policy)
    for rows in result.rows.values():
        validate(rows, policy.shape)
    return result


@st.cache_resource(max_entries=2, ttl="10m", show_spinner="Reading the pairs and their votes…")
def _candidates(
    at: object, campaign_id: str | None, category: str | None, method: exports.Method, simulated: bool
) -> list[Candidate]:
    return list(
        exports.candidates(
            workbench().store, campaign_id=campaign_id, category=category, method=method, simulated=simulated
        )
    )


def snippet(splits: list[str], fmt: Format, shape: Shape) -> str:
    """Python that loads the files of a bundle for TRL."""
    kind = {"jsonl": "json"}.get(fmt, fmt)
    files = ", ".join(f'"{split}": "{split}.{fmt}"' for split in splits)
    text = "keep_default_na=False" if fmt == "csv" else ""
    lines = [
        "from datasets import load_dataset",
        "",
        f'data = load_dataset("{kind}", data_files={{{files}}}{", " + text if text else ""})',
    ]
    if fmt == "csv" and shape in MESSAGES:
        lines = ["import json", *lines, f'columns = "{MESSAGES[shape]}".split()',
                 "data = data.map(lambda row: {name: json.loads(row[name]) for name in columns})"]  # fmt: skip
    return "\n".join([*lines, f'# data["train"] is what TRL\'s {TRAINERS[shape]} takes as train_dataset.'])
