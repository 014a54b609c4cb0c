"""What a reward model learns from: the pairs with their labels, frozen into one table, and what became of the others."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.labels import LOST, Policy, label
from core.preferences import prompt_text
from core.ratings import IntArray, Ratings
from core.records import CHOICES, Message
from core.retraining import Emphasis, emphasis
from storage.store import Store

COLUMNS = (
    "pair_id", "prompt", "response_a", "response_b", "target", "weight", "group", "category", "annotations",
)  # fmt: skip
_METADATA = b"attune"
_BATCH = 20_000
_WHITE = r"e' \t\r\n'"
_FAMILY = """family AS (SELECT id, parent_id FROM model WHERE id = $3
                      UNION SELECT model.id, model.parent_id FROM model JOIN family ON model.id = family.parent_id)"""


@dataclass(frozen=True, slots=True)
class Report:
    """Of how many ``pairs`` how many are ``usable``, from how many ``prompts``; the others are ``lost``, by reason
    (keys of ``core.labels.LOST``). Usable and lost add up to pairs."""

    pairs: int
    usable: int
    prompts: int
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What there is to train on now: ``annotations`` that count, and how many of them are ``new`` since the newest
    model of the name was trained (all where there is none)."""

    report: Report
    annotations: int
    new: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """A table with COLUMNS, a row a pair in order of its id, that carries its policy and report in its metadata, so
    that they stand in a Parquet file of it too.

    ``target``: the probability that a is preferred; the policy for ties is applied. ``weight``: the votes behind it,
    times the factor of ``emphasis`` where a model was given. ``group``: the prompt's id. ``prompt``: the text by
    ``core.preferences.prompt_text``. ``annotations``: the ids of the annotations that made the target.
    """

    table: pa.Table
    report: Report
    emphasis: Emphasis | None = None


def freeze(
    store: Store,
    campaign_id: str | None = None,
    policy: Policy | None = None,
    *,
    category: str | None = None,
    unseen_by: str | None = None,
    emphasise: str | None = None,
) -> Frozen:
    """The pairs of a campaign (None: of the store) and category that have a label, as they stand at one moment.

    ``unseen_by``: a model's id; pairs of prompts that it, or a model it was fine-tuned from, was trained, calibrated or
    tested on are left out (evaluation): what is kept of a training may have been fitted to all of them in the end.
    ``emphasise``: a model's id; its errors weigh more (retraining, ``core.retraining``).

    Raises ValueError where the store has no prediction of such a model.
    """
    policy = policy or Policy()
    with store.snapshot() as duck:
        for model_id in filter(None, (unseen_by, emphasise)):
            if not duck.execute("FROM prediction WHERE model_id = ? LIMIT 1", [model_id]).fetchall():
                raise ValueError(
                    f"Nothing is known of what the model {model_id} was trained on, or predicts."
                )
        marked = _marked(duck, campaign_id, policy, category, unseen_by)
        report = _report(marked)
        kept = marked.filter(pc.equal(marked["lost"], ""))
        factor = _emphasis(duck, kept, emphasise) if emphasise else None
        weight = kept["weight"].to_numpy() * (1.0 if factor is None else factor.weight)
        texts = _texts(duck, kept["pair_id"].to_pylist())
    about = {
        "campaign_id": campaign_id,
        "category": category,
        "policy": asdict(policy),
        "unseen_by": unseen_by,
        "emphasise": emphasise,
        "report": asdict(report),
    }
    columns = [
        kept["pair_id"], *texts, kept["target"], pa.array(weight, pa.float64()), kept["group"], kept["category"],
        kept["annotations"],
    ]  # fmt: skip
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    return Frozen(table.replace_schema_metadata({_METADATA: json.dumps(about)}), report, factor)


def readiness(
    store: Store,
    name: str,
    campaign_id: str | None = None,
    policy: Policy | None = None,
    *,
    category: str | None = None,
) -> Readiness:
    """What ``freeze`` would give, and what of it the newest model of that name has not learnt from."""
    with store.snapshot() as duck:
        marked = _marked(duck, campaign_id, policy or Policy(), category)
        newest = duck.execute(
            "SELECT lineage->>'annotations' FROM model WHERE name = ? ORDER BY created_at DESC LIMIT 1",
            [name],
        ).fetchone()
    learnt = set(json.loads(newest[0])) if newest and newest[0] else set()
    kept = marked.filter(pc.equal(marked["lost"], ""))
    ids = pc.list_flatten(kept["annotations"]).to_pylist()
    return Readiness(_report(marked), len(ids), sum(key not in learnt for key in ids))


