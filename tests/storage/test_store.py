"""The store: transactions, group commit, who may open it, and a schema that is what the tables say."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, create_engine, select

from storage import campaigns, tables
from storage.migrations import MIGRATIONS
from storage.store import Store, StoreError, audit, insert, known
from storage.tables import AnnotatorRow, AuditRow, PromptRow

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def person(number: int) -> AnnotatorRow:
    return AnnotatorRow(id=f"u{number}", name=f"Person {number}", kind="person", created_at=NOW)


def names(store: Store) -> list[str]:
    return [name for (name,) in store.rows("SELECT id FROM annotator ORDER BY id")]


def test_appends_of_many_threads_are_all_there_afterwards(store: Store) -> None:
    def work(worker: int) -> list[int]:
        seen = []
        for i in range(25):
            store.append(person(1000 * worker + i))
            seen.append(len(store.rows("SELECT 1 FROM annotator WHERE id = ?", f"u{1000 * worker + i}")))
        return seen

    before = store.revision
    with ThreadPoolExecutor(16) as pool:
        assert all(seen == [1] * 25 for seen in pool.map(work, range(16)))
    assert len(names(store)) == 400
    assert before < store.revision <= before + 400
    path = store.path
    store.close()
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(DISTINCT id) FROM annotator").fetchone() == (400,)


def test_a_bad_row_fails_alone_and_the_others_of_its_commit_enter(store: Store) -> None:
    """Every append waits behind one open transaction, so that they come to share a commit."""
    store.append(person(3))
    outcomes: dict[int, type[Exception] | None] = {}

    def append(number: int) -> None:
        try:
            store.append(person(100 + number), person(number))
            outcomes[number] = None
        except Exception as error:
            outcomes[number] = type(error)

    threads = [threading.Thread(target=append, args=(i,)) for i in range(8)]
    with store.writing():
        for thread in threads:
            thread.start()
        while len(store._pending) < 8:
            pass
    for thread in threads:
        thread.join()
    assert outcomes.pop(3) is not None
    assert set(outcomes.values()) == {None}
    assert set(names(store)) == {f"u{i}" for i in range(8)} | {f"u{100 + i}" for i in range(8) if i != 3}


def test_traffic_has_a_count_of_its_own_but_not_where_it_shares_a_commit(store: Store) -> None:
    store.append(person(0), traffic=True)
    assert (store.revision, store.traffic) == (0, 1)
    threads = [
        threading.Thread(target=store.append, args=[person(n)], kwargs={"traffic": n > 1}) for n in (1, 2, 3)
    ]
    with store.writing(traffic=True):
        for thread in threads:
            thread.start()
        while len(store._pending) < len(threads):
            pass
    for thread in threads:
        thread.join()
    assert (len(names(store)), store.revision, store.traffic) == (4, 1, 2)


def test_writing_leaves_nothing_behind_when_it_fails(store: Store) -> None:
    revision = store.revision
    with pytest.raises(ZeroDivisionError), store.writing() as session:
        session.add(person(1))
        session.flush()
        table = pa.table({"id": ["u2"], "name": ["x"], "kind": ["person"], "created_at": [NOW]})
        assert insert(session, "annotator", table) == 1
        audit(session, "test", "add", "annotator", "u1")
        assert known(session, "annotator", ["u1", "u2", "u3"]) == {"u1", "u2"}
        raise ZeroDivisionError
    assert names(store) == []
    assert store.rows("SELECT count(*) FROM audit") == [(0,)]
    assert store.revision == revision
    with store.writing() as session:
        session.add(person(1))
    assert names(store) == ["u1"] and store.revision == revision + 1


def test_a_row_that_breaks_a_constraint_in_a_bulk_insert_takes_the_whole_back(store: Store) -> None:
    table = pa.table(
        {"id": ["u1", "u1"], "name": ["x", "y"], "kind": ["person"] * 2, "created_at": [NOW] * 2}
    )
    with pytest.raises(duckdb.ConstraintException), store.writing() as session:
        session.add(person(9))
        session.flush()
        insert(session, "annotator", table)
    assert names(store) == []
    with store.writing() as session:
        assert insert(session, "annotator", table.slice(0, 1)) == 1
    assert names(store) == ["u1"]


def test_times_are_utc_wherever_the_server_is(tmp_path: Path) -> None:
    code = f"""
from storage.store import Store
from storage import campaigns
store = Store("duckdb:///{tmp_path}/a.duckdb")
made = campaigns.first(store)
print(made.created_at.isoformat() == campaigns.get(store, made.id).created_at.isoformat())
print(store.rows("SELECT strftime(created_at::TIMESTAMP, '%H:%M:%S') FROM campaign")[0][0] == f"{{made.created_at:%H:%M:%S}}")
"""
    env = {**os.environ, "TZ": "America/New_York"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_second_process_is_told_that_the_store_is_in_use(store: Store) -> None:
    code = f"""
