"""`python -m jobs KIND RUNDIR`, or from a shell on bare files: `python -m jobs KIND --help`."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path

from jobs import generate_pairs
from jobs.protocol import JobError, Run, carry_out


def main() -> int:
    """Do one job; answers 0 when it is done, 1 when it failed, 130 when it was asked to stop."""
    parser = ArgumentParser(prog="python -m jobs", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    pairs = kinds.add_parser(generate_pairs.KIND, help="two answers to every prompt of a file")
    pairs.add_argument("run", nargs="?", type=Path, metavar="RUNDIR", help="a prepared run directory")
    generate_pairs.add_options(pairs)
    options = parser.parse_args()
    try:
        run = Run(options.run.absolute()) if options.run else generate_pairs.run_from_options(options)
        ending = carry_out(run, generate_pairs.work)
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
