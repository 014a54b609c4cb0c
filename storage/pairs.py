"""Pairs in the store: importing them with or without judgements, finding them, showing one."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import Session

from core.exposure import models_named
from core.ratings import FloatArray
from core.records import Choice, Judgement, Pair, Parsed, Prompt, Refusal, Response, content_id, uncollected
from storage import campaigns, people, prompts
from storage.desk import Desks
from storage.prompts import Report
from storage.store import Store, audit, insert, known, placeholders, registered
from storage.tables import PairRow

Labels = Literal["none", "annotations", "gold"]


def add(
    store: Store,
    desks: Desks,
    parsed: Parsed[Pair],
    campaign_id: str,
    actor: str,
    *,
    source: str,
    labels: Labels = "none",
) -> Report:
    """Add pairs to a campaign, all or none.

    Their labels, where they have any, are left out, become annotations of an annotator named ``source``, or gold.
    A pair that the store has already is a duplicate, whose label still counts; one whose external id has other texts
    there is refused.
    """
    report = Report(refused=list(parsed.refused))
    with desks[campaign_id].closed(), store.writing() as session:
        pairs = _enter(session, parsed.rows, campaign_id, source, report)
        if labels == "gold":
            _make_gold(session, [pair for _, pair in pairs if pair.label is not None])
        if labels == "annotations":
            once = {(pair.id, pair.label): pair for _, pair in pairs}
            judged = [
                Judgement(pair, source, label) for (_, label), pair in once.items() if label is not None
            ]
            _judge(session, judged, campaign_id, source, report)
        _audit(session, actor, source, campaign_id, report)
    return report


def add_judged(
    store: Store, desks: Desks, parsed: Parsed[Judgement], campaign_id: str, actor: str, *, source: str
) -> Report:
    """Add annotated pairs to a campaign, all or none; the same judgement twice enters once.

    ``added`` counts pairs and ``annotations`` judgements; ``duplicates`` are rows whose judgement was there already.
    """
    report = Report(refused=list(parsed.refused))
    with desks[campaign_id].closed(), store.writing() as session:
        numbered: dict[str, tuple[int, Pair]] = {}
        for number, judgement in parsed.rows:
            numbered.setdefault(judgement.pair.id, (number, judgement.pair))
        entered = {pair.id for _, pair in _enter(session, numbered.values(), campaign_id, source, report)}
        report.duplicates.clear()
        kept = [(n, j) for n, j in parsed.rows if j.pair.id in entered]
        reasons = {r.row: r for r in report.refused}
        for number, judgement in parsed.rows:
            if judgement.pair.id not in entered and number not in reasons:
                reason = reasons[numbered[judgement.pair.id][0]].reason
                report.refused.append(Refusal(number, "pair_id", reason))
        fresh = _judge(session, [j for _, j in kept], campaign_id, source, report)
        report.duplicates = [number for (number, _), new in zip(kept, fresh, strict=True) if not new]
        _audit(session, actor, source, campaign_id, report)
    return report


def _audit(session: Session, actor: str, source: str, campaign_id: str, report: Report) -> None:
    audit(session, actor, "add", "pair", source, campaign=campaign_id, added=report.added,
          duplicates=len(report.duplicates), refused=len(report.refused), annotations=report.annotations)  # fmt: skip


@uncollected()
def _enter(
    session: Session,
    rows: Iterable[tuple[int, Pair]],
    campaign_id: str,
    source: str,
    report: Report,
) -> list[tuple[int, Pair]]:
    """Insert what is new of the pairs, their prompts and responses; returns those that are in the store now."""
    entered: list[tuple[int, Pair]] = []
    fresh: dict[str, tuple[int, Pair]] = {}
    rows = list(rows)
    there = _responses_of(session, [pair.id for _, pair in rows])
    for number, pair in rows:
        texts = set(pair.response_ids)
        same = there.get(pair.id) or (set(fresh[pair.id][1].response_ids) if pair.id in fresh else None)
        if same is None:
            fresh[pair.id] = (number, pair)
        elif same != texts:
            why = f"pair_id {pair.external_id!r} is in the store with other texts; give this pair another id"
            report.refused.append(Refusal(number, "pair_id", why))
            continue
        else:
            report.duplicates.append(number)
        entered.append((number, pair))
    new = [pair for _, pair in fresh.values()]
    _insert_prompts_and_responses(session, new)
    now = datetime.now(UTC)
    columns: dict[str, Any] = {
        "id": [p.id for p in new],
        "external_id": pa.array([p.external_id for p in new], pa.string()),
        "prompt_id": [p.prompt.id for p in new],
        "response_a": [p.response_ids[0] for p in new],
        "response_b": [p.response_ids[1] for p in new],
        "source": [source] * len(new),
        "created_at": pa.array([now] * len(new), pa.timestamp("us", "UTC")),
    }
    if new:
        insert(session, "pair", pa.table(columns))
    campaigns.add_pairs(session, campaign_id, list(dict.fromkeys(pair.id for _, pair in entered)))
    report.added = len(new)
    return entered


def _make_gold(session: Session, pairs: Sequence[Pair]) -> None:
    """Make the labels of pairs that are in the store their gold; the last one counts where a pair has several."""
    labelled = {pair.id: pair for pair in pairs}
    preferred = [dict(zip("ab", p.response_ids, strict=True)).get(p.label or "") for p in labelled.values()]
    incoming = pa.table(
        {
            "id": list(labelled),
            "label": [pair.label for pair in labelled.values()],
            "preferred_id": pa.array(preferred, pa.string()),
        }
    )
    with registered(session, incoming) as connection:
        connection.execute(
            """UPDATE pair SET gold = CASE preferred_id WHEN response_a THEN 'a' WHEN response_b THEN 'b' ELSE label END
               FROM incoming WHERE pair.id = incoming.id"""
        )


def _responses_of(session: Session, pair_ids: Sequence[str]) -> dict[str, set[str]]:
    """The responses of those of the pairs that are in the store."""
    with registered(session, pa.table({"id": pa.array(pair_ids, pa.string())})) as connection:
        rows = connection.execute(
            "SELECT id, response_a, response_b FROM pair SEMI JOIN incoming USING (id)"
        ).fetchall()
    return {pair_id: {a, b} for pair_id, a, b in rows}


def _insert_prompts_and_responses(session: Session, pairs: Sequence[Pair]) -> None:
    by_id: dict[str, Prompt] = {}
    responses: dict[str, tuple[str, Response]] = {}
    for pair in pairs:
        by_id.setdefault(pair.prompt.id, pair.prompt)
        for response_id, response in zip(pair.response_ids, (pair.response_a, pair.response_b), strict=True):
            responses.setdefault(response_id, (pair.prompt.id, response))
    for there in known(session, "prompt", list(by_id)):
        del by_id[there]
    prompts.insert_records(session, list(by_id.values()))
    for there in known(session, "response", list(responses)):
        del responses[there]
    if not responses:
        return
    now = datetime.now(UTC)
    bodies = [response for _, response in responses.values()]
    columns: dict[str, Any] = {
        "id": list(responses),
        "prompt_id": [prompt_id for prompt_id, _ in responses.values()],
        "text": [r.text for r in bodies],
        "model": pa.array([r.model for r in bodies], pa.string()),
        "params": [json.dumps(dict(r.params)) if r.params else "{}" for r in bodies],
        "exposes": pa.array(models_named([r.text for r in bodies]), pa.string()),
        "created_at": pa.array([now] * len(bodies), pa.timestamp("us", "UTC")),
    }
    insert(session, "response", pa.table(columns))


@uncollected()
def _judge(
    session: Session, judgements: Sequence[Judgement], campaign_id: str, source: str, report: Report
) -> list[bool]:
    """Insert imported judgements that are new; returns for each whether it was."""
    now = datetime.now(UTC)
    who = {
        name: content_id("u", "imported", source, name)
        for name in dict.fromkeys(j.annotator for j in judgements)
    }
    report.annotators = people.enter_annotators(session, {i: name for name, i in who.items()}, "imported")
    turn: Counter[tuple[str, str, str]] = Counter()
    ids: list[str] = []
    for judgement in judgements:
        key = (judgement.pair.id, judgement.annotator, _preferred(judgement) or judgement.choice)
        ids.append(content_id("a", campaign_id, source, *key, str(turn[key])))
        turn[key] += 1
    there = known(session, "annotation", ids)
    fresh = [identifier not in there for identifier in ids]
    new = [(i, j) for i, j in zip(ids, judgements, strict=True) if i not in there]
    columns: dict[str, Any] = {
        "id": [i for i, _ in new],
        "campaign_id": [campaign_id] * len(new),
        "pair_id": [j.pair.id for _, j in new],
        "annotator_id": [who[j.annotator] for _, j in new],
        "verdict": ["prefer" if j.choice in ("a", "b") else j.choice for _, j in new],
        "preferred_id": pa.array([_preferred(j) for _, j in new], pa.string()),
        "confidence": pa.array([j.confidence for _, j in new], pa.int32()),
        "aspects": ["{}"] * len(new),
        "reason": pa.array([j.reason for _, j in new], pa.string()),
        "seconds": pa.array([j.seconds for _, j in new], pa.float64()),
        "repeat": [False] * len(new),
        "source": ["import"] * len(new),
        "submitted_at": pa.array([j.submitted_at or now for _, j in new], pa.timestamp("us", "UTC")),
    }
    if new:
        report.annotations = insert(session, "annotation", pa.table(columns))
    return fresh


def _preferred(judgement: Judgement) -> str | None:
    if judgement.choice not in ("a", "b"):
        return None
    return judgement.pair.response_ids["ab".index(judgement.choice)]


PAGE = """
    SELECT pair.id, pair.external_id, prompt.text AS prompt, prompt.category, a.text AS response_a,
           b.text AS response_b, a.model AS model_a, b.model AS model_b, pair.source, pair.gold,
           (SELECT count(*) FROM current_annotation v WHERE v.pair_id = pair.id AND v.verdict <> 'skip') AS annotations,
           a.exposes AS exposes_a, b.exposes AS exposes_b, pair.created_at
    FROM pair JOIN prompt ON prompt.id = pair.prompt_id
    JOIN response a ON a.id = pair.response_a JOIN response b ON b.id = pair.response_b
