"""Jobs in the store: who started which, and whether its result is in. How far one is stands in its run directory."""

from collections.abc import Sequence

from sqlmodel import col, select

from storage.store import Store, audit
from storage.tables import JobRow


def add(store: Store, job: JobRow) -> None:
    with store.writing() as session:
        session.add(job)
        audit(session, job.actor, "start", "job", job.id, kind=job.kind, label=job.label)


def listed(store: Store, limit: int) -> Sequence[JobRow]:
    """The latest jobs, newest first."""
    with store.reading() as session:
        return session.exec(select(JobRow).order_by(col(JobRow.created_at).desc()).limit(limit)).all()


def waiting(store: Store) -> Sequence[JobRow]:
    """The jobs whose result has not been taken in."""
    with store.reading() as session:
        return session.exec(select(JobRow).where(col(JobRow.ingested).is_(False))).all()


def taken_in(store: Store, job_id: str) -> None:
    with store.writing() as session:
        session.get_one(JobRow, job_id).ingested = True


def cancelled(store: Store, job_id: str, actor: str) -> None:
    with store.writing() as session:
        audit(session, actor, "cancel", "job", job_id)


def resumed(store: Store, job_id: str, actor: str) -> None:
    """The job runs again, and its result waits to be taken in again."""
    with store.writing() as session:
        session.get_one(JobRow, job_id).ingested = False
        audit(session, actor, "resume", "job", job_id)
