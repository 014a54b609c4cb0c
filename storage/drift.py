"""Drift runs in the store: the two windows that one looks at, frozen into a table, and what came out of it.

A run is here once it ended well; one that failed leaves the last good one standing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import col, or_, select

from core.labels import Policy
from core.populations import Item, Window, to_table
from core.preferences import prompt_text
from core.records import CHOICES, Message
from storage import learning
from storage.store import Store, audit, insert
from storage.tables import DriftRow, drift_cluster, drift_point

Of = Literal["prompts", "answers", "pairs", "errors"]
By = Literal["judged", "added"]
POPULATIONS: tuple[Of, ...] = ("pairs", "answers", "prompts", "errors")
ENOUGH_PROMPTS = 50
"""Prompts that each window must have for what shares a prompt to be taken as alike; with fewer, only equal texts are."""

_HERE = """seen AS (
    SELECT v.pair_id, v.submitted_at AS seen_at, CASE WHEN NOT v.repeat THEN v.choice END AS choice
    FROM current_annotation v JOIN annotator ON annotator.id = v.annotator_id
    WHERE $1 = 'judged' AND v.choice <> 'skip' AND ($2 IS NULL OR v.campaign_id = $2) AND ($3 OR annotator.kind <> 'simulated')
    UNION ALL
    SELECT id, created_at AS seen_at, NULL FROM pair
    WHERE $1 = 'added' AND ($2 IS NULL OR id IN (SELECT pair_id FROM campaign_pair WHERE campaign_id = $2))
), here AS (
    SELECT seen.*, CAST(seen_at AT TIME ZONE 'UTC' AS DATE) AS day, pair.prompt_id, response_a, response_b
    FROM seen JOIN pair ON pair.id = seen.pair_id JOIN prompt ON prompt.id = pair.prompt_id
    WHERE $4 IS NULL OR prompt.category = $4
)"""

_PAIRS = f"""WITH {_HERE}, counted AS (
    SELECT pair_id, day >= $7 AS after, min(seen_at) AS seen_at, prompt_id, response_a, response_b, count(choice) AS n,
           {", ".join(f"count(*) FILTER (choice = '{name}') AS {name}" for name in CHOICES)}
    FROM here WHERE day BETWEEN $5 AND $6 OR day BETWEEN $7 AND $8 GROUP BY ALL
), predicted AS (
    SELECT pair_id, model_id, arg_max(probability, created_at) AS p FROM prediction
    WHERE model_id IN ($9, $10) AND (split IN ('test', 'probe') OR split = 'calibration' AND model_id NOT IN (
          SELECT model_id FROM prediction WHERE split IN ('train', 'test')))
    GROUP BY ALL
)
SELECT c.pair_id, after, seen_at, c.prompt_id, response_a, response_b, mine.p AS probability, theirs.p AS other,
       CASE WHEN n = 0 THEN NULL
            {" ".join(f"WHEN {one} > greatest({', '.join(x for x in CHOICES if x != one)}) THEN '{one}'" for one in CHOICES)}
            ELSE 'split' END AS label
FROM counted c LEFT JOIN predicted mine ON mine.pair_id = c.pair_id AND mine.model_id = $9
     LEFT JOIN predicted theirs ON theirs.pair_id = c.pair_id AND theirs.model_id = $10
