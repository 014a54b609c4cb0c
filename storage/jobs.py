"""Jobs in the store: who started which, how it ended and whether its result is in. How far one is stands in its run directory."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select

from storage.store import Store, audit
from storage.tables import JobRow


def add(store: Store, job: JobRow) -> None:
    with store.writing() as session:
        session.add(job)
        audit(session, job.actor, "start", "job", job.id, kind=job.kind, label=job.label)


def get(store: Store, job_id: str) -> JobRow | None:
    with store.reading() as session:
        return session.get(JobRow, job_id)


def listed(store: Store, limit: int, kinds: Sequence[str] = ()) -> Sequence[JobRow]:
    """The latest jobs, newest first; of ``kinds`` alone where there are any."""
    query = select(JobRow).order_by(col(JobRow.created_at).desc(), col(JobRow.id)).limit(limit)
    if kinds:
        query = query.where(col(JobRow.kind).in_(kinds))
    with store.reading() as session:
        return session.exec(query).all()


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
