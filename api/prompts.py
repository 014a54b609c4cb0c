"""Prompts: adding one or a file of them, and finding them."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, HTTPException, Query, Response, UploadFile
from pydantic import BaseModel, Field

from api.access import Lead, Researcher
from api.models import Body, Limit, Name, Offset, Text, UploadReport
from core.importing import PromptColumns, guess_columns, read_prompts
from core.reading import read_rows
from core.records import Parsed
from storage import prompts
from storage.tables import PromptRow
from storage.workbench import workbench

router = APIRouter(tags=["prompts"])


class ChatMessage(BaseModel):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


def turns(row: PromptRow) -> list[ChatMessage]:
    """The whole chat of a stored prompt."""
    return [ChatMessage.model_construct(**vars(message)) for message in prompts.record(row).messages]


class NewPrompt(Body):
    """Either ``text``, or ``messages`` that end with the user's turn."""

    text: Text | None = None
    messages: list[ChatMessage] | None = Field(None, max_length=1000)
    category: Name = "general"
    tags: list[Name] = Field([], max_length=100)
    attributes: dict[Name, Name] = Field({}, max_length=100)


class StoredPrompt(BaseModel):
    """A prompt; ``text`` is its last turn, ``messages`` the whole chat."""

    id: str
    text: str
    messages: list[ChatMessage]
    category: str
    tags: list[str]
    attributes: dict[str, str]
    archived: bool
    created_at: datetime

    @classmethod
    def of(cls, row: PromptRow) -> "StoredPrompt":
        return cls.model_construct(**row.model_dump(exclude={"messages"}), messages=turns(row))


class PromptPage(BaseModel):
    """Some of the ``total`` prompts that match, newest first."""

    total: int
    items: list[StoredPrompt]


@router.post(
    "/prompts",
    status_code=201,
    responses={200: {"model": StoredPrompt, "description": "It was there already"}},
)
def add_prompt(new: NewPrompt, lead: Lead, response: Response) -> StoredPrompt:
    """Add one prompt; the same text or chat twice is one prompt."""
    given = new.model_dump(exclude={"attributes"}, exclude_none=True)
    if ("text" in given) == ("messages" in given):
        raise HTTPException(422, "Give either text or messages.")
    columns = PromptColumns("text" if "text" in given else "messages", "category", "tags")
    parsed = read_prompts([(1, given)], columns)
    for refusal in parsed.refused:
        raise HTTPException(422, f"{refusal.field}: {refusal.reason}")
    prompt = replace(parsed.rows[0][1], attributes=new.attributes)
    store = workbench().store
    if not prompts.add(store, Parsed([(1, prompt)], []), lead.id, origin="api").added:
        response.status_code = 200
    row = prompts.get(store, prompt.id)
    assert row is not None
    return StoredPrompt.of(row)


@router.get("/prompts")
def list_prompts(
    _: Researcher,
    search: Name = "",
    category: Annotated[list[Name], Query(max_length=50)] = [],  # noqa: B006
    tag: Name | None = None,
    archived: bool = False,
    offset: Offset = 0,
    limit: Limit = 50,
) -> PromptPage:
    """Prompts whose text holds ``search``, in any of the categories, with the tag."""
    rows, total = prompts.page(
        workbench().store,
        search=search,
        categories=category,
        tag=tag,
        archived=archived,
        offset=offset,
        limit=limit,
    )
    return PromptPage(total=total, items=[StoredPrompt.of(row) for row in rows])


@router.post("/prompts/upload")
def upload_prompts(
    file: Annotated[UploadFile, File(description="JSON array, JSONL, CSV or Parquet; also as .gz")],
    lead: Lead,
    category: Annotated[Name, Form(description="Where a row names none.")] = "general",
) -> UploadReport:
    """Add a file of prompts. Columns by their usual names: text, prompt, messages or turns; category; tags; others are
    attributes. A row that is no prompt is refused and the others go in."""
    name = file.filename or "the file"
    rows = read_rows(file.file.read(), name)
    parsed = read_prompts(rows.rows, guess_columns(rows.rows), category.strip() or "general")
    report = prompts.add(workbench().store, parsed, lead.id, origin=name)
    return UploadReport.of(report, rows.refused)
