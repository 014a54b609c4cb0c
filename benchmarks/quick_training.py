"""A reward model from 500 pairs whose texts are embedded already, from the start of the process to its end.

python -m benchmarks.quick_training [--pairs 500]

Beside it, in the same run, what a script of one's own takes: sentence-transformers and scikit-learn, without a cache,
figures or a calibrator.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reward_models import read
from providers.encoder import DEFAULT, model_folder

OWN = """import json, sys
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
rows = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
encode = SentenceTransformer(sys.argv[1]).encode
x = encode([r["chosen"] for r in rows]) - encode([r["rejected"] for r in rows])
LogisticRegression().fit([*x, *-x], [1] * len(x) + [0] * len(x))"""


def main() -> None:
    """Print the seconds of each."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=500)
    options = parser.parse_args()
    pairs = read("ukp_convarg1", "train", None)[:: max(1, 7986 // options.pairs)][: options.pairs]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.jsonl"
        rows = [{"prompt": p.prompt, "chosen": p.response_a, "rejected": p.response_b} for p in pairs]
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        job = ["-m", "jobs", "train-reward", "--data", str(file), "--output"]
        first = seconds([*job, f"{folder}/first"], folder)
        cached = seconds([*job, f"{folder}/cached"], folder)
        own = seconds(["-c", OWN, str(model_folder(DEFAULT)), str(file)], folder)
    print(
        f"{len(pairs)} pairs, whole process\nours, embedding too   {first:6.1f} s\nours, cached          {cached:6.1f} s"
    )
    print(f"a script of one's own {own:6.1f} s, {own / cached:.1f} times as long as ours from the cache")


def seconds(arguments: Sequence[str], data_dir: str) -> float:
    begun = time.perf_counter()
    environment = {**os.environ, "ATTUNE_DATA_DIR": data_dir, "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
