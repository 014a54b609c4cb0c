"""Answers in order of predicted quality, or as they were given where no model is ready; and who said so."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import streamlit as st

from core.rewards.base import RewardError
from jobs.resident import NotReady, Scorer, serving
from pages._predicted import called, estimate
from pages._report import plain
from storage.models import Model, ModelError
from storage.workbench import workbench


@dataclass(frozen=True)
class Ranking:
    """Answers, the best first; ``place`` is where each stood. Without a model (``why`` says why not) the given order.

    ``reward``, ``over_next``: shapes (n,) and (n - 1,), the latter the probability that people prefer each to the next.
    """

    prompt: str
    answers: list[str]
    place: list[int]
    reward: list[float]
    over_next: list[float]
    model: Model | None
    why: str | None = None


def ranked(asked: Sequence[tuple[str, list[str]]], version: str | None) -> list[Ranking]:
    """Each prompt's answers in order of predicted quality, or as given where there is no model to ask."""
    try:
        if version is None:
            raise NotReady("No model is deployed.")
        texts, since = sum(len(answers) for _, answers in asked), perf_counter()
        with (
            st.spinner("Ranking. The first time a model is asked it is loaded, which takes some seconds…"),
            serving(workbench(), "page", texts, since, version) as ready,
        ):
            return _scored(asked, ready)
    except (NotReady, ModelError, RewardError) as error:
        return [
            Ranking(prompt, answers, list(range(len(answers))), [], [], None, str(error))
            for prompt, answers in asked
        ]


def _scored(asked: Sequence[tuple[str, list[str]]], ready: Scorer) -> list[Ranking]:
    flat = [(prompt, answer) for prompt, answers in asked for answer in answers]
    rewards = ready.score([prompt for prompt, _ in flat], [answer for _, answer in flat])
    found, at = [], 0
    for prompt, answers in asked:
        reward = rewards[at : at + len(answers)]
        at += len(answers)
        order = np.argsort(-reward, kind="stable")
        by_rank = reward[order]
        over_next = (
            ready.predictor.probabilities(by_rank[:-1] - by_rank[1:])
            if ready.predictor.trained_on == "pairs"
            else np.zeros(0)
        )
        found.append(
            Ranking(
                prompt,
                [answers[i] for i in order],
                order.tolist(),
                by_rank.tolist(),
                over_next.tolist(),
                ready.model,
            )
        )
    return found


def fallback(ranking: Ranking) -> None:
    st.warning(
        f"This is the order as given, not a ranking. {plain(ranking.why or '')}",
        icon=":material/low_priority:",
    )


def said_by(model: Model) -> None:
    """Which version ranked, and how far its probabilities can be trusted."""
    figures = model.figures
    calibrator = figures.get("calibrator", {}).get("name", "identity")
    how = (
        "as they are: no calibrator made them better"
        if calibrator == "identity"
        else f"calibrated ({plain(calibrator)})"
    )
    st.caption(
        f"Said by **{plain(called(model))}** ({model.status}): {plain(model.method)} on {plain(model.base or 'no base')}. Its probabilities are {how}. "
        f"On pairs kept from it: accuracy {estimate(figures, 'accuracy')}, ECE {estimate(figures, 'ece')}."
    )
