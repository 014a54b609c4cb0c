"""A drift run from embeddings on: seconds and memory at 2,000, 10,000 and 50,000 texts, the first time in a process and again.

    python -m benchmarks.drift_speed [--sizes 2000 10000 50000]

A process for each size; the first run of it loads and compiles what UMAP needs, as every job does, the second finds that done. What is
timed is what a job does after embedding: PCA, neighbours, map, clusters, names, every test.
"""

import json
import os
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser

import numpy as np

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SIZES = (2000, 10_000, 50_000)
TOPICS = 30


def measure(n: int) -> None:
    """Two runs in this process; prints their seconds by phase and the memory at its peak, as JSON."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(TOPICS, 384))
    topic = random.integers(0, TOPICS, n)
    vectors = (centres[topic] + 0.9 * random.normal(size=(n, 384))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = [f"topic{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in topic]
    texts = [f"{word} is asked about in words of its own, and {word} again" for word in words]
    p, after = random.uniform(0.1, 0.9, n), np.arange(n) >= n // 2
    y = (random.random(n) < p).astype(np.float64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    runs = []
    for seed in (0, 1):
        begun = time.perf_counter()
        from core.change_points import changes
        from core.clustering import clustered, named
        from core.drift import Rows, by_cluster, calibration
        from core.two_samples import classifier, mmd

        found = clustered(vectors, seed)
        laid_out = time.perf_counter()
        named(texts, found.label, seed)
        rows = Rows.of(after, np.arange(n), probability=p, target=y)
        clusters = by_cluster(found.label, rows)
        mmd(found.reduced, after)
        classifier(found.reduced, after)
        calibration(p, y, after, rows.group)
        changes(np.nan_to_num(rows.error))
        ended = time.perf_counter()
        runs.append({"map": laid_out - begun, "rest": ended - laid_out, "clusters": len(clusters)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"runs": runs, "before": before, "peak": peak}))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help="measure this size here")
    options = parser.parse_args()
    if options.one:
        measure(options.one)
        return
    print(
        f"{'texts':>8} {'':6} {'map and clusters':>18} {'names and tests':>17} {'in all':>9} {'clusters':>9} {'peak memory':>12}"
    )
    for n in options.sizes:
        command = [sys.executable, "-m", "benchmarks.drift_speed", "--one", str(n)]
        found = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        )
        for which, run in zip(("cold", "warm"), found["runs"], strict=True):
            whole = run["map"] + run["rest"]
            print(
                f"{n:8,} {which:6} {run['map']:16.1f} s {run['rest']:15.1f} s {whole:7.1f} s {run['clusters']:9} {found['peak']:9,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
