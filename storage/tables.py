"""The tables of the store. Times are UTC; keys are text; lists and maps are JSON."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, JSON, BigInteger, Boolean, Column, DateTime, Double, Float, Integer, Table, Text
from sqlmodel import Field, SQLModel


def _time(**rest: Any) -> Any:
    return Field(sa_type=DateTime(timezone=True), **rest)


def _json(default: type) -> Any:
    return Field(default_factory=default, sa_type=JSON)


class PromptRow(SQLModel, table=True):
    """A prompt; ``text`` is its last turn, ``messages`` the whole chat where there is more than that turn."""

    __tablename__ = "prompt"
    id: str = Field(primary_key=True)
    text: str
    messages: list[dict[str, str]] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    category: str
    tags: list[str] = _json(list)
    attributes: dict[str, str] = _json(dict)
    archived: bool = False
    created_at: datetime = _time()


class ResponseRow(SQLModel, table=True):
    """An answer to a prompt; ``exposes`` is the phrase that gives its model away, if one does."""

    __tablename__ = "response"
    id: str = Field(primary_key=True)
    prompt_id: str
    text: str
    model: str | None = None
    params: dict[str, Any] = _json(dict)
    exposes: str | None = None
    created_at: datetime = _time()


class PairRow(SQLModel, table=True):
    """Two responses to one prompt; ``gold`` (a, b, tie, both_bad) is the right choice where it is known."""

    __tablename__ = "pair"
    id: str = Field(primary_key=True)
    external_id: str | None = None
    prompt_id: str
    response_a: str
    response_b: str
    source: str
    gold: str | None = None
    created_at: datetime = _time()


class CampaignRow(SQLModel, table=True):
    """A named body of annotation work: its rules, and what annotators are shown and asked."""

    __tablename__ = "campaign"
    id: str = Field(primary_key=True)
    name: str
    guidelines: str = ""
    k: int = 3
    ties: bool = True
    both_bad: bool = True
    strength: bool = True
    aspects: list[str] = _json(list)
    annotators: list[str] = _json(list)
    ordering: str = "random"
    gold_share: float = Field(default=0.0, sa_type=Double)
    repeat_share: float = Field(default=0.0, sa_type=Double)
    lease_minutes: int = 30
    seed: int = 0
    archived: bool = False
    created_at: datetime = _time()


class CampaignPairRow(SQLModel, table=True):
    """Which pairs a campaign is about."""

    __tablename__ = "campaign_pair"
    campaign_id: str = Field(primary_key=True)
    pair_id: str = Field(primary_key=True)


class AnnotatorRow(SQLModel, table=True):
    """Whoever a judgement is attributed to; ``kind`` is person, imported or simulated."""

    __tablename__ = "annotator"
    id: str = Field(primary_key=True)
    name: str
    kind: str
    created_at: datetime = _time()


class LeaseRow(SQLModel, table=True):
    """A pair held for an annotator; ``left_id`` is the response on the left. It ends when it expires or is answered."""

    __tablename__ = "lease"
    id: str = Field(primary_key=True)
    campaign_id: str
    pair_id: str
    annotator_id: str
    left_id: str
    repeat: bool = False
    issued_at: datetime = _time()
    expires_at: datetime = _time()


class AnnotationRow(SQLModel, table=True):
    """One judgement, never changed: a later row that ``supersedes`` it corrects it or, as retracted, undoes it.

    ``verdict`` is prefer, tie, both_bad, skip or retracted; ``preferred_id`` the response preferred, ``left_id`` the
    response that stood left (None where it is not known). ``source`` is person, api, import or simulated, or adjudication
    for the resolution of a pair on which people disagree, which is no vote. ``seconds`` is from shown to submitted, without idle time.
    """

    __tablename__ = "annotation"
    id: str = Field(primary_key=True)
    campaign_id: str
    pair_id: str
    annotator_id: str
    verdict: str
    preferred_id: str | None = None
    left_id: str | None = None
    strength: int | None = None
    confidence: int | None = None
    aspects: dict[str, str] = _json(dict)
    reason: str | None = None
    seconds: float | None = Field(default=None, sa_type=Double)
    repeat: bool = False
    source: str
    lease_id: str | None = None
    supersedes: str | None = None
    submitted_at: datetime = _time()


class AccountRow(SQLModel, table=True):
    """Somebody who signs in; ``id`` is also their annotator id. ``password_hash`` is argon2, None with OIDC."""

    __tablename__ = "account"
    id: str = Field(primary_key=True)
    login: str
    name: str
    role: str
    password_hash: str | None = None
    disabled: bool = False
    created_at: datetime = _time()


class SecretRow(SQLModel, table=True):
    """A bearer secret, kept only as its SHA-256: a browser session, an API token or a one-time invitation.

    ``account_id`` is None for the invitation that creates the first admin.
    """

    __tablename__ = "secret"
    id: str = Field(primary_key=True)
    kind: str
    account_id: str | None = None
    label: str = ""
    created_at: datetime = _time()
    expires_at: datetime | None = _time(default=None)


class JobRow(SQLModel, table=True):
    """A subprocess job, its run directory under the runs folder, and whether its result has been taken in.

    Waiting jobs start by ``priority``, the highest first; ``time_limit`` is in seconds. ``state`` and ``ended_at`` are
    set when it has ended.
    """

    __tablename__ = "job"
    id: str = Field(primary_key=True)
    kind: str
    label: str
    campaign_id: str | None = None
    actor: str
    ingested: bool = False
    priority: int = 0
    time_limit: float | None = Field(default=None, sa_type=Double)
    ended_at: datetime | None = _time(default=None)
    state: str | None = None
    created_at: datetime = _time()


class ModelRow(SQLModel, table=True):
    """A version of a model. ``version`` is semantic, ``path`` its directory, ``base`` the encoder it starts from,
    ``parent_id`` the model it was fine-tuned from, ``checksum`` that of its model.json, ``lineage`` what it learnt from."""

    __tablename__ = "model"
    id: str = Field(primary_key=True)
    name: str
    version: str
    method: str
    base: str | None = None
    path: str
    job_id: str | None = None
    parent_id: str | None = None
    campaign_id: str | None = None
    actor: str
    created_at: datetime = _time()
    figures: dict[str, Any] = _json(dict)
    lineage: dict[str, Any] = _json(dict)
    checksum: str


class ModelEventRow(SQLModel, table=True):
    """A change of a model's status or of an alias (``kind``), never changed: the latest one of its kind stands.

    ``value`` is the new status, or the alias, which stands on this model until another model gets it.
    """

    __tablename__ = "model_event"
    id: str = Field(primary_key=True)
    model_id: str
    occurred_at: datetime = _time()
    actor: str
    kind: str
    value: str
    detail: dict[str, Any] = _json(dict)


class ProbeRow(SQLModel, table=True):
    """A model's predictions held against what people said of pairs it had not seen."""

    __tablename__ = "probe"
    id: str = Field(primary_key=True)
    model_id: str
    campaign_id: str | None = None
    actor: str
    created_at: datetime = _time()
    figures: dict[str, Any] = _json(dict)


