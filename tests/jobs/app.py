"""The app without its pages: a real store and the real watch, for tests to kill. app.py DATA_DIR JOBS

JOBS is JSON: a list of the arguments of the jobs to queue at first, in the order of their age.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.settings import load
from jobs import ingest
from storage.store import Store
from storage.workbench import Workbench
from tests.jobs.benches import queue, with_test_worker

if __name__ == "__main__":
    settings = load(data_dir=Path(sys.argv[1]))
    bench = with_test_worker(Workbench(settings, Store(settings.database_url)))
    for number, arguments in enumerate(json.loads(sys.argv[2])):
        queue(bench, str(number), **arguments)
    with ingest.watch(bench):
        time.sleep(600)