from storage.store import Store, StoreError
try:
    Store("duckdb:///{store.path}")
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{store.path} is in use by another process" in done.stdout


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.duckdb"
    file.write_text("Shopping list\n" * 1000)
    with pytest.raises(StoreError, match=r"notes\.duckdb cannot be opened as a store"):
        Store(f"duckdb:///{file}")
    assert file.read_text() == "Shopping list\n" * 1000


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(f"duckdb:///{tmp_path}/file/attune.duckdb")


def test_a_store_of_a_newer_version_is_refused_and_stays_as_it_is(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO migration VALUES (999, 'm999_later', now())")
    url = str(store.engine.url)
    store.close()
    with pytest.raises(StoreError, match="newer Attune wrote this store"):
        Store(url)
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("DELETE FROM migration WHERE version = 999")
    Store(url).close()


def test_migrations_are_recorded_once_and_in_order(store: Store) -> None:
    expected = [(i, step.__name__.strip("_")) for i, step in enumerate(MIGRATIONS, start=1)]
    assert store.rows("SELECT version, name FROM migration ORDER BY version") == expected
    store.append(person(1))
    store.close()
    again = Store(str(store.engine.url))
    assert again.rows("SELECT version, name FROM migration ORDER BY version") == expected
    assert names(again) == ["u1"]
    again.close()


KEYLESS = {"prediction", "drift_point", "drift_cluster", "served", "outcome"}


def test_the_migrated_schema_is_what_the_tables_say(store: Store, tmp_path: Path) -> None:
    """Column names, types, nullability and keys, as DuckDB itself lists them."""
    declared = create_engine(f"duckdb:///{tmp_path}/declared.duckdb")
    SQLModel.metadata.create_all(declared)
    columns = """SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
                 WHERE table_name IN (SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE')
                 AND table_name <> 'migration' ORDER BY ALL"""
    keys = """SELECT table_name, constraint_column_names FROM duckdb_constraints()
              WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND table_name <> 'migration' ORDER BY ALL"""
    with declared.connect() as connection:
        for query, keyless in ((columns, set()), (keys, KEYLESS)):
            wanted = [tuple(row) for row in connection.exec_driver_sql(query)]
            assert store.rows(query) == wanted
            assert {row[0] for row in wanted} == set(SQLModel.metadata.tables) - keyless
    declared.dispose()
    assert set(inspect(store.engine).get_view_names()) >= {"current_annotation"}
    assert tables.PromptRow.__tablename__ == "prompt"


def test_rows_come_back_as_they_went_in(store: Store) -> None:
    row = PromptRow(
        id="p",
        text="Zeile\u2028eins \U0001f600",
        messages=[{"role": "user", "content": "é"}],
        category="math",
        tags=["a, b", '"'],
        attributes={"source": "x"},
        created_at=NOW,
    )
    before = row.model_dump()
    store.append(row)
    store.append(PromptRow(id="q", text="x", category="math", created_at=NOW))
    with store.reading() as session:
        assert session.get_one(PromptRow, "p").model_dump() == before
        assert session.get_one(PromptRow, "q").messages is None
    assert store.rows("SELECT count(*) FROM prompt WHERE messages IS NULL") == [(1,)]


def test_audit_entries_enter_with_their_change(store: Store) -> None:
    with pytest.raises(DBAPIError), store.writing() as session:
        audit(session, "ann", "add", "annotator", "u1", why="no name")
        session.add(AnnotatorRow(id="u1", kind="person", created_at=NOW))
    assert store.rows("SELECT count(*) FROM audit") == [(0,)]
    campaigns.first(store)
    with store.reading() as session:
        (entry,) = session.exec(select(AuditRow))
    assert (entry.actor, entry.action, entry.record_type) == ("attune", "create", "campaign")
    assert entry.detail == {"name": "Main", "k": 3}


def test_a_query_beyond_the_memory_limit_says_what_to_do(tmp_path: Path) -> None:
    store = Store(f"duckdb:///{tmp_path}/attune.duckdb", memory_mb=64)
    try:
        for ask in (store.rows, store.table):
            with pytest.raises(StoreError, match="ATTUNE_STORE_MEMORY_MB"):
                ask("SELECT list(i::TEXT || repeat('x', 90)) FROM range(5_000_000) t(i)")
        assert store.rows("SELECT 1") == [(1,)]
    finally:
        store.close()
