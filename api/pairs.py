"""Pairs: having two answers generated, adding a file of pairs, and finding them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, HTTPException, UploadFile
from pydantic import BaseModel, Field

from api.access import Lead, Researcher
from api.models import Body, InCampaign, InCategory, Limit, Name, Offset, Text, UploadReport, problems
from api.prompts import StoredPrompt
from core.generation import CREATIVE, FOCUSED, MOST_CANDIDATES, Failure, Sampling, Side, generate_pairs
from core.importing import read_judgements, read_pairs
from core.reading import read_rows
from core.records import Pair, Parsed, Prompt
from providers import NAMES, connect
from providers.base import answering
from storage import campaigns, cards, pairs, prompts
from storage.tables import ResponseRow
from storage.workbench import workbench

router = APIRouter(tags=["pairs"])
MOST_PROMPTS = 100
WORKERS = 8


class AnswerSide(Body):
    """How one of the two answers is made."""

    provider: Literal[NAMES] = "mock"  # type: ignore[valid-type]
    model: Name | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int = Field(1024, ge=1, le=1_000_000)
    system: Text | None = None
    seed: int | None = Field(None, ge=0, lt=2**31)

    def side(self) -> Side:
        return Side(self.provider, Sampling(**self.model_dump(exclude={"provider"})))


class Generation(Body):
    """Which prompts, stored (``prompt_ids``) or new (``texts``), and how each side answers."""

    prompt_ids: list[Name] = Field([], max_length=10_000)
    texts: list[Text] = Field([], max_length=10_000)
    a: AnswerSide = AnswerSide(temperature=FOCUSED.sampling.temperature)
    b: AnswerSide = AnswerSide(temperature=CREATIVE.sampling.temperature)
    candidates: int = Field(
        2, ge=2, le=MOST_CANDIDATES, description="Answers a prompt: one by a, the rest by b."
    )
    campaign: Name | None = Field(None, description="The campaign the pairs enter; the first one without it.")


class Failed(BaseModel):
    """A prompt that got no pair, and why."""

    prompt_id: str
    reason: str


class Generated(BaseModel):
    """The pairs made, and what became of the other prompts."""

    pair_ids: list[str]
    added: int
    duplicate: int
    failed: list[Failed]


class ListedPair(BaseModel):
    """A pair in a list; ``annotations`` counts the judgements that stand."""

    id: str
    external_id: str | None
    prompt: str
    category: str
    response_a: str
    response_b: str
    model_a: str | None
    model_b: str | None
    source: str
    gold: str | None
    annotations: int
    exposes_a: str | None = Field(description="the phrase in answer a that gives its model away")
    exposes_b: str | None
    created_at: datetime


class PairPage(BaseModel):
    """Some of the ``total`` pairs that match, newest first."""

    total: int
    items: list[ListedPair]


class StoredResponse(BaseModel):
    """An answer and what it was made with."""

    id: str
    text: str
    model: str | None
    params: dict[str, Any]
    exposes: str | None

    @classmethod
    def of(cls, row: ResponseRow) -> "StoredResponse":
        return cls(**row.model_dump(include=set(cls.model_fields)))


class WholePair(BaseModel):
    """A pair with its prompt and both answers."""

    id: str
    external_id: str | None
    prompt: StoredPrompt
    response_a: StoredResponse
    response_b: StoredResponse
    source: str
    gold: str | None
    created_at: datetime


@router.post("/generate", responses=problems(404))
def generate(wanted: Generation, lead: Lead) -> Generated:
    """Have each prompt answered twice, at once, up to 100 prompts; a prompt that fails costs only itself."""
    asked = len(wanted.prompt_ids) + len(wanted.texts)
    if not 1 <= asked <= MOST_PROMPTS:
        raise HTTPException(
            422,
            f"{asked} prompts: give 1 to {MOST_PROMPTS} here; for more, start a job on the Generate page or run "
            "python -m jobs generate-pairs.",
        )
    if "hf_local" in (wanted.a.provider, wanted.b.provider):
        raise HTTPException(422, "hf_local loads a model, which a job does: python -m jobs generate-pairs.")
    bench = workbench()
    campaign = campaigns.get(bench.store, wanted.campaign)
    complete_a, complete_b = (
        answering(connect(side.provider, bench.settings), side.side()) for side in (wanted.a, wanted.b)
    )
    todo, failed = _prompts(wanted)
    made: list[tuple[int, Pair]] = []

    def take(results: list[Pair | Failure]) -> None:
        for result in results:
            if isinstance(result, Failure):
                failed.append(Failed(prompt_id=result.prompt_id, reason=result.reason))
            else:
                made.append((len(made) + 1, result))

    generate_pairs(
        todo, complete_a, complete_b, on_result=take, workers=WORKERS, candidates=wanted.candidates
    )
    report = pairs.add(bench.store, bench.desks, Parsed(made, []), campaign.id, lead.id, source="api")
    return Generated(
        pair_ids=[pair.id for _, pair in made],
        added=report.added,
        duplicate=len(report.duplicates),
        failed=failed,
    )


def _prompts(wanted: Generation) -> tuple[list[Prompt], list[Failed]]:
    """The prompts asked for, each once, and those that are none."""
    store = workbench().store
    found: dict[str, Prompt] = {}
    failed = []
    for prompt_id in dict.fromkeys(wanted.prompt_ids):
        if (row := prompts.get(store, prompt_id)) is not None:
            found[prompt_id] = prompts.record(row)
        else:
            failed.append(Failed(prompt_id=prompt_id, reason="There is no prompt with this id."))
    for text in wanted.texts:
        prompt = Prompt.from_text(text)
        if text.strip():
            found.setdefault(prompt.id, prompt)
        else:
            failed.append(Failed(prompt_id=prompt.id, reason="The text is empty."))
    return list(found.values()), failed


@router.get("/pairs", responses=problems(404))
def list_pairs(
    _: Researcher,
    campaign: InCampaign,
    search: Name = "",
    category: InCategory = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> PairPage:
    """Pairs whose prompt holds ``search``, or that have it as id or external id."""
    rows, total = pairs.page(
        workbench().store, campaign_id=campaign, search=search, category=category, offset=offset, limit=limit
    )
    return PairPage(total=total, items=[ListedPair(**row) for row in rows])


@router.get("/pairs/{pair_id}", responses=problems(404))
def get_pair(pair_id: Name, _: Researcher) -> WholePair:
    """A pair as it is now."""
    card = cards.read(workbench().store, [pair_id]).get(pair_id)
    if card is None:
        raise HTTPException(404, f"There is no pair {pair_id!r}.")
    return WholePair(
        **card.pair.model_dump(include={"id", "external_id", "source", "gold", "created_at"}),
        prompt=StoredPrompt.of(card.prompt),
        response_a=StoredResponse.of(card.a),
        response_b=StoredResponse.of(card.b),
    )


@router.post("/pairs/upload", responses=problems(404))
def upload_pairs(
    lead: Lead,
    file: Annotated[UploadFile, File(description="JSON array, JSONL, CSV or Parquet; also as .gz")],
    format: Annotated[
        Literal["trl", "hh", "csv", "annotated"],
        Form(
            description="trl and hh: chosen and rejected; csv: prompt, response_a, response_b; annotated: also "
            "annotator and choice, a row a judgement"
        ),
    ],
    campaign: Annotated[
        Name | None, Form(description="The campaign they enter; the first one without it.")
    ] = None,
    labels: Annotated[
        Literal["none", "annotations", "gold"],
        Form(
            description="What the labels of trl, hh and csv rows become: nothing, annotations of source, or gold."
        ),
    ] = "none",
    source: Annotated[
        Name | None, Form(description="Where they come from; the file's name without it.")
    ] = None,
) -> UploadReport:
    """Add a file of pairs, or of judgements with their pairs. A row that is none is refused and the others go in."""
    bench = workbench()
    campaign_id = campaigns.get(bench.store, campaign).id
    name = file.filename or "the file"
    source = (source or "").strip() or name[-200:]
    rows = read_rows(file.file.read(), name)
    if format == "annotated":
        judged = read_judgements(rows.rows)
        report = pairs.add_judged(bench.store, bench.desks, judged, campaign_id, lead.id, source=source)
    else:
        found = read_pairs(rows.rows, format)
        report = pairs.add(
            bench.store, bench.desks, found, campaign_id, lead.id, source=source, labels=labels
        )
    return UploadReport.of(report, rows.refused)
