"""The store: one DuckDB database, its connections, its write lock and its transactions."""

import logging
import secrets
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from storage import migrations
from storage.tables import AuditRow

logger = logging.getLogger(__name__)


class StoreError(RuntimeError):
    """The store cannot be used, or cannot do what was asked; the message says why and what to do."""


@dataclass(slots=True)
class _Ticket:
    """Rows to be committed; ``turn`` comes when they are, or when it is for their thread to commit all that wait."""

    rows: tuple[SQLModel, ...]
    turn: threading.Event
    traffic: bool
    done: bool = False
    error: Exception | None = None


class Store:
    """Reads run side by side; writes take turns, each in one transaction that commits whole or not at all.

    ``revision`` rises with every committed write: cache whatever is computed from the store under it. What a product's users
    leave many times a second (``traffic``) has a count of its own, so that only what rests on it is computed anew.
    """

    def __init__(self, url: str, memory_mb: int = 768) -> None:
        """Open (or create) the database at a ``duckdb:///path`` URL and bring its schema up to date.

        ``memory_mb`` is what DuckDB may use; a query that needs more raises StoreError.

        Raises StoreError when another process holds the file, it is not a store, or a newer Attune wrote it.
        """
        self.path = Path(make_url(url).database or "")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The folder of {self.path} cannot be made: {error}") from None
        self.engine = create_engine(
            url,
            pool_size=16,
            max_overflow=64,
            connect_args={
                "config": {
                    "memory_limit": f"{memory_mb}MB",
                    "threads": 2,
                    "preserve_insertion_order": False,
                    "allocator_background_threads": True,  # else freed memory is kept for good
                }
            },
        )
        event.listen(self.engine, "connect", lambda duck, _: duck.execute("SET TimeZone = 'UTC'"))
        self.revision = self.traffic = 0
        self._lock = threading.RLock()
        self._pending: list[_Ticket] = []
        self._pending_lock = threading.Lock()
        try:
            with self.engine.begin() as connection:
                known = migrations.version(connection)
            migrations.migrate(self.engine, known)
        except DBAPIError as error:
            self.engine.dispose()
            reason = str(error.orig)
            if "lock" in reason.lower():
                raise StoreError(
                    f"{self.path} is in use by another process. Stop it first: one process owns the store. ({reason})"
                ) from None
            raise StoreError(f"{self.path} cannot be opened as a store: {reason}") from None
        except migrations.TooNew as error:
            self.engine.dispose()
            raise StoreError(f"{self.path}: {error}") from None

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session to read from."""
        with _within_limits(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, traffic: bool = False) -> Iterator[Session]:
        """A session whose changes are committed when the block ends, and dropped if it raises."""
        with self._lock, _within_limits(), Session(self.engine, expire_on_commit=False) as session:
            yield session
            session.commit()
            self.revision += not traffic
            self.traffic += traffic

    def append(self, *rows: SQLModel, traffic: bool = False) -> None:
        """Insert rows durably; calls that come together share one commit (group commit).

        Returns when the rows are on disk; raises what kept them from it, and then none of this call's rows is there.
        """
        ticket = _Ticket(rows, threading.Event(), traffic)
        with self._pending_lock:
            self._pending.append(ticket)
            if len(self._pending) == 1:
                ticket.turn.set()
        ticket.turn.wait()
        if not ticket.done:
            with self._lock:
                with self._pending_lock:
                    together = self._pending.copy()
                self._commit(together)
            with self._pending_lock:
                del self._pending[: len(together)]
                if self._pending:
                    self._pending[0].turn.set()
            for other in together:
                other.turn.set()
        if ticket.error is not None:
            raise ticket.error

    def _commit(self, tickets: list["_Ticket"]) -> None:
        try:
            with self.writing(traffic=all(ticket.traffic for ticket in tickets)) as session:
                _add(session, [row for ticket in tickets for row in ticket.rows])
        except Exception as error:
            if len(tickets) == 1:
                tickets[0].error = error
            else:
                for ticket in tickets:
                    self._commit([ticket])
        for ticket in tickets:
            ticket.done = True

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """A DuckDB connection whose queries all see the store as it was at the first of them."""
        with _within_limits(), self.engine.begin() as connection:
            yield raw(connection)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query, with ``?`` for each parameter."""
        with _within_limits(), self.engine.connect() as connection:
            result: list[tuple[Any, ...]] = raw(connection).execute(sql, list(parameters)).fetchall()
            return result

    def table(self, sql: str, *parameters: object) -> pa.Table:
        """The rows of a query as an Arrow table."""
        with _within_limits(), self.engine.connect() as connection:
            return raw(connection).sql(sql, params=list(parameters)).to_arrow_table()


