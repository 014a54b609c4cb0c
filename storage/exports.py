"""What leaves the store: pairs with their consensus, and annotations as CSV."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from core.agreement import unit_counts
from core.consensus import dawid_skene, majority
from core.exporting import Candidate
from core.records import CHOICES, Message, Prompt, Response
from storage.adjudication import resolutions
from storage.annotations import ratings
from storage.store import Store

Method = Literal["majority", "dawid_skene"]
_BATCH = 20_000
_SIMULATED = """
    SELECT pair_id, count(*) FROM current_annotation v JOIN annotator ON annotator.id = annotator_id
    WHERE kind = 'simulated' AND choice <> 'skip' AND (campaign_id = $1 OR $1 IS NULL) GROUP BY pair_id
"""


def candidates(
    store: Store,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    method: Method = "majority",
    simulated: bool = False,
) -> Iterator[Candidate]:
    """Every pair of a campaign (None: of the store) and category with its votes and its label: that of the consensus, or
    the resolution, taken for certain, where the pair was adjudicated. ``simulated``: whether simulated annotators count."""
    resolved = resolutions(store, campaign_id)
    kinds = () if simulated else ("person", "imported")
    judged, _ = ratings(store, campaign_id=campaign_id, category=category, kinds=kinds)
    pretended = dict(store.rows(_SIMULATED, campaign_id)) if simulated else {}
    consensus = majority(judged) if method == "majority" else dawid_skene(judged)
    choices = [choice for choice in CHOICES if choice in consensus.categories]
    place = {unit: i for i, unit in enumerate(consensus.units)}
    counts = unit_counts(judged).astype(int).tolist()
    where, values = ["TRUE"], list[object]()
    if campaign_id is not None:
        where.append("pair.id IN (SELECT pair_id FROM campaign_pair WHERE campaign_id = ?)")
        values.append(campaign_id)
    if category is not None:
        where.append("category = ?")
        values.append(category)
    wanted = f"SELECT pair.id FROM pair JOIN prompt ON prompt.id = prompt_id WHERE {' AND '.join(where)} ORDER BY pair.id"
    for rows in _in_batches(
        store,
        wanted,
        values,
        """SELECT pair.id, prompt.text, prompt.messages, prompt.category, a.text, a.model, b.text, b.model
               FROM pair JOIN prompt ON prompt.id = pair.prompt_id JOIN response a ON a.id = response_a
               JOIN response b ON b.id = response_b WHERE pair.id IN (SELECT unnest(?))""",
    ):
        for pair_id, text, turns, kind, text_a, model_a, text_b, model_b in rows:
            turn_list = json.loads(turns) if turns else [{"role": "user", "content": text}]
            prompt = Prompt(tuple(Message(**turn) for turn in turn_list), kind)
            i = place.get(pair_id)
            votes = (
                {} if i is None else {choice: n for choice, n in zip(choices, counts[i], strict=True) if n}
            )
            code = -1 if i is None else int(consensus.label[i])
            label = resolved.get(pair_id) or (None if code < 0 else choices[code])
            confidence = None if i is None or code < 0 else float(consensus.posterior[i, code])
            confidence = 1.0 if pair_id in resolved else confidence
            a, b = Response(text_a, model_a), Response(text_b, model_b)
            yield Candidate(pair_id, prompt, a, b, votes, label, confidence, pretended.get(pair_id, 0))


def _in_batches(
    store: Store, ids: str, values: Sequence[object], query: str
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of ``query`` for the ids that ``ids`` gives, some at a time, all from one state of the store.

    Texts are joined to a part of the rows at once, so that no join or sort has to hold all of them.
    """
    with store.snapshot() as duck:
        wanted = [row[0] for row in duck.execute(ids, list(values)).fetchall()]
        for low in range(0, len(wanted), _BATCH):
            yield duck.execute(query, [wanted[low : low + _BATCH]]).fetchall()


_COLUMNS = (
    "annotation_id", "campaign", "pair_id", "external_id", "annotator", "annotator_kind", "choice", "preferred_id",
    "left", "strength", "confidence", "aspects", "reason", "seconds", "repeat", "source", "submitted_at", "prompt",
    "response_a", "response_b", "model_a", "model_b", "category", "resolution",
)  # fmt: skip


def annotations_csv(store: Store, *, campaign_id: str | None = None) -> Iterator[bytes]:
    """The annotations that stand, oldest first, as CSV in pieces; the file comes back in by the ``annotated`` importer.

    ``resolution`` is what adjudication made of the pair, if it did; resolutions are no rows of their own.
    """
    condition, values = ("TRUE", []) if campaign_id is None else ("v.campaign_id = ?", [campaign_id])
    yield _csv([_COLUMNS])
    wanted = f"SELECT v.id FROM current_annotation v WHERE {condition} ORDER BY v.submitted_at, v.id"
    for rows in _in_batches(
        store,
        wanted,
        values,
        """SELECT v.id, campaign.name, v.pair_id, pair.external_id, annotator.name, annotator.kind, v.choice,
                          v.preferred_id,
                          CASE WHEN v.left_id = response_a THEN 'a' WHEN v.left_id = response_b THEN 'b' END,
                          v.strength, v.confidence, v.aspects, v.reason, v.seconds, v.repeat, v.source,
                          strftime(v.submitted_at::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ'), prompt.text, a.text, b.text,
                          a.model, b.model, prompt.category,
                          (SELECT arg_max(choice, r.submitted_at) FROM current_resolution r
                           WHERE r.pair_id = v.pair_id AND r.campaign_id = v.campaign_id AND choice <> 'skip')
                   FROM current_annotation v JOIN pair ON pair.id = v.pair_id JOIN prompt ON prompt.id = pair.prompt_id
                   JOIN response a ON a.id = pair.response_a JOIN response b ON b.id = pair.response_b
                   JOIN campaign ON campaign.id = v.campaign_id LEFT JOIN annotator ON annotator.id = v.annotator_id
                   WHERE v.id IN (SELECT unnest(?)) ORDER BY v.submitted_at, v.id""",
    ):
        yield _csv(rows)


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
