"""A store of an earlier version opens in this one with every row it had."""

from pathlib import Path

import pytest

from storage import jobs, migrations
from storage.backup import backup, restore
from storage.desk import Desks
from storage.simulated import load_sample
from storage.store import Store
from storage.tables import JobRow

TABLES = (
    "prompt", "response", "pair", "campaign", "campaign_pair", "annotator", "lease", "annotation", "account", "secret",
    "audit", "job",
)  # fmt: skip


def rows(store: Store, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    return store.rows(f"SELECT {columns} FROM {table} ORDER BY ALL")


def test_a_store_of_the_first_version_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"duckdb:///{tmp_path}/attune.duckdb"
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        store = Store(url)
        load_sample(store, Desks(store), "ann")
        with store.engine.begin() as connection:
            connection.exec_driver_sql(
                """INSERT INTO job VALUES ('job_1', 'generate-pairs', 'x', NULL, 'ann', true, '2026-01-02T03:04:05Z');
                   INSERT INTO lease SELECT 'l' || id, 'c', id, 'u', response_a, false, created_at, created_at FROM pair;
                   INSERT INTO account VALUES ('u', 'ann', 'Ann', 'admin', NULL, false, '2026-01-02T03:04:05Z');
                   INSERT INTO secret VALUES ('s', 'token', 'u', 'x', '2026-01-02T03:04:05Z', NULL)"""
            )
        columns = ", ".join(name for (name,) in store.rows("SELECT column_name FROM (DESCRIBE job)"))
        before = {table: rows(store, table, columns if table == "job" else "*") for table in TABLES}
        assert all(before.values())
        old = tmp_path / "old.backup"
        backup(store, old)
        store.close()

    store = Store(url)
    assert store.rows("SELECT max(version) FROM migration") == [(len(migrations.MIGRATIONS),)]
    after = {table: rows(store, table, columns if table == "job" else "*") for table in TABLES}
    assert after == before
    (job,) = jobs.listed(store, 10)
    assert (job.priority, job.time_limit, job.ended_at, job.state) == (0, None, None, None)
    store.append(
        JobRow(
            id="job_2",
            kind="score",
            label="",
            actor="ann",
            priority=2,
            time_limit=1.5,
            created_at=job.created_at,
        )
    )
    new = tmp_path / "new.backup"
    backup(store, new)
    store.close()

    for file, count in ((old, 1), (new, 2)):
        restore(file, store.path)
        again = Store(url)
        assert rows(again, "annotation") == before["annotation"]
        assert len(jobs.listed(again, 10)) == count
        again.close()


SOME = {
    "BOOLEAN": "true", "INTEGER": "2", "BIGINT": "3", "DOUBLE": "0.5", "FLOAT": "0.25", "VARCHAR": "'told'", "JSON": "'{}'",
    "FLOAT[]": "[0.5, 1]", "TIMESTAMP WITH TIME ZONE": "'2026-01-02T03:04:05Z'",
}  # fmt: skip
"""A value of each type of a column."""


@pytest.mark.parametrize("version", range(1, len(migrations.MIGRATIONS) + 1))
def test_a_store_of_every_version_keeps_a_row_of_every_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    url = f"duckdb:///{tmp_path}/attune.duckdb"
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:version])
        store = Store(url)
        columns: dict[str, dict[str, str]] = {}
        for table, name, kind in store.rows(
            """SELECT table_name, column_name, data_type FROM duckdb_columns()
               WHERE NOT internal AND table_name IN (SELECT table_name FROM duckdb_tables()) AND table_name <> 'migration'"""
        ):
            columns.setdefault(table, {})[name] = SOME[kind]
        with store.engine.begin() as connection:
            for table, values in columns.items():
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({', '.join(map(_quoted, values))}) VALUES ({', '.join(values.values())})"
                )
        before = {table: rows(store, table, ", ".join(map(_quoted, columns[table]))) for table in columns}
        store.close()

    store = Store(url)
    assert store.rows("SELECT max(version) FROM migration") == [(len(migrations.MIGRATIONS),)]
    after = {table: rows(store, table, ", ".join(map(_quoted, columns[table]))) for table in columns}
    store.close()
    assert after == before and all(len(found) == 1 for found in before.values())


def _quoted(name: str) -> str:
    return f'"{name}"'