@contextmanager
def _within_limits() -> Iterator[None]:
    """Say what to do where memory or the disk does not suffice."""
    try:
        yield
    except (duckdb.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, duckdb.OutOfMemoryException):
            raise StoreError(
                "This needs more memory than the store may use: narrow it to a campaign or a category, or raise "
                "ATTUNE_STORE_MEMORY_MB."
            ) from error
        if isinstance(cause, duckdb.IOException):
            raise StoreError(f"The store's files cannot be read or written: {cause}") from error
        raise


def raw(connection: Connection) -> Any:
    """The DuckDB connection under an SQLAlchemy one, in the same transaction."""
    return connection.connection.driver_connection


def known(session: Session, table: str, keys: Sequence[str]) -> set[str]:
    """Which of the keys the table has."""
    with registered(session, pa.table({"id": pa.array(keys, pa.string())})) as connection:
        return {
            key
            for (key,) in connection.execute(
                f"SELECT id FROM incoming SEMI JOIN {table} USING (id)"
            ).fetchall()
        }


def _add(session: Session, rows: Sequence[SQLModel]) -> None:
    """Insert new rows, those of a table in one statement: half the work of the ORM, and every judgement needs it."""
    connection = session.connection()
    for table, of_it in groupby(sorted(rows, key=_table_name), key=_table_name):
        columns = SQLModel.metadata.tables[table].columns
        processors = [column.type.bind_processor(connection.dialect) for column in columns]
        values = [
            process(getattr(row, column.name)) if process else getattr(row, column.name)
            for row in of_it
            for column, process in zip(columns, processors, strict=True)
        ]
        row = f"({placeholders(columns.keys())})"
        raw(connection).execute(
            f"INSERT INTO {table} ({', '.join(columns.keys())}) VALUES "
            + ", ".join([row] * (len(values) // len(columns))),
            values,
        )


def _table_name(row: SQLModel) -> str:
    return str(row.__tablename__)


def insert(
    session: Session,
    table: str,
    incoming: pa.Table,
    *,
    unless: str | None = None,
    select: str = "FROM incoming",
) -> int:
    """Insert rows in bulk, leaving out those whose ``unless`` columns stand in the table; returns how many entered.

    ``incoming`` has the columns of ``table`` by name (JSON columns as text), or ``select`` makes them from it.
    """
    fresh = f"SELECT * FROM ({select}) ANTI JOIN {table} USING ({unless})" if unless else select
    with registered(session, incoming) as connection:
        inserted: int = connection.execute(f"INSERT INTO {table} BY NAME {fresh}").fetchone()[0]
        return inserted


@contextmanager
def registered(session: Session, incoming: pa.Table) -> Iterator[Any]:
    """The session's DuckDB connection, with ``incoming`` as a table of that name."""
    connection = raw(session.connection())
    connection.register("incoming", incoming)
    yield connection
    connection.unregister("incoming")


def audit(session: Session, actor: str, action: str, record_type: str, record_id: str, **detail: Any) -> None:
    """Append to the audit, in the transaction of the change itself."""
    session.add(
        AuditRow(
            id=new_id("audit"),
            occurred_at=datetime.now(UTC),
            actor=actor,
            action=action,
            record_type=record_type,
            record_id=record_id,
            detail=detail,
        )
    )


def new_id(kind: str) -> str:
    """A random text key."""
    return f"{kind}_{secrets.token_hex(12)}"


def placeholders(values: Collection[object]) -> str:
    """``?, ?, ?``: one for each value of an IN list."""
    return ", ".join("?" * len(values))
