"""Backup and restore of the whole store: under load, from the shell, and refused without a trace where it must be."""

import getpass
import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from core.records import Judgement, Parsed
from storage import audits, campaigns, pairs, people
from storage.backup import PART, backup, restore
from storage.desk import Desks
from storage.migrations import MIGRATIONS
from storage.store import Store, StoreError
from tests.storage.conftest import MakePairs, parsed

ROOT = Path(__file__).resolve().parents[2]


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table and view, and what the schema is made of."""
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
        ]
        found = {name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in tables}
        found["schema"] = connection.execute(
            """SELECT table_name, constraint_type, constraint_column_names FROM duckdb_constraints() ORDER BY ALL"""
        ).fetchall()
        return found


@pytest.fixture
def filled(store: Store, desks: Desks, make_pairs: MakePairs) -> Store:
    main = campaigns.first(store).id
    pairs.add(store, desks, parsed(make_pairs(20)), main, "ann", source="x")
    rows = [(n, Judgement(p, f"u{n}", "tie")) for n, p in enumerate(make_pairs(20), start=1)]
    pairs.add_judged(store, desks, Parsed(rows, []), main, "ann", source="x")
    people.create(store, "bob", "Bob", "lead", "ann")
    return store


def test_a_restored_store_is_the_store(filled: Store, tmp_path: Path) -> None:
    backup(filled, tmp_path / "it's a backup.duckdb")
    filled.close()
    before = contents(filled.path)
    assert len(before["annotation"]) == 20 and len(before["current_annotation"]) == 20
    assert contents(tmp_path / "it's a backup.duckdb") == before
    assert restore(tmp_path / "it's a backup.duckdb", tmp_path / "new" / "attune.duckdb") is None
    assert contents(tmp_path / "new" / "attune.duckdb") == before
    again = Store(f"duckdb:///{tmp_path}/new/attune.duckdb")
    people.create(again, "cleo", "Cleo", "lead", "ann")
    again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["attune.duckdb", "it's a backup.duckdb", "new"]


def test_a_backup_under_load_is_one_moment(filled: Store, tmp_path: Path) -> None:
    """An account and its annotator are written in one transaction: no backup has one without the other."""
    over = threading.Event()
    made: list[str] = []

    def work(worker: int) -> None:
        number = 0
        while not over.is_set():
            made.append(people.create(filled, f"w{worker}-{number}", "Worker", "annotator", "ann")[0].id)
            number += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            before = set(made)
            backup(filled, tmp_path / f"{number}.duckdb")
            after = len(made) + len(threads)
            found = contents(tmp_path / f"{number}.duckdb")
            accounts = {row[0] for row in found["account"]}
            assert before <= accounts and len(accounts) <= after + 1
            assert {i for i, _, kind, _ in found["annotator"] if kind == "person"} == accounts
            assert sum(row[4] == "account" for row in found["audit"]) == len(accounts)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len(made) > 10


def test_a_backup_does_not_overwrite(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    with pytest.raises(StoreError, match="exists"):
        backup(filled, tmp_path / "there")
    with pytest.raises(StoreError, match="could not be written"):
        backup(filled, tmp_path / "no folder" / "backup")
    assert (tmp_path / "there").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir() if "duckdb" not in p.name) == ["there"]
    backup(filled, tmp_path / "fine")


def test_what_was_there_is_kept(filled: Store, tmp_path: Path) -> None:
    backup(filled, tmp_path / "one")
    people.create(filled, "cleo", "Cleo", "lead", "ann")
    filled.close()
    later = contents(filled.path)
    kept = restore(tmp_path / "one", filled.path)
    assert kept is not None and contents(kept) == later
    assert contents(filled.path) == contents(tmp_path / "one")
    second = restore(tmp_path / "one", filled.path)
    assert second is not None and second != kept and contents(kept) == later


def broken(kind: str, tmp_path: Path, good: Path) -> Path:
    file = tmp_path / "bad"
    if kind == "absent":
        return file
    if kind == "folder":
        file.mkdir()
    elif kind == "text":
        file.write_text("not a database" * 1000)
    elif kind == "cut":
        file.write_bytes(good.read_bytes()[:5000])
    elif kind == "empty":
        file.touch()
    else:
        with duckdb.connect(str(file)) as connection:
            if kind == "newer":
                connection.execute(
                    "CREATE TABLE migration (version INTEGER, name TEXT, applied_at TIMESTAMPTZ)"
                )
                connection.execute(f"INSERT INTO migration VALUES ({len(MIGRATIONS) + 1}, 'later', now())")
            elif kind == "unmigrated":
                connection.execute(
                    "CREATE TABLE migration (version INTEGER, name TEXT, applied_at TIMESTAMPTZ)"
                )
            else:
                connection.execute("CREATE TABLE other (x INTEGER)")
    return file


@pytest.mark.parametrize("kind", ["absent", "folder", "text", "cut", "empty", "newer", "unmigrated", "other"])
def test_a_file_that_is_no_backup_changes_nothing(filled: Store, tmp_path: Path, kind: str) -> None:
    backup(filled, tmp_path / "good")
    filled.close()
    bad = broken(kind, tmp_path, tmp_path / "good")
    before, files = contents(filled.path), sorted(tmp_path.iterdir())
    with pytest.raises(StoreError, match="bad"):
        restore(bad, filled.path)
    assert contents(filled.path) == before and sorted(tmp_path.iterdir()) == files


def test_a_store_in_use_is_left_alone(filled: Store, tmp_path: Path) -> None:
    backup(filled, tmp_path / "one")
    files = sorted(tmp_path.iterdir())
    with pytest.raises(StoreError, match="in use"):
        restore(tmp_path / "one", filled.path)
    code = f"""