def lineage(table: pa.Table) -> dict[str, Any]:
    """What a model trained on a frozen table learnt from: campaign, policy, report, and the ids of all annotations.

    Of a table that was not frozen here only what its columns say.
    """
    about: dict[str, Any] = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    if "annotations" in table.column_names:
        about["annotations"] = pc.list_flatten(table["annotations"]).to_pylist()
    return {**about, "pairs": table.num_rows}


def policy_of(about: dict[str, Any]) -> Policy:
    """The policy in a lineage; the usual one where it has none."""
    return Policy(**about.get("policy", {}))


def labels(store: Store, policy: Policy, since: datetime | None = None) -> pa.Table:
    """What people say now (or said ``since``, and still say), in all campaigns, of every pair with a label: ``pair_id``, ``target``,
    ``weight``, ``annotations``."""
    with store.snapshot() as duck:
        found = _labels(duck, None, policy, since)
    return found.filter(pc.equal(found["lost"], "")).drop_columns("lost")


def tallies(store: Store, policy: Policy) -> pa.Table:
    """The votes on every judged pair, in all campaigns, as they stand: ``pair_id``, and how many chose ``a``, ``b`` and
    ``tie``. Of an annotator the first judgement counts; resolutions are no votes."""
    return store.table(
        """SELECT pair_id, count(*) FILTER (choice = 'a') AS a, count(*) FILTER (choice = 'b') AS b,
                  count(*) FILTER (choice = 'tie') AS tie
           FROM (SELECT v.pair_id, v.choice FROM current_annotation v JOIN annotator ON annotator.id = v.annotator_id
                 WHERE verdict <> 'skip' AND (? OR annotator.kind <> 'simulated')
                 QUALIFY row_number() OVER (PARTITION BY v.pair_id, v.annotator_id ORDER BY v.submitted_at, v.id) = 1)
           GROUP BY pair_id ORDER BY pair_id""",
        policy.simulated,
    )


def _labels(duck: Any, campaign_id: str | None, policy: Policy, since: datetime | None = None) -> pa.Table:
    """``pair_id``, ``target``, ``weight``, ``annotations`` and ``lost`` of every pair that somebody judged, by its id."""
    judged = duck.sql(
        """SELECT id, pair_id, annotator_id, choice, resolves FROM (
             SELECT v.*, annotator.kind, FALSE AS resolves
             FROM current_annotation v JOIN annotator ON annotator.id = v.annotator_id
             UNION ALL BY NAME SELECT *, 'person' AS kind, TRUE AS resolves FROM current_resolution)
           WHERE verdict <> 'skip' AND ($1 IS NULL OR campaign_id = $1) AND ($2 OR kind <> 'simulated')
             AND ($3 IS NULL OR submitted_at >= $3)
           QUALIFY CASE WHEN resolves
                        THEN row_number() OVER (PARTITION BY resolves, pair_id ORDER BY submitted_at DESC, id) = 1
                        ELSE row_number() OVER (PARTITION BY resolves, pair_id, annotator_id ORDER BY submitted_at, id) = 1 END
           ORDER BY pair_id, submitted_at, id""",
        params=[campaign_id, policy.simulated, since],
    ).to_arrow_table()
    unit, units = _coded(judged["pair_id"])
    rater, raters = _coded(judged["annotator_id"])
    choice = pc.index_in(judged["choice"], pa.array(CHOICES)).to_numpy().astype(np.int64)
    resolves = judged["resolves"].to_numpy()
    resolution = np.full(len(units), -1)
    resolution[unit[resolves]] = choice[resolves]
    votes = ~resolves
    unknown = np.full(int(votes.sum()), np.nan)
    ratings = Ratings(unit[votes], rater[votes], choice[votes], unknown, units, raters, CHOICES)
    found = label(ratings, policy, resolution)
    voted = np.isin(choice, [CHOICES.index(name) for name in policy.voting])
    ends = np.concatenate([[0], np.cumsum(np.bincount(unit[voted], minlength=len(units)))])
    ids = judged["id"].combine_chunks().filter(pa.array(voted))
    return pa.table(
        {
            "pair_id": pa.array(units, pa.string()),
            "target": found.target,
            "weight": found.weight,
            "annotations": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), ids),
            "lost": pa.array(found.lost, pa.string()),
        }
    )


