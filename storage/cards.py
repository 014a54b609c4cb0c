"""A pair as people see it: with its prompt and both responses."""

from dataclasses import dataclass
from functools import lru_cache

from storage.store import Store
from storage.tables import PairRow, PromptRow, ResponseRow


@dataclass(frozen=True, slots=True)
class Card:
    """A pair with its prompt and both responses."""

    pair: PairRow
    prompt: PromptRow
    a: ResponseRow
    b: ResponseRow


class Cards:
    """Reads cards, keeping the last 4,096 shown: their texts never change (a prompt's category and tags may)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cached = lru_cache(maxsize=4096)(self._read)

    def get(self, pair_id: str) -> Card | None:
        """The card of a pair; None when there is none of that id."""
        try:
            return self._cached(pair_id)
        except LookupError:
            return None

    def _read(self, pair_id: str) -> Card:
        with self._store.reading() as session:
            pair = session.get(PairRow, pair_id)
            if pair is None:
                raise LookupError(pair_id)
            return Card(
                pair,
                session.get_one(PromptRow, pair.prompt_id),
                session.get_one(ResponseRow, pair.response_a),
                session.get_one(ResponseRow, pair.response_b),
            )
