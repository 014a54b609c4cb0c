"""python -m storage backup FILE | restore FILE"""

import argparse
import getpass
import os
import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from core.settings import SettingsError, load
from storage.backup import backup, restore
from storage.store import Store, StoreError, audit


def _user() -> str:
    """Who asks, by the system's name for them, or their number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m storage", description="Back the whole store up, or bring it back."
    )
    parser.add_argument("action", choices=("backup", "restore"))
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    try:
        settings = load()
        database = Path(make_url(settings.database_url).database or "")
        if options.action == "backup":
            if not database.exists():
                raise StoreError(f"There is no store at {database} yet.")
            store = Store(settings.database_url)
            backup(store, options.file, settings.models_dir)
            store.close()
            print(f"The store and its models are backed up in {options.file}.")
        else:
            actor = f"shell:{_user()}"
            kept = restore(options.file, database, settings.models_dir)
            store = Store(settings.database_url)
            with store.writing() as session:
                audit(session, actor, "restore", "store", options.file.name)
            store.close()
            print(
                f"{database} is restored from {options.file}." + (f" What was there: {kept}" if kept else "")
            )
    except (SettingsError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