from pathlib import Path
from storage.backup import restore
from storage.store import StoreError
try:
    restore(Path({str(tmp_path / "one")!r}), Path({str(filled.path)!r}))
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "in use" in done.stdout
    assert sorted(tmp_path.iterdir()) == files
    people.create(filled, "cleo", "Cleo", "lead", "ann")


def test_a_place_that_takes_no_copy_is_said_so(filled: Store, tmp_path: Path) -> None:
    backup(filled, tmp_path / "backup")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be copied"):
        restore(tmp_path / "backup", tmp_path / "file" / "attune.duckdb")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The folder of two models, one with weights of more than a part of a backup."""
    folder = tmp_path / "data" / "models"
    for name, size in (
        ("job_1/model.safetensors", 2 * PART + 5),
        ("job_1/model.json", 20),
        ("job_2/empty", 0),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(size))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_models_come_back_with_the_store(filled: Store, tmp_path: Path, weights: Path) -> None:
    backup(filled, tmp_path / "backup", weights)
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup"]
    filled.close()
    before, were = contents(filled.path), files(weights)
    assert (
        restore(tmp_path / "backup", tmp_path / "new" / "attune.duckdb", tmp_path / "new" / "models") is None
    )
    assert (
        contents(tmp_path / "new" / "attune.duckdb") == before and files(tmp_path / "new" / "models") == were
    )
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["attune.duckdb", "models"]
    (weights / "job_2" / "empty").write_text("later")
    later = files(weights)
    restore(tmp_path / "backup", filled.path, weights)
    assert files(weights) == were and files(weights.with_name("models.before-restore-1")) == later


def test_a_backup_without_models_leaves_those_there_are(filled: Store, tmp_path: Path, weights: Path) -> None:
    backup(filled, tmp_path / "backup")
    filled.close()
    were = files(weights)
    restore(tmp_path / "backup", filled.path, weights)
    assert files(weights) == were and [path.name for path in weights.parent.iterdir()] == ["models"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE model_file SET content = 'x' WHERE path = 'job_1/model.json'", "model.json is damaged"),
        ("DELETE FROM model_file WHERE part = 2", "model.safetensors is damaged"),
        (
            "UPDATE model_file SET path = '../' || path WHERE path = 'job_2/empty'",
            "outside the folder of models",
        ),
    ],
)
def test_models_that_are_not_as_they_were_change_nothing(
    filled: Store, tmp_path: Path, weights: Path, change: str, says: str
) -> None:
    backup(filled, tmp_path / "backup", weights)
    filled.close()
    with duckdb.connect(str(tmp_path / "backup")) as connection:
        connection.execute(change)
    before, were, there = contents(filled.path), files(weights), sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=says):
        restore(tmp_path / "backup", filled.path, weights)
    assert contents(filled.path) == before and files(weights) == were and sorted(tmp_path.rglob("*")) == there


def test_from_the_shell(tmp_path: Path) -> None:
    def run(*words: str, url: str | None = None) -> tuple[int, str]:
        env = {
            **os.environ,
            "ATTUNE_DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": url or f"duckdb:///{tmp_path}/data/attune.duckdb",
        }
        done = subprocess.run(
            [sys.executable, "-m", "storage", *words], cwd=ROOT, env=env, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    code, said = run("backup", str(tmp_path / "b"))
    assert code == 1 and "no store at" in said
    store = Store(f"duckdb:///{tmp_path}/data/attune.duckdb")
    people.create(store, "bob", "Bob", "lead", "ann")
    code, said = run("backup", str(tmp_path / "b"))
    assert code == 1 and "in use by another process" in said
    store.close()
    assert run("backup", str(tmp_path / "b"))[0] == 0
    code, said = run("backup", str(tmp_path / "b"))
    assert code == 1 and "exists" in said
    code, said = run("restore", str(tmp_path / "b"))
    assert code == 0 and "before-restore-1" in said
    code, said = run("restore", str(tmp_path / "no"))
    assert code == 1 and "is not there" in said
    assert run("backup", "x", url="sqlite:///x")[0] == 1
    again = Store(f"duckdb:///{tmp_path}/data/attune.duckdb")
    assert [a.login for a in people.accounts(again)] == ["bob"]
    restored, _ = audits.page(again, audits.Filter(action="restore"))
    assert [(row["actor"], row["record_type"], row["record_id"]) for row in restored] == [
        (f"shell:{getpass.getuser()}", "store", "b")
    ]
    again.close()
