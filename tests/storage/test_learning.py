"""What is frozen for training is what a plain count of the votes gives, and every pair is accounted for."""

import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.labels import LOST, Policy
from core.preferences import read_preferences
from core.reading import read_rows
from core.records import Judgement, Message, Pair, Parsed, Prompt, Response
from storage import campaigns, learning, models, pairs
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow, ModelRow
from tests.storage.conftest import MakePairs, parsed

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
CHAT = Prompt((Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Why?")), "chat")  # fmt: skip


@pytest.fixture
def judge(store: Store, desks: Desks):  # type: ignore[no-untyped-def]
    """``judge(pair, "aab.t")``: annotators u0, u1, ... choose a, b, t(ie), x (both bad), s(kip) or nothing (.)."""
    clock = [START]
    names = {"a": "a", "b": "b", "t": "tie", "x": "both_bad", "s": "skip"}

    def give(pair: Pair, choices: str, *, kind: str = "", campaign_id: str | None = None) -> None:
        given = []
        for i, letter in enumerate(choices):
            if letter != ".":
                clock[0] += timedelta(seconds=1)
                given.append(Judgement(pair, f"u{kind}{i}", names[letter], submitted_at=clock[0]))  # type: ignore[arg-type]
        campaign_id = campaign_id or campaigns.first(store).id
        pairs.add_judged(
            store, desks, Parsed(list(enumerate(given, 1)), []), campaign_id, "ann", source="crowd"
        )

    return give


def simulated(store: Store, prefix: str) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE annotator SET kind = 'simulated' WHERE starts_with(name, '{prefix}')"
        )


def register(
    store: Store, table: pa.Table, *, p: dict[str, float], split: str = "train", **rest: object
) -> models.Model:
    """A model that learnt from a frozen table, and predicts ``p`` of its pairs."""
    ids = list(p)
    predictions = pa.table(
        {"pair_id": ids, "split": [split] * len(ids), "raw": list(p.values()), "probability": list(p.values()),
         "target": pa.array([None] * len(ids), pa.float64())}
    )  # fmt: skip
    row = ModelRow(id="", name="votes", version="", method="sbert", path="x", actor="ann", checksum="0", lineage=learning.lineage(table), **rest)  # fmt: skip
    return models.register(store, row, predictions)


def targets(frozen: learning.Frozen) -> dict[str, tuple[float, float]]:
    table = frozen.table.to_pydict()
    return dict(zip(table["pair_id"], zip(table["target"], table["weight"], strict=True), strict=True))


def test_every_pair_is_frozen_or_lost_for_a_reason(store: Store, desks: Desks, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    made = [*make_pairs(9), Pair(Prompt.from_text("Same?"), Response("Yes\n "), Response("Yes"))]
    pairs.add(store, desks, parsed(made), campaigns.first(store).id, "ann", source="x")
    for pair, choices in zip(made, ("a", "aab", "ab", "t", "at", "x", "xxa", "s", "", "aa"), strict=True):
        judge(pair, choices)
    ids = [pair.id for pair in made]

    half = learning.freeze(store)
    expected = {ids[0]: (1.0, 1), ids[1]: (2 / 3, 3), ids[2]: (0.5, 2), ids[3]: (0.5, 1), ids[4]: (0.75, 2), ids[6]: (1.0, 1)}  # fmt: skip
    assert targets(half) == {key: pytest.approx(value) for key, value in expected.items()}
    assert half.report == learning.Report(
        10, 6, 6, {"no_annotations": 1, "skip_only": 1, "both_bad": 1, "identical_answers": 1}
    )
    drop = learning.freeze(store, policy=Policy(ties="drop"))
    assert targets(drop) == {
        key: pytest.approx(value) for key, value in {**expected, ids[4]: (1.0, 1)}.items() if key != ids[3]
    }
    assert drop.report.lost["tie"] == 1

    majority = learning.freeze(store, policy=Policy("majority"))
    assert {key: target for key, (target, _) in targets(majority).items()} == {ids[0]: 1, ids[1]: 1, ids[3]: 0.5, ids[6]: 1}  # fmt: skip
    assert majority.report.lost["no_majority"] == 2
    for frozen in (half, drop, majority):
        assert frozen.report.usable == len(frozen.table) and frozen.report.pairs == 10
        assert frozen.report.usable + sum(frozen.report.lost.values()) == 10
        assert list(frozen.report.lost) == [reason for reason in LOST if reason in frozen.report.lost]


def test_the_annotations_behind_a_label_are_those_that_voted(store: Store, desks: Desks, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    """First judgements that stand, without skips and both bad, in the order they came."""
    first, second = make_pairs(2)
    judge(first, "abxst")
    judge(first, "b")
    judge(second, "bb")
    rows = store.rows("SELECT id, pair_id, verdict FROM annotation ORDER BY submitted_at, id")
    behind = defaultdict(list)
    for key, pair_id, verdict in rows[:5] + rows[6:]:
        if verdict in ("prefer", "tie"):
            behind[pair_id].append(key)
    table = learning.freeze(store).table.to_pydict()
    assert dict(zip(table["pair_id"], table["annotations"], strict=True)) == behind
    without = learning.freeze(store, policy=Policy(ties="drop")).table.to_pydict()
    assert len(without["annotations"][without["pair_id"].index(first.id)]) == 2

    desk = desks[campaigns.first(store).id]
    changed = behind[second.id][0]
    owner = store.rows("SELECT annotator_id FROM annotation WHERE id = ?", changed)[0][0]
    desk.retract(owner, changed, datetime.now(UTC))
    table = learning.freeze(store).table.to_pydict()
    assert table["annotations"][table["pair_id"].index(second.id)] == behind[second.id][1:]


def test_dawid_skene_trusts_who_agrees_with_others(store: Store, desks: Desks, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    """u0 to u2 agree, u3 is contrary: where only u0 and u3 voted, the share is 1/2 and the posterior is with u0."""
    made = make_pairs(60)
    random = np.random.default_rng(1)
    for pair in made[:-1]:
        choice, other = ("ab", "ba")[random.integers(2)]
        judge(pair, choice * 3 + other)
    judge(made[-1], "a..b")
    shares = targets(learning.freeze(store))
    posterior = targets(learning.freeze(store, policy=Policy("dawid_skene")))
    assert shares[made[-1].id] == (0.5, 2) and posterior[made[-1].id][0] > 0.95
    assert all(abs(posterior[pair.id][0] - round(shares[pair.id][0])) < 0.05 for pair in made[:-1])


def test_simulated_annotators_count_only_when_asked(store: Store, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    first, second = make_pairs(2)
    judge(first, "a")
    judge(first, "bb", kind="s")
    judge(second, "bb", kind="s")
    simulated(store, "us")
    people_only, all_of_them = learning.freeze(store), learning.freeze(store, policy=Policy(simulated=True))
    assert targets(people_only) == {first.id: (1.0, 1)}
    assert people_only.report.lost == {"simulated_only": 1}
    assert targets(all_of_them) == {first.id: (pytest.approx(1 / 3), 3), second.id: (0.0, 2)}


def test_a_campaign_and_a_category(store: Store, desks: Desks, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    campaigns.first(store)
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "ann").id
    shared, chat = make_pairs(1)[0], Pair(CHAT, Response("A"), Response("B"))
    judge(shared, "aa")
    judge(shared, "..b", campaign_id=other)
    judge(chat, "b", campaign_id=other)
    assert targets(learning.freeze(store, other)) == {shared.id: (0.0, 1), chat.id: (0.0, 1)}
    assert targets(learning.freeze(store))[shared.id] == (pytest.approx(2 / 3), 3)
    only = learning.freeze(store, category="chat")
    assert targets(only) == {chat.id: (0.0, 1)} and only.report.pairs == 1


def test_a_frozen_file_is_read_back_by_the_trainer(store: Store, make_pairs: MakePairs, judge, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    chat = Pair(CHAT, Response("Because.\u2028Yes"), Response("=1+1"))
    for pair, choices in zip([*make_pairs(5), chat], ("a", "b", "ab", "t", "aab", "b"), strict=True):
        judge(pair, choices)
    frozen = learning.freeze(store, policy=Policy("votes", "half"))
    pq.write_table(frozen.table, tmp_path / "preferences.parquet")
    rows = read_rows((tmp_path / "preferences.parquet").read_bytes(), "preferences.parquet")
    back = read_preferences(rows.rows)
    assert back.refused == []
    table = frozen.table.to_pydict()
    for i, (_, preference) in enumerate(back.rows):
        for field, column in (("id", "pair_id"), ("prompt",) * 2, ("response_a",) * 2, ("response_b",) * 2,
                              ("target",) * 2, ("weight",) * 2, ("group",) * 2, ("category",) * 2):  # fmt: skip
            assert getattr(preference, field) == table[column][i]
    assert table["prompt"][table["pair_id"].index(chat.id)] == "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Why?"  # fmt: skip
    assert table["group"][table["pair_id"].index(chat.id)] == CHAT.id

    learnt = learning.lineage(pq.read_table(tmp_path / "preferences.parquet"))
    assert learnt["pairs"] == 6 and learnt["report"]["usable"] == 6
    assert learning.policy_of(learnt) == Policy()
    assert set(learnt["annotations"]) == {key for (key,) in store.rows("SELECT id FROM annotation")}
    assert learning.lineage(pa.table({"prompt": ["x"]})) == {"pairs": 1}


def test_readiness_counts_what_the_newest_model_has_not_learnt(store: Store, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    first, second, third = make_pairs(3)
    judge(first, "ab")
    judge(second, "x")
    assert learning.readiness(store, "votes") == learning.Readiness(learning.Report(2, 1, 1, {"both_bad": 1}), 2, 2)  # fmt: skip
    register(store, learning.freeze(store).table, p={first.id: 0.5})
    assert learning.readiness(store, "votes").new == 0 and learning.readiness(store, "other").new == 2
    judge(second, ".a")
    judge(third, "bb")
    ready = learning.readiness(store, "votes")
    assert (ready.annotations, ready.new, ready.report.usable) == (5, 3, 3)


def test_a_probe_never_asks_about_what_the_model_has_seen(store: Store, desks: Desks, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    """Not by its prompt, and not through the model it was fine-tuned from."""
    made = make_pairs(4)
    twin = Pair(made[0].prompt, Response("Other"), Response("Another"))
    for pair in [*made, twin]:
        judge(pair, "a")
    table = learning.freeze(store).table
    parent = register(store, table, p={made[0].id: 0.5})
    child = register(store, table, p={made[1].id: 0.5}, split="calibration", parent_id=parent.id)
    tested = register(store, table, p={made[2].id: 0.5}, split="test")
    unseen = learning.freeze(store, unseen_by=child.id)
    assert set(targets(unseen)) == {made[2].id, made[3].id} and unseen.report.lost == {"seen": 3}
    assert set(targets(learning.freeze(store, unseen_by=parent.id))) == {pair.id for pair in made[1:]}
    assert made[2].id not in targets(learning.freeze(store, unseen_by=tested.id))
    with pytest.raises(ValueError, match="Nothing is known of what the model m_no was trained on"):
        learning.freeze(store, unseen_by="m_no")


def test_retraining_weighs_errors_up(store: Store, make_pairs: MakePairs, judge) -> None:  # type: ignore[no-untyped-def]  # fmt: skip
    wrong, unsure, right, new = made = make_pairs(4)
    for pair in made:
        judge(pair, "aa")
    model = register(store, learning.freeze(store).table, p={wrong.id: 0.1, unsure.id: 0.55, right.id: 0.9})
    frozen = learning.freeze(store, emphasise=model.id)
    weight = {key: weight for key, (_, weight) in targets(frozen).items()}
    assert frozen.emphasis is not None
    assert (frozen.emphasis.confident_mistakes, frozen.emphasis.low_confidence) == (1, 1)
    assert [weight[p.id] / weight[new.id] for p in made] == pytest.approx([3, 2, 1, 1])
    assert sum(weight.values()) == pytest.approx(8)
    assert learning.lineage(frozen.table)["emphasise"] == model.id


def test_real_votes(store: Store, desks: Desks, shared_data: Path) -> None:
    """Judgements of real people, five a pair: what is frozen is their plain share."""
    folder = shared_data / "ukp_convarg1"
    with gzip.open(folder / "pairs_all.jsonl.gz") as file:
        texts = {row["pair_id"]: row for row in map(json.loads, islice(file, 300))}
    with gzip.open(folder / "arguments.jsonl.gz") as file:
        arguments = {row["argument_id"]: row["text"] for row in map(json.loads, file)}
    given, votes = [], defaultdict(list)
    with gzip.open(folder / "annotations.jsonl.gz") as file:
        for line in file:
            row = json.loads(line)
            if text := texts.get(row["pair_id"]):
                a, b = (Response(arguments[text[key]]) for key in ("arg1_id", "arg2_id"))
                pair = Pair(
                    Prompt.from_text(f"{text['debate_title']} ({text['stance']})"), a, b, row["pair_id"]
                )
                at = datetime.fromisoformat(row["submitted_at"])
                given.append(Judgement(pair, row["annotator"], row["choice"], submitted_at=at))
                votes[pair.id].append({"a": 1.0, "b": 0.0, "tie": 0.5}[row["choice"]])
    pairs.add_judged(store, desks, Parsed(list(enumerate(given, 1)), []), campaigns.first(store).id, "ann", source="ukp")  # fmt: skip
    frozen = learning.freeze(store)
    expected = {key: (pytest.approx(np.mean(said)), len(said)) for key, said in votes.items()}
    assert targets(frozen) == expected and len(expected) == 300
