"""Prompts in the store: adding, finding, editing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlmodel import Session, col, func, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from core.records import Message, Parsed, Prompt, Refusal, uncollected
from storage.store import Store, audit, insert, known
from storage.tables import CampaignPairRow, PairRow, PromptRow


@dataclass
class Report:
    """What became of a file's rows: ``added`` records, the row numbers of ``duplicates``, the ``refused`` with why."""

    added: int = 0
    duplicates: list[int] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    annotations: int = 0
    annotators: int = 0

    @property
    def rows(self) -> int:
        return self.added + len(self.duplicates) + len(self.refused)


def record(row: PromptRow) -> Prompt:
    """The prompt as a record of the domain."""
    turns = row.messages or [{"role": "user", "content": row.text}]
    messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
    return Prompt(messages, row.category, tuple(row.tags), dict(row.attributes))


def add(store: Store, parsed: Parsed[Prompt], actor: str, origin: str = "page") -> Report:
    """Add the prompts of a file, each text once, all or none; ``origin`` (a file name) goes into the audit."""
    report = Report(refused=list(parsed.refused))
    fresh: dict[str, tuple[int, Prompt]] = {}
    for number, prompt in parsed.rows:
        if prompt.id in fresh:
            report.duplicates.append(number)
        else:
            fresh[prompt.id] = (number, prompt)
    with store.writing() as session:
        for prompt_id in known(session, "prompt", list(fresh)):
            report.duplicates.append(fresh.pop(prompt_id)[0])
        report.duplicates.sort()
        report.added = len(fresh)
        insert_records(session, [prompt for _, prompt in fresh.values()])
        audit(session, actor, "add", "prompt", origin, added=report.added, duplicates=len(report.duplicates),
              refused=len(report.refused))  # fmt: skip
    return report


@uncollected()
def insert_records(session: Session, prompts: Sequence[Prompt]) -> None:
    """Insert prompts that the store does not have."""
    now = datetime.now(UTC)
    columns: dict[str, Any] = {
        "id": [p.id for p in prompts],
        "text": [p.text for p in prompts],
        "messages": pa.array([_turns(p) for p in prompts], pa.string()),
        "category": [p.category for p in prompts],
        "tags": [json.dumps(p.tags) if p.tags else "[]" for p in prompts],
        "attributes": [json.dumps(dict(p.attributes)) if p.attributes else "{}" for p in prompts],
        "archived": [False] * len(prompts),
        "created_at": pa.array([now] * len(prompts), pa.timestamp("us", "UTC")),
    }
    if prompts:
        insert(session, "prompt", pa.table(columns))


def _turns(prompt: Prompt) -> str | None:
    """None for a single user turn, else the chat as JSON."""
    if len(prompt.messages) == 1 and prompt.messages[0].role == "user":
        return None
    return json.dumps([{"role": m.role, "content": m.content} for m in prompt.messages])


def page(
    store: Store,
    *,
    search: str = "",
    categories: Sequence[str] = (),
    tag: str | None = None,
    archived: bool = False,
    campaign_id: str | None = None,
    without_pairs_in: str | None = None,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[PromptRow], int]:
    """One page of the prompts that match, newest first, and how many match in all.

    ``search`` looks in the text and for an id; ``campaign_id`` leaves those with a pair in that campaign, ``without_pairs_in``
    those with none in that one.
    """

    def paired(campaign: str) -> SelectOfScalar[str]:
        in_campaign = col(CampaignPairRow.pair_id) == col(PairRow.id)
        chosen = select(PairRow.prompt_id).join(CampaignPairRow, in_campaign)
        return chosen.where(CampaignPairRow.campaign_id == campaign)

    def narrowed(query: SelectOfScalar[Any]) -> SelectOfScalar[Any]:
        query = query.where(col(PromptRow.archived) == archived)
        if search:
            query = query.where(
                or_(func.contains(func.lower(PromptRow.text), search.lower()), col(PromptRow.id) == search)
            )
        if categories:
            query = query.where(col(PromptRow.category).in_(categories))
        if tag:
            query = query.where(func.json_contains(PromptRow.tags, json.dumps(tag)))
        if campaign_id:
            query = query.where(col(PromptRow.id).in_(paired(campaign_id)))
        if without_pairs_in:
            query = query.where(col(PromptRow.id).not_in(paired(without_pairs_in)))
        return query

    with store.reading() as session:
        total = session.exec(narrowed(select(func.count()).select_from(PromptRow))).one()
        newest = col(PromptRow.created_at).desc()
        rows = session.exec(
            narrowed(select(PromptRow)).order_by(newest, col(PromptRow.id)).offset(offset).limit(limit)
        )
        return list(rows), total


def get(store: Store, prompt_id: str) -> PromptRow | None:
    with store.reading() as session:
        return session.get(PromptRow, prompt_id)


def categories(store: Store) -> list[tuple[str, int]]:
    """Each category in use with its number of prompts, most first."""
    return [
        (name, n)
        for name, n in store.rows(
            "SELECT category, count(*) FROM prompt WHERE NOT archived GROUP BY category ORDER BY count(*) DESC, category"
        )
    ]


def tags(store: Store) -> list[str]:
    """Every tag in use."""
    return [
        tag
        for (tag,) in store.rows(
            "SELECT DISTINCT unnest(from_json(tags, '[\"VARCHAR\"]')) AS tag FROM prompt ORDER BY tag"
        )
    ]


def edit(
    store: Store,
    prompt_ids: Sequence[str],
    actor: str,
    *,
    category: str | None = None,
    tags: Sequence[str] | None = None,
    archived: bool | None = None,
) -> int:
    """Change what is given, for all the prompts at once; returns how many there were. The audit keeps what it was."""
    with store.writing() as session:
        rows = list(session.exec(select(PromptRow).where(col(PromptRow.id).in_(prompt_ids))))
        for row in rows:
            before = {"category": row.category, "tags": row.tags, "archived": row.archived}
            if category is not None:
                row.category = category
            if tags is not None:
                row.tags = list(tags)
            if archived is not None:
                row.archived = archived
            session.add(row)
            audit(session, actor, "edit", "prompt", row.id, before=before)
        return len(rows)
