"""Scoring: rewards of answers, candidates ranked by them, and the probability that people prefer one of two answers."""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, Literal, Self, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from api.access import Researcher
from api.models import Body, Name, Text, problems
from api.prompts import ChatMessage
from core.preferences import prompt_text
from core.production import Route
from core.records import Message
from core.rewards.base import RewardError
from jobs.resident import NotReady, Scorer, serving
from storage.models import Model
from storage.workbench import workbench

router = APIRouter(tags=["scoring"])
MOST = 256
MOST_TEXT = 2_000_000
Prompt = Annotated[
    Text | Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)],
    Field(description="The text, or the messages of a chat."),
]
T = TypeVar("T")
_threads = CapacityLimiter(32)
"""Threads of scoring's own: those that wait for a model keep no other route waiting."""


class Asked(Body):
    """What every scoring request has."""

    model: Name | None = Field(
        None,
        description="A model's id, its name (the version that is deployed) or an alias; without it the model deployed last.",
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (size := len(self.model_dump_json())) > MOST_TEXT:
            raise ValueError(f"the request has {size:,} characters; at most {MOST_TEXT:,} are taken at once")
        return self


class Answered(Body):
    """An answer to a prompt."""

    prompt: Prompt
    response: Text


class ToScore(Asked):
    items: list[Answered] = Field(min_length=1, max_length=MOST)


class ToRerank(Asked):
    prompt: Prompt
    candidates: list[Text] = Field(min_length=1, max_length=MOST)


class AnsweredTwice(Body):
    """Two answers to a prompt."""

    prompt: Prompt
    response_a: Text
    response_b: Text


class ToPredict(Asked):
    pairs: list[AnsweredTwice] = Field(min_length=1, max_length=MOST)


class ScoredBy(BaseModel):
    """The model that answered."""

    id: str
    name: str
    version: str

    @classmethod
    def of(cls, model: Model) -> "ScoredBy":
        return cls(id=model.id, name=model.name, version=model.version)


class Score(BaseModel):
    """``score`` is a reward: a difference of two is the log odds of the better answer. ``good`` is the probability that
    the answer is good, null from a model trained on pairs."""

    score: float
    good: float | None


class Scores(BaseModel):
    model: ScoredBy
    items: list[Score]


class Ranked(BaseModel):
    """A candidate by its place in the request, from 0; ``score`` is null where no model could rank."""

    index: int
    score: float | None


class Ranking(BaseModel):
    """The candidates, the best first, equal ones in the given order. With ``fallback`` all are in the given order, and
    ``reason`` says why."""

    model: ScoredBy | None
    fallback: bool
    reason: str | None
    ranked: list[Ranked]


class Prediction(BaseModel):
    """``probability`` that people prefer a; ``choice`` is the more probable answer and ``confidence`` its probability."""

    probability: float
    choice: Literal["a", "b", "tie"]
    confidence: float


class Predictions(BaseModel):
    model: ScoredBy
    pairs: list[Prediction]


@router.post("/score", responses=problems(404, 409, 503))
async def score(asked: ToScore, _: Researcher) -> Scores:
    """The reward of each answer. 409 while no model is deployed; 503 where its files are damaged."""

    def answer(ready: Scorer) -> Scores:
        texts = [_text(item.prompt) for item in asked.items]
        rewards = ready.score(texts, [item.response for item in asked.items])
        good = ready.good(rewards)
        probable = [None] * len(rewards) if good is None else good.tolist()
        items = [Score(score=r, good=g) for r, g in zip(rewards.tolist(), probable, strict=True)]
        return Scores(model=ScoredBy.of(ready.model), items=items)

    return await _in_thread("score", len(asked.items), asked.model, answer)


@router.post("/rerank", responses=problems(404, 409))
async def rerank(asked: ToRerank, _: Researcher) -> Ranking:
    """Candidates by predicted quality. Where no model is ready they come back in the given order, and it says so."""

    def answer(ready: Scorer) -> Ranking:
        texts = [_text(asked.prompt)] * len(asked.candidates)
        rewards = ready.score(texts, asked.candidates).tolist()
        order = sorted(range(len(rewards)), key=lambda i: -rewards[i])
        ranked = [Ranked(index=i, score=rewards[i]) for i in order]
        return Ranking(model=ScoredBy.of(ready.model), fallback=False, reason=None, ranked=ranked)

    try:
        return await _in_thread("rerank", len(asked.candidates), asked.model, answer)
    except (NotReady, RewardError) as error:
        given = [Ranked(index=i, score=None) for i in range(len(asked.candidates))]
        return Ranking(model=None, fallback=True, reason=str(error), ranked=given)


@router.post("/predict", responses=problems(404, 409, 503))
async def predict(asked: ToPredict, _: Researcher) -> Predictions:
    """How probable it is that people prefer answer a to answer b, calibrated. Errors as for /score."""

    def answer(ready: Scorer) -> Predictions:
        first, second = (
            [getattr(pair, side) for pair in asked.pairs] for side in ("response_a", "response_b")
        )
        p = ready.predict([_text(pair.prompt) for pair in asked.pairs], first, second).tolist()
        return Predictions(model=ScoredBy.of(ready.model), pairs=[_prediction(one) for one in p])

    return await _in_thread("predict", 2 * len(asked.pairs), asked.model, answer)


def _prediction(p: float) -> Prediction:
    choice: Literal["a", "b", "tie"] = "tie" if p == 0.5 else "a" if p > 0.5 else "b"
    return Prediction(probability=p, choice=choice, confidence=max(p, 1 - p))


async def _in_thread(route: Route, texts: int, model: str | None, answer: Callable[[Scorer], T]) -> T:
    since = perf_counter()

    def served() -> T:
        with serving(workbench(), route, texts, since, model) as ready:
            return answer(ready)

    return await to_thread.run_sync(served, limiter=_threads)


def _text(prompt: str | list[ChatMessage]) -> str:
    if isinstance(prompt, str):
        return prompt
    return prompt_text([Message(turn.role, turn.content) for turn in prompt])
