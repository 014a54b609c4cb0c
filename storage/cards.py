"""A pair as people see it: with its prompt and both responses."""

import json
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import JSON, Connection
from sqlmodel import SQLModel

from storage.store import Store, placeholders, raw
from storage.tables import PairRow, PromptRow, ResponseRow

Row = TypeVar("Row", bound=SQLModel)
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Card:
    """A pair with its prompt and both responses."""

    pair: PairRow
    prompt: PromptRow
    a: ResponseRow
    b: ResponseRow


class Cards:
    """Keeps the last 4,096 cards shown, for their texts and ids: those never change, while gold, category and tags may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, Card] = OrderedDict()
        self._lock, self._reading = threading.Lock(), threading.Lock()

    def __contains__(self, pair_id: str) -> bool:
        return pair_id in self._kept

    def get(self, pair_id: str) -> Card | None:
        """The card of a pair; None when there is none of that id."""
        return self.of([pair_id]).get(pair_id)

    def of(self, pair_ids: Collection[str]) -> dict[str, Card]:
        """The cards of these pairs, by id, without those that there are not; what is missing is read together,
        once for all who ask for it meanwhile."""
        found = self._known(pair_ids)
        if any(pair_id not in found for pair_id in pair_ids):
            with self._reading:
                found |= self._known([pair_id for pair_id in pair_ids if pair_id not in found])
                new = read(self._store, [pair_id for pair_id in pair_ids if pair_id not in found])
                with self._lock:
                    self._kept |= new
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
            found |= new
        return found

    def _known(self, pair_ids: Collection[str]) -> dict[str, Card]:
        with self._lock:
            found = {pair_id: self._kept[pair_id] for pair_id in pair_ids if pair_id in self._kept}
            for pair_id in found:
                self._kept.move_to_end(pair_id)
        return found


def read(store: Store, pair_ids: Collection[str]) -> dict[str, Card]:
    """The cards of these pairs as they are now, by id, without those that there are not."""
    if not pair_ids:
        return {}
    with store.engine.connect() as connection:
        pairs = _rows(connection, PairRow, pair_ids)
        prompts = _rows(connection, PromptRow, {pair.prompt_id for pair in pairs.values()})
        sides = {side for pair in pairs.values() for side in (pair.response_a, pair.response_b)}
        responses = _rows(connection, ResponseRow, sides)
    return {
        key: Card(pair, prompts[pair.prompt_id], responses[pair.response_a], responses[pair.response_b])
        for key, pair in pairs.items()
    }


def _rows(connection: Connection, table: type[Row], keys: Collection[str]) -> dict[str, Row]:
    """Rows by their keys, in a third of the time that the ORM takes: every pair shown needs them."""
    columns = table.__table__.columns  # type: ignore[attr-defined]
    found = raw(connection).execute(
        f"SELECT {', '.join(columns.keys())} FROM {table.__tablename__} WHERE id IN ({placeholders(keys)})",
        list(keys),
    )
    decode = [json.loads if isinstance(column.type, JSON) else None for column in columns]
    return {
        values[0]: table(
            **{
                column.name: value if value is None or of is None else of(value)
                for column, value, of in zip(columns, values, decode, strict=True)
            }
        )
        for values in found.fetchall()
    }
