"""Backup of the whole store into one file, and back."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import duckdb

from storage.migrations import MIGRATIONS
from storage.store import Store, StoreError, raw


def backup(store: Store, file: Path) -> None:
    """Write a consistent copy of the store to a file that is not there yet; people may go on working meanwhile.

    Raises StoreError when the file exists or cannot be written.
    """
    if file.exists():
        raise StoreError(f"{file} exists; choose another name for the backup.")
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with store.engine.connect() as connection:
            duck = raw(connection)
            source = duck.execute("SELECT current_database()").fetchone()[0].replace('"', '""')
            duck.execute(f"ATTACH '{_quoted(part)}' AS backup")
            try:
                duck.execute(f'COPY FROM DATABASE "{source}" TO backup')
            finally:
                duck.execute("DETACH backup")
        os.replace(part, file)
    except (duckdb.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"The backup could not be written to {file}: {error}") from None


def restore(file: Path, database: Path) -> Path | None:
    """Put a backup in the place of the store, which no process may have open.

    Returns where the store that was there is kept now. Raises StoreError, and leaves the store as it was, when the file
    is not a backup, a newer Attune wrote it, it cannot be copied, or the store is in use.
    """
    if not file.is_file():
        raise StoreError(f"{file} is not there.")
    try:
        with duckdb.connect(str(file), read_only=True) as backed_up:
            version = backed_up.execute("SELECT coalesce(max(version), 0) FROM migration").fetchall()[0][0]
    except duckdb.Error as error:
        raise StoreError(f"{file} is not a backup of Attune: {error}") from None
    if version == 0:
        raise StoreError(f"{file} is not a backup of Attune: it has no schema.")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"A newer Attune wrote {file} (schema {version}, this version knows {len(MIGRATIONS)})."
        )
    kept = None
    new = database.with_name(database.name + ".restoring")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, new)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise StoreError(f"{file} cannot be copied to {new}: {error}") from None
    if database.exists():
        try:
            duckdb.connect(str(database)).close()
        except duckdb.Error as error:
            new.unlink()
            raise StoreError(
                f"{database} is in use or damaged; stop Attune first, or move a damaged store away. ({error})"
            ) from None
        kept = _free_name(database)
        os.replace(database, kept)
        journal = database.with_name(database.name + ".wal")
        if journal.exists():
            os.replace(journal, kept.with_name(kept.name + ".wal"))
    os.replace(new, database)
    return kept


def _free_name(database: Path) -> Path:
    number = 1
    while (name := database.with_name(f"{database.name}.before-restore-{number}")).exists():
        number += 1
    return name


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
