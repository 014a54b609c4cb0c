"""Jobs in the store: who started which, how it ended and whether its result is in. How far one is stands in its run directory."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, func, select

from storage.store import Store, audit
from storage.tables import AnnotatorRow, JobRow


def add(store: Store, job: JobRow) -> None:
    with store.writing() as session:
        session.add(job)
        audit(session, job.actor, "start", "job", job.id, kind=job.kind, label=job.label)


def get(store: Store, job_id: str) -> JobRow | None:
    with store.reading() as session:
        return session.get(JobRow, job_id)


def listed(
    store: Store, limit: int, kinds: Sequence[str] = (), campaign_id: str | None = None
) -> Sequence[JobRow]:
    """The latest jobs, newest first; of ``kinds`` alone where there are any, and of a campaign."""
    query = select(JobRow).order_by(col(JobRow.created_at).desc(), col(JobRow.id)).limit(limit)
    if kinds:
        query = query.where(col(JobRow.kind).in_(kinds))
    if campaign_id is not None:
        query = query.where(JobRow.campaign_id == campaign_id)
    with store.reading() as session:
        return session.exec(query).all()


def page(
    store: Store, kind: str | None, state: str | None, offset: int, limit: int
) -> tuple[Sequence[JobRow], int]:
    """Some of the jobs (of a kind; ended and taken in as ``state``), newest first, and how many there are in all."""
    query = select(JobRow)
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    if state is not None:
        query = query.where(JobRow.state == state)
    with store.reading() as session:
        total = session.exec(select(func.count()).select_from(query.subquery())).one()
        order = (col(JobRow.created_at).desc(), col(JobRow.id))
        return session.exec(query.order_by(*order).offset(offset).limit(limit)).all(), total


def waiting(store: Store) -> Sequence[JobRow]:
    """The jobs whose end has not been taken in: the highest priority first, and the oldest first among equals."""
    query = select(JobRow).where(col(JobRow.ingested).is_(False))
    order = (col(JobRow.priority).desc(), col(JobRow.created_at), col(JobRow.id))
    with store.reading() as session:
        return session.exec(query.order_by(*order)).all()


def taken_in(store: Store, job_id: str, state: str) -> None:
    """The job ended in ``state`` (done, failed or cancelled) and what it left is in the store; ``ended_at`` is now."""
    with store.writing() as session:
        job = session.get_one(JobRow, job_id)
        job.ingested, job.state, job.ended_at = True, state, datetime.now(UTC)


def ended_since(store: Store, since: datetime, actor: str | None = None) -> Sequence[JobRow]:
    """The jobs (of ``actor``) whose end was taken in after ``since``, in that order: ask again with the last ``ended_at``."""
    query = select(JobRow).where(col(JobRow.ended_at) > since).order_by(col(JobRow.ended_at))
    if actor is not None:
        query = query.where(col(JobRow.actor) == actor)
    with store.reading() as session:
        return session.exec(query).all()


def cancelled(store: Store, job_id: str, actor: str) -> None:
    with store.writing() as session:
        audit(session, actor, "cancel", "job", job_id)


def resumed(store: Store, job_id: str, actor: str) -> None:
    """The job runs again, and its result waits to be taken in again."""
    with store.writing() as session:
        job = session.get_one(JobRow, job_id)
        job.ingested, job.state, job.ended_at = False, None, None
        audit(session, actor, "resume", "job", job_id)


def ahead(store: Store, job_id: str, actor: str) -> None:
    """Give a job that waits a higher priority than every other that does."""
    with store.writing() as session:
        waiting = session.exec(select(JobRow).where(col(JobRow.ingested).is_(False))).all()
        job = session.get_one(JobRow, job_id)
        job.priority = 1 + max((other.priority for other in waiting if other.id != job_id), default=0)
        audit(session, actor, "prioritise", "job", job_id, priority=job.priority)


def names(store: Store) -> dict[str, str]:
    """The names of those who started jobs, by actor; one who is no annotator is left out."""
    query = select(AnnotatorRow.id, AnnotatorRow.name).where(col(AnnotatorRow.id).in_(select(JobRow.actor)))
    with store.reading() as session:
        return dict(session.exec(query).all())


def count(store: Store) -> int:
    """How many jobs there are."""
    with store.reading() as session:
        return session.exec(select(func.count()).select_from(JobRow)).one()
