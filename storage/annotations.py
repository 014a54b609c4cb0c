"""Annotations as they are read: a person's own, the history of a pair, the table the statistics start from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from core.judging import Verdict
from core.ratings import IntArray, Ratings
from core.records import CHOICES
from storage.store import Store, placeholders
from storage.tables import AnnotationRow, PairRow

STRENGTH_SCALE = ("-3", "-2", "-1", "0", "1", "2", "3")
"""From b far better, over a tie, to a far better."""
_LISTED = """
    SELECT v.id, v.campaign_id, v.pair_id, v.annotator_id, annotator.name AS annotator, v.choice, v.preferred_id,
           CASE WHEN v.left_id IS NULL THEN NULL WHEN v.left_id = pair.response_a THEN 'a' ELSE 'b' END AS "left",
           v.strength, v.confidence, v.aspects, v.reason, v.seconds, v.repeat, v.source, v.supersedes, v.submitted_at,
           prompt.text AS prompt, prompt.category
    FROM {} v JOIN pair ON pair.id = v.pair_id JOIN prompt ON prompt.id = pair.prompt_id
    LEFT JOIN annotator ON annotator.id = v.annotator_id
"""


def page(
    store: Store,
    *,
    campaign_id: str | None = None,
    annotator_id: str | None = None,
    pair_id: str | None = None,
    annotation_id: str | None = None,
    search: str = "",
    resolutions: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], int]:
    """One page of the annotations (or ``resolutions``) that stand, newest first, and how many there are in all.

    ``search`` keeps those with that text in the prompt or in the reason.
    """
    view = "current_resolution" if resolutions else "current_annotation"
    wanted = {
        "campaign_id": campaign_id,
        "annotator_id": annotator_id,
        "pair_id": pair_id,
        "id": annotation_id,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    condition = " AND ".join(["TRUE", *(f"v.{name} = ?" for name in given)])
    values = list(given.values())
    if search:
        condition += """ AND (contains(lower(v.reason), lower(?)) OR v.pair_id IN (
            SELECT pair.id FROM pair JOIN prompt ON prompt.id = prompt_id WHERE contains(lower(prompt.text), lower(?))))"""
        values += [search, search]
    total = store.rows(f"SELECT count(*) FROM {view} v WHERE {condition}", *values)[0][0]
    shown = store.rows(
        f"SELECT id FROM {view} v WHERE {condition} ORDER BY submitted_at DESC, id LIMIT ? OFFSET ?",
        *values, limit, offset,
    )  # fmt: skip
    ids = [annotation_id for (annotation_id,) in shown]
    if not ids:
        return [], total
    query = f"{_LISTED.format(view)} WHERE v.id IN ({placeholders(ids)}) ORDER BY v.submitted_at DESC, v.id"
    return store.table(query, *ids).to_pylist(), total


def get(store: Store, annotation_id: str) -> AnnotationRow | None:
    """The annotation as it was entered, whatever became of it since."""
    with store.reading() as session:
        return session.get(AnnotationRow, annotation_id)


def last(
    store: Store, campaign_id: str, annotator_id: str, *, resolutions: bool = False
) -> dict[str, Any] | None:
    """The annotator's latest annotation (or resolution) that stands, skips included."""
    rows, _ = page(
        store, campaign_id=campaign_id, annotator_id=annotator_id, resolutions=resolutions, limit=1
    )
    return rows[0] if rows else None


def row_of(
    pair: PairRow,
    campaign_id: str,
    annotator_id: str,
    verdict: Verdict,
    now: datetime,
    *,
    row_id: str,
    source: str,
    a_left: bool | None,
) -> AnnotationRow:
    """The row that says what a verdict says, by response; ``a_left`` is None where the sides are not known."""
    preferred = {"a": pair.response_a, "b": pair.response_b}.get(verdict.choice)
    return AnnotationRow(
        id=row_id,
        campaign_id=campaign_id,
        pair_id=pair.id,
        annotator_id=annotator_id,
        verdict="prefer" if preferred else verdict.choice,
        preferred_id=preferred,
        left_id=None if a_left is None else pair.response_a if a_left else pair.response_b,
        strength=verdict.strength,
        confidence=verdict.confidence,
        aspects=dict(verdict.aspects),
        reason=verdict.reason or None,
        seconds=verdict.seconds,
        source=source,
        submitted_at=now,
    )


def retraction_of(row: AnnotationRow, retraction_id: str, now: datetime) -> AnnotationRow:
    """The row that undoes another."""
    return AnnotationRow(
        id=retraction_id,
        campaign_id=row.campaign_id,
        pair_id=row.pair_id,
        annotator_id=row.annotator_id,
        verdict="retracted",
        repeat=row.repeat,
        source=row.source,
        supersedes=row.id,
        submitted_at=now,
    )