prediction = Table(
    "prediction",
    SQLModel.metadata,
    Column("model_id", Text, nullable=False),
    Column("pair_id", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("raw", Double, nullable=False),
    Column("probability", Double, nullable=False),
    Column("target", Double),
    Column("probe_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""A model's word on a pair. ``split`` is train, calibration, test or probe; ``raw`` the reward logit of a less that of b;
``probability`` that a is preferred, calibrated; ``target`` what people said when it was made. It has no key, which would
take memory for every row: the store writes and reads it in bulk."""


class DriftRow(SQLModel, table=True):
    """A finished drift run: its ``population`` (prompts, answers, pairs, errors) in two ``windows``, and what came out.

    ``scope`` is what it was narrowed to, ``grouped`` what was taken to be alike (prompt or text), ``model_id`` the predictor whose errors
    it has and ``other_id`` the one held against it.
    """

    __tablename__ = "drift"
    id: str = Field(primary_key=True)
    campaign_id: str | None = None
    population: str
    view: str
    grouped: str
    windows: list[dict[str, str]] = _json(list)
    scope: dict[str, Any] = _json(dict)
    model_id: str | None = None
    other_id: str | None = None
    actor: str
    created_at: datetime = _time()
    figures: dict[str, Any] = _json(dict)


drift_point = Table(
    "drift_point",
    SQLModel.metadata,
    Column("drift_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("after", Boolean, nullable=False),
    Column("seen_at", DateTime(timezone=True)),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("cluster", Integer, nullable=False),
    Column("error", Float),
    Column("gap", Float),
    Column("flip", Float),
    Column("pair_id", Text),
)
"""A text on the map of a drift run, ``cluster`` -1 for none; no key, and written and read in bulk, as predictions are."""

drift_cluster = Table(
    "drift_cluster",
    SQLModel.metadata,
    Column("drift_id", Text, nullable=False),
    Column("cluster", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("centroid", ARRAY(Float), nullable=False),
)
"""A cluster of a drift run: its name, its size, its middle on the map and among the vectors."""


served = Table(
    "served",
    SQLModel.metadata,
    Column("minute", DateTime(timezone=True), nullable=False),
    Column("model_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("texts", BigInteger, nullable=False),
)
"""How many ``requests``, about how many ``texts``, a model had in a minute by a ``route`` that ``failed`` or not and took as long as
``bucket`` says (``core.production``). Rows are only added: those that are alike count together."""


class ExperimentRow(SQLModel, table=True):
    """An A/B experiment between two models, never changed: what becomes of it are events.

    ``metric`` decides, and ``worth`` is the smallest difference of it worth having. A ``share`` of all units, by the hash of the ``seed``
    and the unit, gets the treatment. ``planned`` is the number of units it began with as its plan.
    """

    __tablename__ = "experiment"
    id: str = Field(primary_key=True)
    name: str
    control_id: str
    treatment_id: str
    metric: str
    share: float = Field(sa_type=Double)
    planned: int
    worth: float = Field(sa_type=Double)
    seed: str
    actor: str
    created_at: datetime = _time()


class ExperimentEventRow(SQLModel, table=True):
    """What became of an experiment (``kind``: start, pause, resume, extend, end, deploy), never changed: the latest one stands.

    ``planned`` is the number of units it was extended to, ``variant`` the arm that was deployed.
    """

    __tablename__ = "experiment_event"
    id: str = Field(primary_key=True)
    experiment_id: str
    occurred_at: datetime = _time()
    actor: str
    kind: str
    planned: int | None = None
    variant: str | None = None


class AssignmentRow(SQLModel, table=True):
    """A unit (whatever a product assigns: a user, a conversation) of an experiment, and the arm it got.

    ``id`` is of both, so that a unit that asks twice at once counts once, and is found at once: DuckDB finds a row by a key of one column.
    """

    __tablename__ = "assignment"
    id: str = Field(primary_key=True)
    experiment_id: str
    unit: str
    variant: str
    assigned_at: datetime = _time()


outcome = Table(
    "outcome",
    SQLModel.metadata,
    Column("experiment_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("id", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
)
"""What came of a unit, by a metric; ``id`` is the client's own, and enters once. No key, as with predictions."""


class AuditRow(SQLModel, table=True):
    """Who did what to which record, and when; never changed."""

    __tablename__ = "audit"
    id: str = Field(primary_key=True)
    occurred_at: datetime = _time()
    actor: str
    action: str
    record_type: str
    record_id: str
    detail: dict[str, Any] = _json(dict)
