"""`python -m jobs KIND RUNDIR`, or from a shell on bare files: `python -m jobs KIND --help`."""

import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

from jobs.protocol import JobError, Run, carry_out

KINDS = {
    "generate-pairs": ("jobs.generate_pairs", "two answers to every prompt of a file"),
    "train-reward": ("jobs.train_reward", "a reward model and vote predictor from preferences or ratings"),
    "calibrate": ("jobs.calibrate", "a model calibrated anew on other pairs"),
    "score": ("jobs.score", "rewards of answers, or probabilities of pairs"),
    "drift": ("jobs.drift", "what changed between two windows: a map, clusters, tests"),
    "fine-tune": ("jobs.fine_tune", "a model fine-tuned at a provider"),
    "evaluate": ("jobs.evaluate", "how good a model is on labelled pairs or ratings"),
}
REPORTED = ("drift", "evaluate")
"""Kinds whose result on a bare file is left as a report too."""


def main() -> int:
    """Do one job; answers 0 when it is done, 1 when it failed, 130 when it was asked to stop."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    asked = next((word for word in sys.argv[1:] if word in KINDS), None)
    parser = ArgumentParser(prog="python -m jobs", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, (_, what) in KINDS.items():
        added = kinds.add_parser(kind, help=what)
        added.add_argument("run", nargs="?", type=Path, metavar="RUNDIR", help="a prepared run directory")
        if kind == asked:  # a worker's module is imported for its own kind only: some are heavy
            import_module(KINDS[kind][0]).add_options(added)
    options = parser.parse_args()
    worker = import_module(KINDS[options.kind][0])
    try:
        run = Run(options.run.absolute()) if options.run else worker.run_from_options(options)
        ending = carry_out(run, worker.work)
        if ending == "done" and not options.run and options.kind in REPORTED:
            import_module("jobs.run_reports").write(run)
    except (JobError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    result = run.result() or {}
    print(f"{ending}: {result.get('reason') or run.artifacts}")
    return {"done": 0, "failed": 1, "cancelled": 130}[ending]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A request that is still out must not hold up a job that was asked to stop, so its thread is not waited for.
    os._exit(code)
