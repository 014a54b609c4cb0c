"""Cards: texts from memory, everything else as it is now."""

from storage import cards, pairs
from storage.desk import Desks
from storage.store import Store
from tests.storage.conftest import MakeCampaign, MakePairs


def test_a_card_is_the_pair_with_its_prompt_and_answers(
    store: Store, desks: Desks, make_campaign: MakeCampaign, make_pairs: MakePairs
) -> None:
    make_campaign(3)
    pair, *others = make_pairs(3)
    card = desks.cards.get(pair.id)
    assert card is not None and card.prompt.text == pair.prompt.text
    assert (card.a.text, card.b.text) == (pair.response_a.text, pair.response_b.text)
    assert desks.cards.get(pair.id) is card and desks.cards.get("x_no") is None
    three = desks.cards.of([one.id for one in (*others, pair)] + ["x_no"])
    assert set(three) == {one.id for one in (pair, *others)} and three[pair.id] is card


def test_gold_is_read_as_it_is_now(
    store: Store, desks: Desks, make_campaign: MakeCampaign, make_pairs: MakePairs
) -> None:
    make_campaign(1)
    pair_id = make_pairs(1)[0].id
    assert desks.cards.get(pair_id) is not None
    pairs.set_gold(store, desks, pair_id, "a", "ann")
    assert cards.read(store, [pair_id, "x_no"])[pair_id].pair.gold == "a"
