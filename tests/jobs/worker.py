"""What tests run in the place of a worker: it does, or gets wrong, what the job's arguments say. worker.py KIND RUNDIR"""

import atexit
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jobs.protocol import Progress, Row, Run, carry_out, metric


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    told = run.job()["arguments"]
    steps, pause = told.get("steps", 3), told.get("pause", 0.01)
    if told["how"] == "raise":
        raise ValueError("The third layer has no weights.")
    if told["how"] == "want of memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
        return {"size": len(bytearray(2**40))}
    if told["how"] == "fill the disk":
        if limit := told.get("limit"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with (run.artifacts / "weights").open("wb") as file:
            for _ in range(1000):
                file.write(os.urandom(65_536))
    if told["how"] == "spoil the result":
        run.result_file.write_text('{"status": "do')
        os._exit(0)
    if told["how"] == "leave slowly":
        atexit.register(time.sleep, 1)
    if told["how"] == "deaf":
        subprocess.Popen(["sleep", "600"])
    progress = Progress(run, total=steps)
    held = []
    for step in range(steps):
        if told["how"] == "take more and more memory":
            held.append(b"x" * 2**22)
        if should_stop() and told["how"] != "deaf":
            break
        progress.step()
        metric(run, step=step, loss=1 / (step + 1))
        time.sleep(pause)
        if told["how"] == "half a line" and step == 1:
            progress.tell()
            with run.events_file.open("ab") as file:
                file.write(b'{"event": "progress", "done": 99')
            os.kill(os.getpid(), signal.SIGKILL)
    while told["how"] == "wait to be let go" and not (run.path / "go").exists():
        time.sleep(0.01)
    if run.job()["kind"] in ("train-reward", "evaluate"):
        from tests.jobs.training import train

        train(run, told["how"])
    (run.artifacts / "checkpoint").write_text(str(progress.done))
    return {"steps": progress.done}


if __name__ == "__main__":
    carry_out(Run(Path(sys.argv[2])), work)
