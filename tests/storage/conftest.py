"""A real store on a file, its desks, and pairs to fill it with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.records import Pair, Parsed, Prompt, Response
from storage import campaigns, pairs
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow

MakePairs = Callable[..., list[Pair]]
MakeCampaign = Callable[..., CampaignRow]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"duckdb:///{tmp_path}/attune.duckdb")
    yield store
    store.close()


@pytest.fixture
def desks(store: Store) -> Desks:
    return Desks(store)


@pytest.fixture
def make_pairs() -> MakePairs:
    """``make_pairs(n)``: n pairs, other ones for each ``tag``."""

    def make(n: int, *, tag: str = "") -> list[Pair]:
        return [
            Pair(
                Prompt.from_text(f"Question {tag}{i}?"),
                Response(f"Yes {i}.", "m1"),
                Response(f"No {i}.", "m2"),
            )
            for i in range(n)
        ]

    return make


@pytest.fixture
def make_campaign(store: Store, desks: Desks, make_pairs: MakePairs) -> MakeCampaign:
    """``make_campaign(n, k=3, ...)``: a campaign of n pairs with the rules given."""

    def make(n: int, **rules: object) -> CampaignRow:
        name = f"Campaign {len(campaigns.listed(store))}"
        campaign = campaigns.create(store, CampaignRow(**{"id": "", "name": name, **rules}), "test")
        pairs.add(store, desks, parsed(make_pairs(n)), campaign.id, "test", source="test")
        return campaign

    return make


def parsed(rows: list[Pair]) -> Parsed[Pair]:
    return Parsed(list(enumerate(rows, start=1)), [])
