"""The judgements as bias and annotators are told from them: what stands, its side and time, and what its texts have."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.importing import read_judgements
from core.judging import Verdict
from core.queueing import Lease
from core.records import CHOICES
from core.surface import MARKS
from storage import campaigns, pairs, people
from storage.desk import Desks
from storage.judgements import judgements
from storage.simulated import load_sample
from storage.store import Store
from tests.storage.conftest import MakeCampaign

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_what_stands_with_its_side_its_time_and_gold(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    desk = desks[make_campaign(4, k=2).id]
    ann, bob = (people.annotator(store, name).id for name in ("Ann", "Bob"))
    entered = []
    for minute, (who, choice) in enumerate(((ann, "a"), (bob, "b"), (ann, "tie"), (ann, "skip"), (bob, "a"))):
        lease, at = desk.next(who, NOW), NOW + timedelta(minutes=minute)
        assert isinstance(lease, Lease)
        row = desk.submit(
            who, lease.pair_id, Verdict(choice, seconds=10.0 + minute), at, source="person", lease_id=lease.id
        )
        entered.append((row.id, lease.pair_id, who, choice, 1 if lease.a_left else -1, 10.0 + minute))
    pairs.set_gold(store, desks, entered[0][1], "b", "test")
    found = judgements(store)
    rows = zip(found.pair, found.annotator, found.choice, found.side, found.seconds, strict=True)
    assert [(found.pairs[p], found.annotators[w], CHOICES[c], s, t) for p, w, c, s, t in rows] == [
        row[1:] for row in entered if row[3] != "skip"
    ]
    assert found.at[1] == np.datetime64("2026-03-01T09:01")
    assert sorted(zip(found.annotators, found.names, found.kinds, strict=True)) == sorted(
        [(ann, "Ann", "person"), (bob, "Bob", "person")]
    )
    assert {found.pairs[i]: CHOICES[g] for i, g in enumerate(found.gold) if g >= 0} == {entered[0][1]: "b"}
    desk.edit(ann, entered[0][0], Verdict("b", seconds=1.0), NOW + timedelta(hours=1), source="person")
    desk.retract(bob, entered[4][0], NOW + timedelta(hours=1))
    later = judgements(store)
    assert [CHOICES[c] for c in later.choice] == ["b", "tie", "b"]
    assert later.side[2] == found.side[0]


def test_marks_are_those_that_python_counts(store: Store, desks: Desks) -> None:
    load_sample(store, desks, "test")
    found = judgements(store)
    assert len(found) == 216 and len(found.pairs) == 72 and len(found.annotators) == 6
    assert set(found.side) == {-1, 1} and found.kinds == ["simulated"] * 6
    assert len(set(found.prompt)) == 72
    for place, pair_id in enumerate(found.pairs):
        card = desks.cards.get(pair_id)
        assert card is not None
        for side, text in enumerate((card.a.text, card.b.text)):
            counted = [len(text), *(len(re.findall(pattern, text)) for pattern in MARKS.values())]
            assert found.marks[place, side].tolist() == counted
    assert (found.marks.sum((0, 1))[:5] > 0).all()


def judged(store: Store, desks: Desks, campaign: str, *rows: tuple[str, str, str, str]) -> None:
    """Imported judgements (prompt, annotator, choice, category)."""
    parsed = read_judgements(
        [
            (i, {"prompt": prompt, "response_a": "x", "response_b": "y", "annotator": who, "choice": choice, "category": category})
            for i, (prompt, who, choice, category) in enumerate(rows, start=1)
        ]
    )  # fmt: skip
    pairs.add_judged(store, desks, parsed, campaign, "test", source="test")


def test_campaign_category_and_kinds_narrow(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    load_sample(store, desks, "test")
    here, there = campaigns.first(store).id, make_campaign(1).id
    judged(
        store,
        desks,
        here,
        ("p1", "ann", "a", "math"),
        ("p1", "bob", "b", "math"),
        ("p2", "ann", "tie", "law"),
    )
    judged(store, desks, there, ("p3", "cat", "a", "law"))
    assert len(judgements(store)) == 220
    imported = judgements(store, kinds=("imported",))
    assert (len(imported), sorted(imported.names), set(imported.side)) == (4, ["ann", "bob", "cat"], {0})
    assert np.isnan(imported.seconds).all()
    assert len(judgements(store, campaign_id=here)) == 219
    law = judgements(store, category="law")
    assert (sorted(law.names), len(law.pairs), law.prompt.tolist()) == (["ann", "cat"], 2, [0, 1])
    assert len(judgements(store, campaign_id=there, category="math")) == 0


@pytest.mark.parametrize("narrowed", [{}, {"category": "none"}, {"kinds": ("person",)}])
def test_nothing_has_no_rows(store: Store, narrowed: dict[str, object]) -> None:
    found = judgements(store, **narrowed)
    assert len(found) == len(found.pairs) == len(found.annotators) == 0
    assert found.marks.shape == (0, 2, 1 + len(MARKS)) and not found.decisive.any()
