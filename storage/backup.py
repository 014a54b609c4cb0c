"""Backup of the whole store into one file, and back.

The file is the database, with the files of the registered models in one more table: ``model_file(path, part, content,
sha256)``, ``path`` within the folder of models, ``content`` at most PART bytes of it, ``sha256`` that of the whole file.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

import duckdb

from storage.migrations import MIGRATIONS
from storage.store import Store, StoreError, raw

PART = 16 * 1024 * 1024


def backup(store: Store, file: Path, models: Path | None = None) -> None:
    """Write a consistent copy of the store to a file that is not there yet; people may go on working meanwhile.

    ``models``: the folder of models, whose files go in too. Raises StoreError when the file exists or cannot be written.
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
                if models and models.is_dir():
                    _put_in(duck, models)
            finally:
                duck.execute("DETACH backup")
        os.replace(part, file)
    except (duckdb.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"The backup could not be written to {file}: {error}") from None


def restore(file: Path, database: Path, models: Path | None = None) -> Path | None:
    """Put a backup in the place of the store, which no process may have open, and its models in that of ``models``.

    Returns where the store that was there is kept now; the models that were there are kept beside theirs, under such a
    name too. Raises StoreError, and leaves all as it was, when the file is not a backup, a newer Attune wrote it, it
    is damaged or cannot be copied, or the store is in use.
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
    weights = models and models.with_name(models.name + ".restoring")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        new.with_name(new.name + ".wal").unlink(missing_ok=True)
        shutil.copyfile(file, new)
        with duckdb.connect(str(new), read_only=True) as copied:
            if weights and copied.execute("FROM duckdb_tables() WHERE table_name = 'model_file'").fetchall():
                _take_out(copied, weights)
        with duckdb.connect(str(new)) as copied:
            copied.execute("DROP TABLE IF EXISTS model_file")
    except (OSError, duckdb.Error, StoreError) as error:
        with suppress(OSError):
            new.unlink()
        _remove(weights)
        raise StoreError(f"{file} cannot be copied to {new}: {error}") from None
    if database.exists():
        try:
            duckdb.connect(str(database)).close()
        except duckdb.Error as error:
            new.unlink()
            _remove(weights)
            raise StoreError(
                f"{database} is in use or damaged; stop Attune first, or move a damaged store away. ({error})"
            ) from None
        kept = _free_name(database)
        os.replace(database, kept)
        journal = database.with_name(database.name + ".wal")
        if journal.exists():
            os.replace(journal, kept.with_name(kept.name + ".wal"))
    if models and weights and weights.exists():
        if models.exists():
            os.replace(models, _free_name(models))
        os.replace(weights, models)
    os.replace(new, database)
    return kept


def _put_in(duck: duckdb.DuckDBPyConnection, models: Path) -> None:
    """Add the files under ``models`` to the attached backup."""
    duck.execute(
        "CREATE OR REPLACE TABLE backup.model_file (path VARCHAR, part INTEGER, content BLOB, sha256 VARCHAR)"
    )
    for path in sorted(path for path in models.rglob("*") if path.is_file()):
        name, size = path.relative_to(models).as_posix(), path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            for part in range(max(1, -(-size // PART))):
                file.seek(part * PART)
                duck.execute(
                    "INSERT INTO backup.model_file VALUES (?, ?, ?, ?)", [name, part, file.read(PART), digest]
                )


def _take_out(copied: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write the files of a backup anew under ``folder``. Raises StoreError for one that is not as it was put in."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = copied.execute(
        "SELECT path, any_value(sha256), count(*) FROM model_file GROUP BY path"
    ).fetchall()
    for name, sha256, parts in names:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise StoreError(f"it names the file {name!r}, which is outside the folder of models.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb+") as file:
            for part in range(parts):
                of_it = "SELECT content FROM model_file WHERE path = ? AND part = ?"
                for (content,) in copied.execute(of_it, [name, part]).fetchall():
                    file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise StoreError(f"its {name} is damaged (its SHA-256 differs).")


def _remove(folder: Path | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _free_name(database: Path) -> Path:
    number = 1
    while (name := database.with_name(f"{database.name}.before-restore-{number}")).exists():
        number += 1
    return name


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
