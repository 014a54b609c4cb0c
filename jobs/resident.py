"""The models that score in this process: loaded when they are first asked, kept, and asked in batches by all callers at once."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np

from core.batching import Batcher
from core.production import Route
from core.ratings import FloatArray
from core.rewards.base import VotePredictor, load, sigmoid
from jobs import models
from providers.encoder import encoder
from storage import models as registry
from storage.models import Model, ModelError
from storage.store import Store
from storage.workbench import Workbench

KEPT = 2
BATCH = 64
"""Answers in a batch: about a second of work on two cores, after which other callers have their turn."""
_loaded: "OrderedDict[Path, Scorer]" = OrderedDict()
_reading, _loading = threading.Lock(), threading.Lock()


class NotReady(Exception):
    """No model that is deployed can do what is asked; the message says what to do."""


class NoSuchModel(ModelError):
    """No model goes by what was asked for."""


class Scorer:
    """A model in memory; it may be asked from many threads, and answers what they ask at once in batches."""

    def __init__(self, model: Model, predictor: VotePredictor) -> None:
        self.model = model
        self.predictor = predictor
        self._rewards = Batcher(self._batch, BATCH)

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """The rewards, shape (n,); the same answer twice has the same one. Raises RewardError."""
        items = list(zip(prompts, responses, strict=True))
        distinct = list(dict.fromkeys(items))
        reward = dict(zip(distinct, self._rewards(distinct), strict=True))
        return np.array([reward[item] for item in items])

    def _batch(self, items: list[tuple[str, str]]) -> list[float]:
        prompts, responses = zip(*items, strict=True)
        return list(self.predictor.score(prompts, responses).tolist())

    def good(self, scores: FloatArray) -> FloatArray | None:
        """The probabilities that the answers with these rewards are good, shape (n,); None of a model trained on pairs."""
        rated = self.predictor.trained_on == "ratings"
        return self.predictor.calibrator(sigmoid(scores)) if rated else None

    def predict(
        self, prompts: Sequence[str], responses_a: Sequence[str], responses_b: Sequence[str]
    ) -> FloatArray:
        """The probabilities that people prefer a, shape (n,). Raises NotReady of a model trained on ratings, RewardError."""
        if self.predictor.trained_on == "ratings":
            raise NotReady(
                f"{self.model.name} {self.model.version} was trained on ratings: it says whether one answer is good, not "
                "which of two people prefer. Score each answer, or ask a model that was trained on pairs."
            )
        scores = self.score([*prompts, *prompts], [*responses_a, *responses_b])
        return self.predictor.probabilities(scores[: len(prompts)] - scores[len(prompts) :])


@contextmanager
def serving(
    bench: Workbench, route: Route, texts: int, since: float, asked: str | None = None
) -> Iterator[Scorer]:
    """The ``scorer`` for a request about so many texts that came at ``since`` (of ``perf_counter``), which is counted when the block
    ends, as failed where it raises. One that finds no model to ask is not counted."""
    model, failed = found(bench, asked), True
    try:
        yield scorer(bench, model.id)
        failed = False
    finally:
        bench.served.add(model.id, route, texts, perf_counter() - since, failed)


def scorer(bench: Workbench, asked: str | None = None) -> Scorer:
    """The deployed model, or the one asked for (``found``), in memory from the first call on; KEPT models stay.

    Raises NotReady, ModelError, and RewardError where the model's files are damaged.
    """
    model = found(bench, asked)
    home = models.directory(bench, model)
    if there := _there(home):
        return there
    with _loading:
        if there := _there(home):
            return there
        made = Scorer(model, _load(bench, model))
        with _reading:
            _loaded[home] = made
            while len(_loaded) > KEPT:
                _loaded.popitem(last=False)
        return made


def _there(home: Path) -> Scorer | None:
    with _reading:
        if there := _loaded.get(home):
            _loaded.move_to_end(home)
        return there


def _load(bench: Workbench, model: Model) -> VotePredictor:
    """Read a model whose files are as they were registered; its encoder keeps nothing of what it is asked.

    One core is left to the app where there are several.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    home = models.verified(bench, model)
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
    return load(home, encoder)


def found(bench: Workbench, asked: str | None = None) -> Model:
    """The model with the id ``asked``; the deployed version of that name; or the one with that alias, or ``name@alias``
    where several names have it. Without ``asked`` the model deployed last.

    Raises NotReady where no version is deployed, NoSuchModel where there is none, ModelError where it is archived.
    """
    return _found(bench.store, bench.store.revision, asked)


@lru_cache(maxsize=64)
def _found(store: Store, revision: int, asked: str | None) -> Model:
    if asked is None:
        if model := registry.deployed(store):
            return model
        raise NotReady("No model is deployed: train one and deploy it on the Models page.")
    there = registry.listed(store, archived=True)
    of_name = [model for model in there if model.name == asked]
    named = [model for model in of_name if model.status == "deployed"]
    aliased = [
        m for m in there if asked in m.aliases or asked in [f"{m.name}@{alias}" for alias in m.aliases]
    ]
    matches = [model for model in there if model.id == asked] or named or aliased
    if len(matches) > 1:
        choices = ", ".join(f"{model.name}@{asked}" for model in matches)
        raise ModelError(f"Models of several names have the alias {asked!r}: ask for one of {choices}.")
    if not matches and of_name:
        raise NotReady(
            f"No version of {asked!r} is deployed: deploy one on the Models page, or ask for it by its id."
        )
    if not matches:
        raise NoSuchModel(f"There is no model with the id, name or alias {asked!r}.")
    if matches[0].status == "archived":
        raise ModelError(f"{matches[0].name} {matches[0].version} is archived; restore it first.")
    return matches[0]
