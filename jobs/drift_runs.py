"""Drift runs from finished run directories into the store: what ``ingest`` does for them. ``jobs.learning`` starts them."""

from datetime import UTC, datetime

import pyarrow as pa

from jobs.drift import CLUSTERS, POINTS
from jobs.inputs import read_table
from jobs.protocol import JobError, Run
from storage import drift
from storage.tables import DriftRow, JobRow
from storage.workbench import Workbench


def take(bench: Workbench, job: JobRow, run: Run) -> None:
    """Store, once, what a run found. Raises JobError where it is of no use, and then leaves all as it was."""
    told = run.job()["arguments"]
    points, clusters = (read_table(run.artifacts / name) for name in (POINTS, CLUSTERS))
    row = DriftRow(
        id=job.id,
        campaign_id=job.campaign_id,
        population=told["scope"]["population"],
        view=told["view"],
        grouped=told["grouped"],
        windows=told["days"],
        scope=told["scope"],
        model_id=told["scope"]["model_id"],
        other_id=told["scope"]["other_id"],
        actor=job.actor,
        created_at=datetime.now(UTC),
        figures=run.figures(),
    )
    try:
        drift.register(bench.store, row, points, clusters)
    except (KeyError, pa.ArrowException) as error:
        raise JobError(f"What the run left cannot be stored: {error}") from None
