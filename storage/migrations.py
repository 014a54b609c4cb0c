"""Schema migrations, applied in order on start, each with its record in one transaction."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text


class TooNew(RuntimeError):
    """A newer Attune wrote the store."""


def _m001_first_floor(connection: Connection) -> None:
    for statement in (
        """CREATE TABLE prompt (id TEXT PRIMARY KEY, text TEXT NOT NULL, messages JSON, category TEXT NOT NULL,
           tags JSON NOT NULL, attributes JSON NOT NULL, archived BOOLEAN NOT NULL, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE response (id TEXT PRIMARY KEY, prompt_id TEXT NOT NULL, text TEXT NOT NULL, model TEXT,
           params JSON NOT NULL, exposes TEXT, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE pair (id TEXT PRIMARY KEY, external_id TEXT, prompt_id TEXT NOT NULL, response_a TEXT NOT NULL,
           response_b TEXT NOT NULL, source TEXT NOT NULL, gold TEXT, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE campaign (id TEXT PRIMARY KEY, name TEXT NOT NULL, guidelines TEXT NOT NULL, k INTEGER NOT NULL,
           ties BOOLEAN NOT NULL, both_bad BOOLEAN NOT NULL, strength BOOLEAN NOT NULL, aspects JSON NOT NULL,
           annotators JSON NOT NULL, ordering TEXT NOT NULL, gold_share DOUBLE NOT NULL, repeat_share DOUBLE NOT NULL,
           lease_minutes INTEGER NOT NULL, seed INTEGER NOT NULL, archived BOOLEAN NOT NULL,
           created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE campaign_pair (campaign_id TEXT NOT NULL, pair_id TEXT NOT NULL,
           PRIMARY KEY (campaign_id, pair_id))""",
        "CREATE TABLE annotator (id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL)",
        """CREATE TABLE lease (id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, pair_id TEXT NOT NULL,
           annotator_id TEXT NOT NULL, left_id TEXT NOT NULL, repeat BOOLEAN NOT NULL, issued_at TIMESTAMPTZ NOT NULL,
           expires_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE annotation (id TEXT PRIMARY KEY, campaign_id TEXT NOT NULL, pair_id TEXT NOT NULL,
           annotator_id TEXT NOT NULL, verdict TEXT NOT NULL, preferred_id TEXT, left_id TEXT, strength INTEGER,
           confidence INTEGER, aspects JSON NOT NULL, reason TEXT, seconds DOUBLE, repeat BOOLEAN NOT NULL,
           source TEXT NOT NULL, lease_id TEXT, supersedes TEXT, submitted_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE account (id TEXT PRIMARY KEY, login TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
           password_hash TEXT, disabled BOOLEAN NOT NULL, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE secret (id TEXT PRIMARY KEY, kind TEXT NOT NULL, account_id TEXT, label TEXT NOT NULL,
           created_at TIMESTAMPTZ NOT NULL, expires_at TIMESTAMPTZ)""",
        """CREATE TABLE job (id TEXT PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, campaign_id TEXT,
           actor TEXT NOT NULL, ingested BOOLEAN NOT NULL, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE audit (id TEXT PRIMARY KEY, occurred_at TIMESTAMPTZ NOT NULL, actor TEXT NOT NULL,
           action TEXT NOT NULL, record_type TEXT NOT NULL, record_id TEXT NOT NULL, detail JSON NOT NULL)""",
        # What stands now: superseded rows and retractions are history.
        """CREATE VIEW current_annotation AS
           SELECT annotation.*, pair.rowid AS pair_row, pair.prompt_id,
                  CASE WHEN verdict <> 'prefer' THEN verdict
                       WHEN preferred_id = pair.response_a THEN 'a' ELSE 'b' END AS choice
           FROM annotation JOIN pair ON pair.id = annotation.pair_id
           WHERE verdict <> 'retracted'
             AND annotation.id NOT IN (SELECT supersedes FROM annotation WHERE supersedes IS NOT NULL)""",
    ):
        connection.execute(text(statement))


def _m002_learning(connection: Connection) -> None:
    for statement in (
        """CREATE TABLE model (id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, method TEXT NOT NULL,
           base TEXT, path TEXT NOT NULL, job_id TEXT, parent_id TEXT, campaign_id TEXT, actor TEXT NOT NULL,
           created_at TIMESTAMPTZ NOT NULL, figures JSON NOT NULL, lineage JSON NOT NULL, checksum TEXT NOT NULL)""",
        """CREATE TABLE model_event (id TEXT PRIMARY KEY, model_id TEXT NOT NULL, occurred_at TIMESTAMPTZ NOT NULL,
           actor TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, detail JSON NOT NULL)""",
        # No primary key: its index would hold every prediction in memory.
        """CREATE TABLE prediction (model_id TEXT NOT NULL, pair_id TEXT NOT NULL, split TEXT NOT NULL,
           raw DOUBLE NOT NULL, probability DOUBLE NOT NULL, target DOUBLE, probe_id TEXT,
           created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE probe (id TEXT PRIMARY KEY, model_id TEXT NOT NULL, campaign_id TEXT, actor TEXT NOT NULL,
           created_at TIMESTAMPTZ NOT NULL, figures JSON NOT NULL)""",
        "ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE job ADD COLUMN time_limit DOUBLE",
        "ALTER TABLE job ADD COLUMN ended_at TIMESTAMPTZ",
        "ALTER TABLE job ADD COLUMN state TEXT",
    ):
        connection.execute(text(statement))


def _m003_choice_above_the_join(connection: Connection) -> None:
    """Filter on ``choice``, which needs both tables: DuckDB takes a filter on the verdict alone to leave a fifth of the
    annotations, and then holds all of them in memory for the join instead of the pairs."""
    connection.execute(
        text(
            """CREATE OR REPLACE VIEW current_annotation AS
               SELECT annotation.*, pair.rowid AS pair_row, pair.prompt_id,
                      CASE WHEN verdict <> 'prefer' THEN verdict
                           WHEN preferred_id = pair.response_a THEN 'a' ELSE 'b' END AS choice
               FROM annotation JOIN pair ON pair.id = annotation.pair_id
               WHERE choice <> 'retracted'
                 AND annotation.id NOT IN (SELECT supersedes FROM annotation WHERE supersedes IS NOT NULL)"""
        )
    )


def _m004_adjudication(connection: Connection) -> None:
    """Resolutions stand apart from the votes that they settle: whatever counts votes goes on counting votes alone."""
    for view, other in (
        ("current_annotation", "source = 'adjudication'"),
        ("current_resolution", "source <> 'adjudication'"),
    ):
        connection.execute(
            text(
                f"""CREATE OR REPLACE VIEW {view} AS
                    SELECT annotation.*, pair.rowid AS pair_row, pair.prompt_id,
                           CASE WHEN annotation.{other} THEN 'elsewhere' WHEN verdict <> 'prefer' THEN verdict
                                WHEN preferred_id = pair.response_a THEN 'a' ELSE 'b' END AS choice
                    FROM annotation JOIN pair ON pair.id = annotation.pair_id
                    WHERE choice NOT IN ('retracted', 'elsewhere')
                      AND annotation.id NOT IN (SELECT supersedes FROM annotation WHERE supersedes IS NOT NULL)"""
            )
        )


def _m005_drift(connection: Connection) -> None:
    for statement in (
        """CREATE TABLE drift (id TEXT PRIMARY KEY, campaign_id TEXT, population TEXT NOT NULL, view TEXT NOT NULL,
           grouped TEXT NOT NULL, windows JSON NOT NULL, scope JSON NOT NULL, model_id TEXT, other_id TEXT, actor TEXT NOT NULL,
           created_at TIMESTAMPTZ NOT NULL, figures JSON NOT NULL)""",
        # No primary keys, as with predictions.
        """CREATE TABLE drift_point (drift_id TEXT NOT NULL, id TEXT NOT NULL, after BOOLEAN NOT NULL, seen_at TIMESTAMPTZ,
           x FLOAT NOT NULL, y FLOAT NOT NULL, cluster INTEGER NOT NULL, error FLOAT, gap FLOAT, flip FLOAT, pair_id TEXT)""",
        """CREATE TABLE drift_cluster (drift_id TEXT NOT NULL, cluster INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
           x FLOAT NOT NULL, y FLOAT NOT NULL, centroid FLOAT[] NOT NULL)""",
    ):
        connection.execute(text(statement))


def _m006_served(connection: Connection) -> None:
    connection.execute(
        text(
            """CREATE TABLE served (minute TIMESTAMPTZ NOT NULL, model_id TEXT NOT NULL, route TEXT NOT NULL,
               failed BOOLEAN NOT NULL, bucket INTEGER NOT NULL, requests INTEGER NOT NULL, texts BIGINT NOT NULL)"""
        )
    )


def _m007_experiments(connection: Connection) -> None:
    for statement in (
        """CREATE TABLE experiment (id TEXT PRIMARY KEY, name TEXT NOT NULL, control_id TEXT NOT NULL, treatment_id TEXT NOT NULL,
           metric TEXT NOT NULL, share DOUBLE NOT NULL, planned INTEGER NOT NULL, worth DOUBLE NOT NULL, seed TEXT NOT NULL,
           actor TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE experiment_event (id TEXT PRIMARY KEY, experiment_id TEXT NOT NULL, occurred_at TIMESTAMPTZ NOT NULL,
           actor TEXT NOT NULL, kind TEXT NOT NULL, planned INTEGER, variant TEXT)""",
        """CREATE TABLE assignment (id TEXT PRIMARY KEY, experiment_id TEXT NOT NULL, unit TEXT NOT NULL, variant TEXT NOT NULL,
           assigned_at TIMESTAMPTZ NOT NULL)""",
        """CREATE TABLE outcome (experiment_id TEXT NOT NULL, unit TEXT NOT NULL, metric TEXT NOT NULL, value DOUBLE NOT NULL,
           id TEXT, occurred_at TIMESTAMPTZ NOT NULL)""",
    ):
        connection.execute(text(statement))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _m001_first_floor,
    _m002_learning,
    _m003_choice_above_the_join,
    _m004_adjudication,
    _m005_drift,
    _m006_served,
    _m007_experiments,
)


def version(connection: Connection) -> int:
    """How many migrations the store has had; makes their table in an empty store."""
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT, applied_at TIMESTAMPTZ)"
        )
    )
    return int(connection.execute(text("SELECT coalesce(max(version), 0) FROM migration")).scalar_one())


def migrate(engine: Engine, known: int) -> None:
    """Apply what the store has not had yet. Raises TooNew when it has had more than this version knows."""
    if known > len(MIGRATIONS):
        raise TooNew(
            f"a newer Attune wrote this store (schema {known}, this version knows {len(MIGRATIONS)}). "
            "Start that version, or restore a backup."
        )
    for number, step in enumerate(MIGRATIONS[known:], start=known + 1):
        with engine.begin() as connection:
            step(connection)
            connection.execute(
                text("INSERT INTO migration VALUES (:number, :name, :now)"),
                {"number": number, "name": step.__name__.strip("_"), "now": datetime.now(UTC)},
            )