ORDER BY after, seen_at, c.pair_id"""
"""A row for each pair and window. A model's word counts where it had not seen the pair; of one calibrated anew that is out of fold."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run looks at. ``by``: a pair is in the windows in which somebody judged it, or in the one in which it was added.

    ``simulated``: judgements of simulated annotators count. ``model_id``: the predictor whose errors, confidence and flips are told, and
    ``other_id`` the one that the flips are against.
    """

    population: Of = "pairs"
    campaign_id: str | None = None
    category: str | None = None
    by: By = "judged"
    simulated: bool = False
    model_id: str | None = None
    other_id: str | None = None


@dataclass(frozen=True, slots=True)
class Frozen:
    """A table of ``core.populations.SCHEMA``, and what is ``grouped`` in it as alike: what shares a prompt, or equal texts alone."""

    table: pa.Table
    grouped: Literal["prompt", "text"]


def days(store: Store, scope: Scope) -> list[tuple[date, int]]:
    """The days (UTC) on which there is something, in order, with the number of pairs."""
    return store.rows(
        f"WITH {_HERE} SELECT day, count(DISTINCT pair_id) FROM here GROUP BY day ORDER BY day",
        *_asked(scope),
    )


def freeze(store: Store, scope: Scope, windows: tuple[Window, Window], policy: Policy) -> Frozen:
    """The population in the two windows; what is in both stands there twice. ``policy``: how votes become a pair's target.

    Raises ValueError where a window ends before it begins, they overlap, or the errors of no model are asked for.
    """
    first, second = windows
    for window in windows:
        if window.first > window.last:
            raise ValueError(f"The window {window} ends before it begins.")
    if first.last >= second.first:
        raise ValueError(f"The windows overlap: the second must begin after {first.last}.")
    if scope.population == "errors" and scope.model_id is None:
        raise ValueError("Errors are those of a model: choose one, or another population.")
    ends = first.first, first.last, second.first, second.last
    found = store.table(_PAIRS, *_asked(scope), *ends, scope.model_id, scope.other_id)
    said = learning.labels(store, policy)
    target = said["target"].take(pc.index_in(found["pair_id"], said["pair_id"]))
    found = found.append_column("target", target)
    if scope.population == "errors":
        off = pc.multiply(pc.subtract(found["probability"], 0.5), pc.subtract(target, 0.5))
        found = found.filter(pc.fill_null(pc.less(off, 0), False))
    rows = found.to_pylist()
    by_prompt = all(
        len({row["prompt_id"] for row in rows if row["after"] == after}) >= ENOUGH_PROMPTS
        for after in (False, True)
    )
    items = _items(store, scope.population, rows, by_prompt)
    return Frozen(to_table(items), "prompt" if by_prompt else "text")


def register(store: Store, row: DriftRow, points: pa.Table, clusters: pa.Table) -> None:
    """Store a run with its map, all or nothing, once for each id: its time is set here.

    ``points`` and ``clusters`` have the columns of ``drift_point`` and ``drift_cluster``, but for ``drift_id``; others are left out.
    """
    with store.writing() as session:
        if session.get(DriftRow, row.id):
            return
        row.created_at = datetime.now(UTC)
        session.add(row)
        session.flush()
        for table, incoming in ((drift_point, points), (drift_cluster, clusters)):
            names = [column.name for column in table.columns if column.name != "drift_id"]
            insert(
                session,
                table.name,
                incoming.select(names).append_column(
                    "drift_id", pa.array([row.id] * len(incoming), pa.string())
                ),
            )
        audit(
            session,
            row.actor,
            "register",
            "drift",
            row.id,
            population=row.population,
            alerts=len(row.figures["alerts"]),
        )


def get(store: Store, drift_id: str) -> DriftRow | None:
    with store.reading() as session:
        return session.get(DriftRow, drift_id)


def listed(store: Store, campaign_id: str | None = None, limit: int | None = None) -> Sequence[DriftRow]:
    """The runs that a campaign is in, alone or with all others (None: all runs), the latest first."""
    query = select(DriftRow).order_by(col(DriftRow.created_at).desc(), col(DriftRow.id)).limit(limit)
    if campaign_id is not None:
        query = query.where(or_(col(DriftRow.campaign_id).is_(None), DriftRow.campaign_id == campaign_id))
    with store.reading() as session:
        return session.exec(query).all()


def titled(run: DriftRow) -> str:
    """What a run is of: its population and its windows."""
    first, second = (window["name"] for window in run.figures["windows"])
    return f"{run.population}, {first} against {second}"


def latest(store: Store, scope: Scope, view: str) -> DriftRow | None:
    """The latest run of a population of a campaign in a view: the one whose clusters a new run of them carries on."""
    query = select(DriftRow).where(
        col(DriftRow.campaign_id).is_not_distinct_from(scope.campaign_id),
        DriftRow.population == scope.population,
        DriftRow.view == view,
    )
    with store.reading() as session:
        return session.exec(query.order_by(col(DriftRow.created_at).desc(), col(DriftRow.id))).first()


def points(store: Store, drift_id: str) -> pa.Table:
    """The texts on the map of a run: ``id``, ``after``, ``seen_at``, ``x``, ``y``, ``cluster``, ``error``, ``gap``, ``flip``, ``pair_id``."""
    return store.table(
        "SELECT * EXCLUDE drift_id FROM drift_point WHERE drift_id = ? ORDER BY id, after", drift_id
    )


def clusters(store: Store, drift_id: str) -> pa.Table:
    """The clusters of a run: ``cluster``, ``name``, ``n``, ``x``, ``y``, ``centroid``."""
    return store.table(
        "SELECT * EXCLUDE drift_id FROM drift_cluster WHERE drift_id = ? ORDER BY cluster", drift_id
    )


def _asked(scope: Scope) -> tuple[object, ...]:
    return scope.by, scope.campaign_id, scope.simulated, scope.category


def _items(store: Store, population: Of, rows: list[dict[str, Any]], by_prompt: bool) -> list[Item]:
    prompts = _prompts(store, {row["prompt_id"] for row in rows})
    answers = _answers(store, {row[side] for row in rows for side in ("response_a", "response_b")})
    found: dict[tuple[str, bool], Item] = {}
    for row in rows:
        pair_id, after, at, prompt_id = row["pair_id"], row["after"], row["seen_at"], row["prompt_id"]
        group = prompt_id if by_prompt else None
        if population == "prompts":
            found.setdefault(
                (prompt_id, after), Item(prompt_id, (prompts[prompt_id],), after, at, pair_id=pair_id)
            )
        elif population == "answers":
            for key in (row["response_a"], row["response_b"]):
                found.setdefault((key, after), Item(key, (answers[key],), after, at, group, pair_id=pair_id))
        else:
            texts = prompts[prompt_id], answers[row["response_a"]], answers[row["response_b"]]
            known = {name: row[name] for name in ("probability", "target", "other", "label")}
            found[pair_id, after] = Item(pair_id, texts, after, at, group, pair_id=pair_id, **known)
    return list(found.values())


def _prompts(store: Store, ids: set[str]) -> dict[str, str]:
    rows = store.rows("SELECT id, text, messages FROM prompt WHERE id IN (SELECT unnest(?))", list(ids))
    return {
        key: prompt_text([Message(**turn) for turn in json.loads(turns)]) if turns else text
        for key, text, turns in rows
    }


def _answers(store: Store, ids: set[str]) -> dict[str, str]:
    return dict(store.rows("SELECT id, text FROM response WHERE id IN (SELECT unnest(?))", list(ids)))