"""


def page(
    store: Store,
    *,
    campaign_id: str | None = None,
    search: str = "",
    category: str | None = None,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], int]:
    """One page of the pairs that match, newest first, and how many match in all.

    ``search`` looks in the prompt's text and for a pair's id or external id.
    """
    where, values = ["TRUE"], list[object]()
    if campaign_id is not None:
        where.append("pair.id IN (SELECT pair_id FROM campaign_pair WHERE campaign_id = ?)")
        values.append(campaign_id)
    if search:
        where.append(
            "(pair.id = ? OR pair.external_id = ? OR pair.prompt_id IN (SELECT id FROM prompt WHERE contains(lower(text), lower(?))))"
        )
        values += [search] * 3
    if category:
        where.append("pair.prompt_id IN (SELECT id FROM prompt WHERE category = ?)")
        values.append(category)
    condition = " AND ".join(where)
    total = store.rows(f"SELECT count(*) FROM pair WHERE {condition}", *values)[0][0]
    ids = [
        i
        for (i,) in store.rows(
            f"SELECT id FROM pair WHERE {condition} ORDER BY created_at DESC, id LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
    ]
    if not ids:
        return [], total
    table = store.table(
        f"{PAGE} WHERE pair.id IN ({placeholders(ids)}) ORDER BY pair.created_at DESC, pair.id", *ids
    )
    return table.to_pylist(), total


def set_gold(store: Store, desks: Desks, pair_id: str, gold: Choice | None, actor: str) -> None:
    """Set the right choice of a pair, or (None) take it away; the audit keeps what it was."""
    held_by = store.rows(
        "SELECT campaign_id FROM campaign_pair WHERE pair_id = ? ORDER BY campaign_id", pair_id
    )
    with ExitStack() as stack:
        for (campaign_id,) in held_by:
            stack.enter_context(desks[campaign_id].closed())
        session = stack.enter_context(store.writing())
        pair = session.get_one(PairRow, pair_id)
        audit(session, actor, "set gold", "pair", pair_id, before=pair.gold, after=gold)
        pair.gold = gold


def golds(store: Store) -> dict[str, str]:
    """The right choice of each pair where it is known, by pair id."""
    return dict(store.rows("SELECT id, gold FROM pair WHERE gold IS NOT NULL"))


def length_differences(store: Store, pair_ids: Sequence[str]) -> FloatArray:
    """By how many characters answer a of each pair is longer than b; shape (n,)."""
    found = store.table(
        """SELECT pair.id, (length(a.text) - length(b.text))::DOUBLE AS longer FROM pair JOIN response a ON a.id = response_a
           JOIN response b ON b.id = response_b WHERE pair.id IN (SELECT unnest(?))""",
        list(pair_ids),
    )
    place = pc.index_in(pa.array(pair_ids, pa.string()), found["id"].combine_chunks())
    return np.asarray(found["longer"].take(place).to_numpy(), dtype=np.float64)
