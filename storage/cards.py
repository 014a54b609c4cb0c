"""A pair as people see it: with its prompt and both responses."""

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

from sqlalchemy import JSON, Connection
from sqlmodel import SQLModel

from storage.store import Store, raw
from storage.tables import PairRow, PromptRow, ResponseRow

Row = TypeVar("Row", bound=SQLModel)


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
        self._cached = lru_cache(maxsize=4096)(partial(read, store))

    def get(self, pair_id: str) -> Card | None:
        """The card of a pair; None when there is none of that id."""
        try:
            return self._cached(pair_id)
        except LookupError:
            return None


def read(store: Store, pair_id: str) -> Card:
    """The card of a pair as it is now. Raises LookupError when there is none of that id."""
    with store.engine.connect() as connection:
        pair = _row(connection, PairRow, pair_id)
        prompt = _row(connection, PromptRow, pair.prompt_id)
        a, b = (_row(connection, ResponseRow, key) for key in (pair.response_a, pair.response_b))
        return Card(pair, prompt, a, b)


def _row(connection: Connection, table: type[Row], key: str) -> Row:
    """A row by its key: four of these take a third of the time that the ORM takes, and every pair shown needs them."""
    columns = table.__table__.columns  # type: ignore[attr-defined]
    found = raw(connection).execute(
        f"SELECT {', '.join(columns.keys())} FROM {table.__tablename__} WHERE id = ?", [key]
    )
    values = found.fetchone()
    if values is None:
        raise LookupError(key)
    named = zip(columns, values, strict=True)
    return table(**{c.name: json.loads(v) if v and isinstance(c.type, JSON) else v for c, v in named})
