"""Checkpoints of a training, written by a process that is killed in the middle of it."""

import os
import random
import select
import signal
import time
from itertools import count
from pathlib import Path

import pytest
import torch

from core.rewards.base import RewardError
from core.rewards.checkpoints import Checkpoint, Checkpoints


def checkpoint(step: int) -> Checkpoint:
    tensors = {f"layer {i}": torch.full((50, 50), float(step)) for i in range(4)}
    return Checkpoint({"weights": tensors, "best": tensors, "optimizer": {}}, {"step": step})


def write_until_killed(checkpoints: Checkpoints, first: int, ready: int) -> None:
    """In a process of its own: each step is kept twice, as a training does at the end of an epoch."""
    try:
        for step in count(first):
            checkpoints.keep(checkpoint(step))
            checkpoints.keep(checkpoint(step))
            os.write(ready, b".")
    finally:
        os._exit(1)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_whenever_it_is_killed_the_last_checkpoint_is_whole(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    checkpoints, draw, reached = Checkpoints(tmp_path, "this training"), random.Random(0), 0
    for _ in range(40):
        told, ready = os.pipe()
        child = os.fork()
        if child == 0:
            write_until_killed(checkpoints, reached + 1, ready)
        os.close(ready)
        assert select.select([told], [], [], 60)[0], "it keeps none"
        time.sleep(draw.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        os.close(told)
        last = checkpoints.last()
        assert last is not None and last.state["step"] > reached
        reached = last.state["step"]
        assert (
            last.tensors["weights"].keys() == last.tensors["best"].keys() == {f"layer {i}" for i in range(4)}
        )
        assert all((tensor == reached).all() for tensor in last.tensors["weights"].values())
    checkpoints.keep(checkpoint(reached))
    assert len(list(tmp_path.iterdir())) == 1, "what the killed ones left is gone"


def test_no_checkpoint_one_of_another_training_and_damaged_ones(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "here", "this training")
    assert checkpoints.last() is None
    checkpoints.keep(checkpoint(7))
    with pytest.raises(RewardError, match="of other data or settings"):
        Checkpoints(tmp_path / "here", "another").last()
    (folder,) = (tmp_path / "here").iterdir()
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", bytes([whole[0] ^ 1]) + whole[1:], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(
                RewardError, match=r"The checkpoint .* Start a new training, or delete .*/here"
            ):
                checkpoints.last()
            path.write_bytes(whole)
    last = checkpoints.last()
    assert last is not None and last.state["step"] == 7
