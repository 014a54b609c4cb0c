"""The judgements that stand with their sides, times and the marks of the texts: what bias and annotators are told from."""

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from core.judgements import Judgements
from core.records import CHOICES
from core.surface import COUNTED, MARKS
from storage.store import Store, placeholders

_MARKS = ", ".join(["length(text)", *(f"len(regexp_extract_all(text, '{mark}'))" for mark in MARKS.values())])
"""What ``core.surface.COUNTED`` names, in its order."""
_PAIRS = f"""
    , judged AS (SELECT pair.rowid AS row, pair.* FROM pair WHERE id IN (SELECT pair_id FROM these)),
      marked AS MATERIALIZED (SELECT id, [{_MARKS}] AS marks FROM response
                              WHERE id IN (SELECT response_a FROM judged UNION SELECT response_b FROM judged))
    SELECT row, judged.id, prompt.rowid AS prompt, coalesce(list_position({list(CHOICES)}, gold), 0) - 1 AS gold,
           a.marks || b.marks AS marks
    FROM judged JOIN prompt ON prompt.id = prompt_id JOIN marked a ON a.id = response_a JOIN marked b ON b.id = response_b
    ORDER BY row
"""
_JUDGEMENTS = f"""
    SELECT pair_row AS pair, annotator.rowid AS annotator, list_position({list(CHOICES)}, choice) - 1 AS choice,
           CASE left_id WHEN response_a THEN 1 WHEN response_b THEN -1 ELSE 0 END AS side, seconds::DOUBLE AS seconds,
           epoch_us(submitted_at) AS at
    FROM these v JOIN annotator ON annotator.id = annotator_id JOIN pair ON pair.id = pair_id
    ORDER BY submitted_at, v.id
"""


def judgements(
    store: Store,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    kinds: Sequence[str] = (),
) -> Judgements:
    """The judgements that stand, narrowed to a campaign, a category and kinds of annotator; skips are left out.

    ``annotators`` are those who gave them.
    """
    where, values = ["choice <> 'skip'"], list[object]()
    if campaign_id is not None:
        where.append("campaign_id = ?")
        values.append(campaign_id)
    if category is not None:
        where.append("prompt_id IN (SELECT id FROM prompt WHERE category = ?)")
        values.append(category)
    if kinds:
        where.append(f"annotator_id IN (SELECT id FROM annotator WHERE kind IN ({placeholders(kinds)}))")
        values += kinds
    these = f"WITH these AS (SELECT * FROM current_annotation WHERE {' AND '.join(where)})"
    with store.snapshot() as duck:
        table = duck.sql(these + _JUDGEMENTS, params=values).to_arrow_table()
        pairs = duck.sql(these + _PAIRS, params=values).to_arrow_table()
        people = duck.sql(
            "SELECT rowid AS row, id, name, kind FROM annotator ORDER BY rowid"
        ).to_arrow_table()
    who, annotator = np.unique(table["annotator"].to_numpy(), return_inverse=True)
    people = people.filter(pc.is_in(people["row"], pc.cast(who.tolist(), people["row"].type)))
    _, prompt = np.unique(pairs["prompt"].to_numpy(), return_inverse=True)
    return Judgements(
        np.searchsorted(pairs["row"].to_numpy(), table["pair"].to_numpy()),
        annotator,
        table["choice"].to_numpy().astype(np.int64),
        table["side"].to_numpy().astype(np.int64),
        table["seconds"].to_numpy(zero_copy_only=False),
        table["at"].to_numpy().astype("datetime64[us]"),
        pairs["id"].to_pylist(),
        prompt,
        pairs["gold"].to_numpy().astype(np.int64),
        np.array(pairs["marks"].combine_chunks().flatten(), dtype=np.float64).reshape(-1, 2, len(COUNTED)),
        people["id"].to_pylist(),
        people["name"].to_pylist(),
        people["kind"].to_pylist(),
    )