def history(store: Store, pair_id: str, annotator_id: str | None = None) -> list[dict[str, Any]]:
    """Every annotation and resolution a pair ever had, oldest first, with what became of it (stands, changed, undone).

    ``source`` tells a resolution (adjudication) from a vote. With ``annotator_id`` only that annotator's.
    """
    table = store.table(
        """SELECT v.id, annotator.name AS annotator, v.verdict, v.submitted_at, v.reason, v.source, later.verdict AS later,
                  CASE WHEN v.preferred_id = pair.response_a THEN 'a' WHEN v.preferred_id = pair.response_b THEN 'b' END
                    AS preferred,
                  CASE WHEN later.id IS NULL THEN 'stands' WHEN later.verdict = 'retracted' THEN 'undone'
                       ELSE 'changed' END AS state
           FROM annotation v JOIN pair ON pair.id = v.pair_id LEFT JOIN annotation later ON later.supersedes = v.id
           LEFT JOIN annotator ON annotator.id = v.annotator_id
           WHERE v.pair_id = ? AND v.annotator_id = coalesce(?, v.annotator_id) AND v.verdict <> 'retracted'
           ORDER BY v.submitted_at""",
        pair_id, annotator_id,
    )  # fmt: skip
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def today(store: Store, campaign_id: str, annotator_id: str, since: Any) -> tuple[int, float | None]:
    """How many an annotator judged since a time, and the median active seconds of those."""
    n, seconds = store.rows(
        """SELECT count(*), median(seconds) FROM current_annotation
           WHERE campaign_id = ? AND annotator_id = ? AND submitted_at >= ? AND verdict <> 'skip'""",
        campaign_id, annotator_id, since,
    )[0]  # fmt: skip
    return n, seconds


def ratings(
    store: Store,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    ties: str = "keep",
    kinds: Sequence[str] = (),
) -> tuple[Ratings, Ratings]:
    """The judgements that stand, narrowed to a campaign, a category and kinds of annotator; skips are left out.

    Returns the choices (a and b, and tie and both_bad where anybody chose them; ``ties`` "drop" leaves them out), and
    the strengths of those that have one (a tie is 0; where nobody gave any, ties do not count). Rows stand in the
    order of pair, annotator and submission.
    """
    where, values = ["choice <> 'skip'"], list[object]()
    if campaign_id is not None:
        where.append("campaign_id = ?")
        values.append(campaign_id)
    if kinds:
        where.append(f"annotator_id IN (SELECT id FROM annotator WHERE kind IN ({placeholders(kinds)}))")
        values += kinds
    if ties == "drop":
        where.append("choice IN ('a', 'b')")
    with store.snapshot() as duck:
        table = duck.sql(
            f"""SELECT pair_row::INTEGER AS unit, annotator.rowid::INTEGER AS rater,
                       list_position({list(CHOICES)}, choice)::TINYINT - 1::TINYINT AS choice,
                       coalesce(confidence::FLOAT, 'nan') AS confidence, coalesce(strength::FLOAT, 'nan') AS strength
                FROM current_annotation v JOIN annotator ON annotator.id = v.annotator_id
                WHERE {" AND ".join(where)}
                ORDER BY unit, rater, submitted_at""",
            params=values,
        ).fetchnumpy()
        if category is not None:
            inside = duck.sql(
                "SELECT pair.rowid::INTEGER AS unit FROM pair JOIN prompt ON prompt.id = prompt_id WHERE category = ?",
                params=[category],
            ).fetchnumpy()
            kept = np.isin(table["unit"], inside["unit"])
            table = {name: column[kept] for name, column in table.items()}
        pairs = duck.sql("SELECT rowid::INTEGER AS row, id AS name FROM pair ORDER BY row").fetchnumpy()
        annotators = duck.sql("SELECT rowid::INTEGER AS row, name FROM annotator ORDER BY row").fetchnumpy()
    unit, rater, choice, confidence, given = table.values()
    names = tuple(name for code, name in enumerate(CHOICES) if name in ("a", "b") or (choice == code).any())
    code = np.cumsum([name in names for name in CHOICES])[choice] - 1
    signed = np.where(choice == 2, 0, np.array([1, -1, 0, np.nan], np.float32)[choice] * given)
    keep = np.isfinite(signed) & np.isfinite(given).any()

    units, unit_codes = _named(unit, pairs)
    raters, rater_codes = _named(rater, annotators)
    judged = Ratings(unit_codes, rater_codes, code, confidence.astype(np.float64), units, raters, names)
    strengths = replace(
        judged,
        unit=unit_codes[keep],
        rater=rater_codes[keep],
        category=(signed[keep] + 3).astype(np.int64),
        confidence=judged.confidence[keep],
        categories=STRENGTH_SCALE,
    )
    return judged, strengths


def kinds(store: Store, campaign_id: str | None = None) -> dict[str, int]:
    """How many judgements stand from each kind of annotator (person, imported, simulated); skips are left out."""
    return dict(
        store.rows(
            """SELECT kind, count(*) FROM current_annotation v JOIN annotator ON annotator.id = annotator_id
               WHERE choice <> 'skip' AND (campaign_id = $1 OR $1 IS NULL) GROUP BY kind ORDER BY kind""",
            campaign_id,
        )
    )


def categories(store: Store, campaign_id: str | None = None) -> list[str]:
    """The categories with judgements, those of most judgements first."""
    return [
        name
        for (name,) in store.rows(
            """SELECT category FROM current_annotation v JOIN prompt ON prompt.id = v.prompt_id
               WHERE choice <> 'skip' AND (campaign_id = $1 OR $1 IS NULL) GROUP BY category
               ORDER BY count(*) DESC, category""",
            campaign_id,
        )
    ]


def _named(rows: IntArray, names: Mapping[str, npt.NDArray[Any]]) -> tuple[list[str], IntArray]:
    """The names of the row numbers that occur, and for each of ``rows`` its place among them."""
    occurs = np.bincount(rows) > 0
    places = np.searchsorted(names["row"], np.flatnonzero(occurs))
    return names["name"][places].tolist(), (np.cumsum(occurs) - 1)[rows]
