"""What pages, routes and background work share in one process: the settings, the store and the desks."""

import threading
from dataclasses import dataclass, field

from core.settings import Settings, load
from storage.adjudication import Adjudication
from storage.desk import Desks
from storage.production import Served
from storage.store import Store


@dataclass
class Workbench:
    """The open store of this process."""

    settings: Settings
    store: Store
    desks: Desks = field(init=False)
    adjudication: Adjudication = field(init=False)
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        self.desks = Desks(self.store)
        self.adjudication = Adjudication(self.store, self.desks)
        self.served = Served(self.store)


_lock = threading.Lock()
_open: Workbench | None = None


def workbench() -> Workbench:
    """The process's workbench, opened at the first call. Raises SettingsError or StoreError."""
    global _open
    with _lock:
        if _open is None:
            settings = load()
            _open = Workbench(settings, Store(settings.database_url, settings.store_memory_mb))
        return _open


def close() -> None:
    """Close the store; the next ``workbench()`` opens it anew."""
    global _open
    with _lock:
        if _open is not None:
            _open.store.close()
            _open = None
