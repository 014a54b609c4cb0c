"""The judgements that stand: with the marks of their texts, for bias and annotators; in long form, for the timeline and the ranking."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.judgements import Judgements
from core.ratings import FloatArray, IntArray
from core.records import CHOICES
from core.surface import COUNTED, MARKS, STYLE, style
from storage.store import Store, placeholders

NAMED = ("choice", "left", "category", "model_a", "model_b")
_BATCH = 20_000
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
    where, values = _narrowed(campaign_id, category, kinds)
    these = f"WITH these AS (SELECT * FROM current_annotation WHERE {where})"
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
    where, values = _narrowed(campaign_id, category, kinds)
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
                WHERE {where} ORDER BY v.submitted_at, v.id""",
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


def _narrowed(
    campaign_id: str | None, category: str | None, kinds: Sequence[str]
) -> tuple[str, list[object]]:
    """The condition for rows of ``current_annotation``, and its parameters."""
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
    return " AND ".join(where), values
