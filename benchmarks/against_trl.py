"""The plain transformer beside TRL's RewardTrainer: same encoder, pairs and epochs, in one run.

python -m benchmarks.against_trl --pairs 1000 --epochs 1
"""

import os
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.reward_models import read
from core.calibration import Predictions
from core.comparing import accuracy, compare
from core.estimate import Estimate
from core.rewards import transformer, trl
from core.rewards.base import VotePredictor, sigmoid
from core.rewards.report import differences, predictions_of
from providers.encoder import DEFAULT, model_folder


def main() -> None:
    """Print seconds and held-out accuracy of both."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("ukp_convarg1", "hh_rlhf_pairs"), default="hh_rlhf_pairs")
    parser.add_argument("--criterion", default="helpful", help="of hh_rlhf_pairs")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    criterion = options.criterion if options.set == "hh_rlhf_pairs" else None
    train = read(options.set, "train", criterion)[: options.pairs]
    held = read(options.set, "validation", criterion)
    told = {
        "model": DEFAULT,
        "epochs": options.epochs,
        "seed": 0,
        "recipe": "plain",
        "surface": False,
        "stop_share": 0.0,
        "learning_rate": 5e-5,
        "checkpoint_seconds": 1e9,
        "batch": 16,
    }
    seconds: dict[str, float] = {}
    predicted: list[Predictions] = []
    print(
        f"{len(train)} pairs of {options.set}, {options.epochs} epochs\nmethod       seconds  accuracy (95%)"
    )
    for name, method in (("ours", transformer), ("TRL", trl)):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            reward, _ = method.fit(train, told, model_folder(DEFAULT), Path(folder))
            seconds[name] = time.perf_counter() - begun
        predicted.append(predictions_of(sigmoid(differences(VotePredictor(reward), held)), held))
        print(f"{name:12s} {seconds[name]:7.1f}  {told_as(accuracy(predicted[-1]))}", flush=True)
    print(
        f"TRL takes {seconds['TRL'] / seconds['ours']:.2f} times as long; its accuracy less ours, paired: "
        f"{told_as(compare(predicted[0], predicted[1]).accuracy)}"
    )


def told_as(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f}), n {estimate.n}"


if __name__ == "__main__":
    main()
