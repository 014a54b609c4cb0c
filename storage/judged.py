"""Judgements in long form, with what they are about: what the model ranking and the timeline start from."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from core.ratings import FloatArray, IntArray
from core.surface import STYLE, style
from storage.store import Store, placeholders

NAMED = ("choice", "left", "category", "model_a", "model_b")
_BATCH = 20_000


def listed(
    store: Store,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    kinds: Sequence[str] = (),
    settings: bool = False,
) -> pa.Table:
    """The judgements that stand, narrowed to a campaign, a category and kinds of annotator, oldest first; skips are left out.

    Columns: ``id`` (of the annotation), ``pair`` and ``prompt`` (their rows in the store), ``choice``, ``left`` (a, b, or null
    where it is not known), ``submitted_at``, ``first`` (false for a planned repeat), ``annotator``, ``category``, ``model_a``, ``model_b`` (null where
    not known), ``length_a``, ``length_b`` (characters). Names are dictionaries; two annotators of one name have two places in theirs.
    ``settings``: a model at another temperature is another model.
    """
    where, values = ["v.choice <> 'skip'"], list[object]()
    if campaign_id is not None:
        where.append("v.campaign_id = ?")
        values.append(campaign_id)
    if category is not None:
        where.append("category = ?")
        values.append(category)
    if kinds:
        where.append(f"annotator.kind IN ({placeholders(kinds)})")
        values += kinds
    model = "nullif(trim(model), '')"
    if settings:
        model += " || coalesce(' · temperature ' || (params->>'temperature'), '')"
    with store.snapshot() as duck:
        people = duck.sql("SELECT rowid AS row, name FROM annotator ORDER BY row").to_arrow_table()
        table = duck.sql(
            f"""WITH answer AS (SELECT id, {model} AS model, length(text)::INTEGER AS length FROM response),
                about AS (SELECT pair.rowid AS pair, prompt.rowid AS prompt, category, a.model AS model_a, b.model AS model_b,
                                 a.length AS length_a, b.length AS length_b, response_a, response_b
                          FROM pair JOIN prompt ON prompt.id = pair.prompt_id
                          JOIN answer a ON a.id = response_a JOIN answer b ON b.id = response_b)
                SELECT v.id, v.submitted_at, v.choice, annotator.rowid AS annotator, about.* EXCLUDE (response_a, response_b),
                       CASE v.left_id WHEN response_a THEN 'a' WHEN response_b THEN 'b' END AS "left"
                FROM current_annotation v JOIN annotator ON annotator.id = v.annotator_id JOIN about ON pair = v.pair_row
                WHERE {" AND ".join(where)} ORDER BY v.submitted_at, v.id""",
            params=values,
        ).to_arrow_table()
    place = np.searchsorted(people["row"].to_numpy(), table["annotator"].to_numpy())
    _, met = np.unique(table["pair"].to_numpy() * len(people) + place, return_index=True)
    first = np.zeros(len(table), dtype=bool)
    first[met] = True
    who = pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), people["name"].combine_chunks())
    named = {name: table[name].combine_chunks().dictionary_encode() for name in NAMED}
    columns = {name: table[name] for name in table.column_names}
    return pa.table(columns | named | {"annotator": who, "first": first})


def style_differences(store: Store, pairs: IntArray) -> FloatArray:
    """For pairs by their row, shape (n,), how answer a differs from b in each feature of STYLE: shape (n, len(STYLE))."""
    wanted, place = np.unique(pairs, return_inverse=True)
    found = np.zeros((len(wanted), len(STYLE)))
    with store.snapshot() as duck:
        texts = duck.execute(
            """SELECT pair.rowid, a.text, b.text FROM pair JOIN response a ON a.id = response_a
               JOIN response b ON b.id = response_b WHERE pair.rowid IN (SELECT unnest(?))""",
            [wanted.tolist()],
        )
        while batch := texts.fetchmany(_BATCH):
            rows = np.searchsorted(wanted, [row for row, _, _ in batch])
            found[rows] = [np.subtract(style(a), style(b)) for _, a, b in batch]
    return found[place]