def _coded(column: pa.ChunkedArray) -> tuple[IntArray, list[str]]:
    """Codes into the values, which are in order of appearance."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()


def _marked(
    duck: Any, campaign_id: str | None, policy: Policy, category: str | None, unseen_by: str | None = None
) -> pa.Table:
    """The pairs in question, by id: ``pair_id``, ``group``, ``category``, ``target``, ``weight``, ``annotations`` and
    ``lost``, which is "" where there is a label to use."""
    pairs = duck.sql(
        f"""WITH RECURSIVE {_FAMILY},
           learnt AS (SELECT DISTINCT pair.prompt_id FROM prediction JOIN pair ON pair.id = prediction.pair_id
                      WHERE model_id IN (SELECT id FROM family) AND split <> 'probe'),
           met AS (SELECT pair_id, bool_or(verdict <> 'skip') AS judged FROM current_annotation
                   WHERE $1 IS NULL OR campaign_id = $1 GROUP BY pair_id)
           SELECT pair.id AS pair_id, prompt.id AS "group", prompt.category,
                  CASE WHEN judged THEN 'simulated_only' WHEN NOT judged THEN 'skip_only' ELSE 'no_annotations' END AS silent,
                  CASE WHEN trim(a.text, {_WHITE}) = trim(b.text, {_WHITE}) THEN 'identical_answers'
                       WHEN prompt.id IN (SELECT prompt_id FROM learnt) THEN 'seen' ELSE '' END AS barred
           FROM pair JOIN prompt ON prompt.id = pair.prompt_id JOIN response a ON a.id = pair.response_a
           JOIN response b ON b.id = pair.response_b LEFT JOIN met ON met.pair_id = pair.id
           WHERE ($1 IS NULL OR pair.id IN (SELECT pair_id FROM campaign_pair WHERE campaign_id = $1))
             AND ($2 IS NULL OR prompt.category = $2)
           ORDER BY pair.id""",
        params=[campaign_id, category, unseen_by],
    ).to_arrow_table()
    found = _labels(duck, campaign_id, policy)
    found = found.take(pc.index_in(pairs["pair_id"], found["pair_id"]))
    lost = pc.coalesce(found["lost"], pairs["silent"])
    lost = pc.if_else(pc.equal(lost, ""), pairs["barred"], lost)
    columns = {name: found[name] for name in ("target", "weight", "annotations")}
    return pa.table(
        {name: pairs[name] for name in ("pair_id", "group", "category")} | columns | {"lost": lost}
    )


def _report(marked: pa.Table) -> Report:
    fate = Counter(marked["lost"].to_pylist())
    prompts = len(marked.filter(pc.equal(marked["lost"], ""))["group"].unique())
    return Report(len(marked), fate[""], prompts, {reason: fate[reason] for reason in LOST if fate[reason]})


def _emphasis(duck: Any, kept: pa.Table, model_id: str) -> Emphasis:
    """How much each pair weighs by the model's latest prediction of it."""
    predicted = duck.sql(
        """SELECT pair_id, arg_max(probability, created_at) AS p, bool_and(split <> 'train') AS held_out
           FROM prediction WHERE model_id = ? GROUP BY pair_id""",
        params=[model_id],
    ).to_arrow_table()
    predicted = predicted.take(pc.index_in(kept["pair_id"], predicted["pair_id"]))
    return emphasis(
        predicted["p"].fill_null(np.nan).to_numpy(),
        kept["target"].to_numpy(),
        kept["category"].to_pylist(),
        predicted["held_out"].fill_null(False).to_numpy(),
        _clusters(duck, kept["pair_id"].to_pylist(), model_id),
    )


def clusters(store: Store, pair_ids: Sequence[str], model_id: str) -> list[str]:
    """The cluster of each pair, by number and words, in the latest drift run on pairs that told of the model's errors; "" for none."""
    with store.snapshot() as duck:
        return _clusters(duck, pair_ids, model_id)


def _clusters(duck: Any, pair_ids: Sequence[str], model_id: str) -> list[str]:
    found = duck.execute(
        """SELECT pair_id, arg_max(format('{} · {}', cluster, name), after) FROM drift_point JOIN drift_cluster USING (drift_id, cluster)
           WHERE drift_id = (SELECT id FROM drift WHERE model_id = ? AND population = 'pairs' ORDER BY created_at DESC, id LIMIT 1)
           GROUP BY pair_id""",
        [model_id],
    ).fetchall()
    of = dict(found)
    return [of.get(pair_id, "") for pair_id in pair_ids]


def _texts(duck: Any, pair_ids: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Prompts, responses a and responses b of pairs in order of id; texts are joined to a part of the pairs at once."""
    prompts, first, second = list[str](), list[str](), list[str]()
    for low in range(0, len(pair_ids), _BATCH):
        for text, turns, a, b in duck.execute(
            """SELECT prompt.text, prompt.messages, a.text, b.text
               FROM pair JOIN prompt ON prompt.id = pair.prompt_id JOIN response a ON a.id = response_a
               JOIN response b ON b.id = response_b WHERE pair.id IN (SELECT unnest(?)) ORDER BY pair.id""",
            [pair_ids[low : low + _BATCH]],
        ).fetchall():
            prompts.append(prompt_text([Message(**turn) for turn in json.loads(turns)]) if turns else text)
            first.append(a)
            second.append(b)
    return prompts, first, second
