"""Fine-tuning at OpenAI, or at a server that speaks its protocol: files and fine_tuning/jobs."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import openai

from core.fine_tuning import Event, Tuning, TuningJob
from core.generation import ProviderError
from providers.http import Account, Malformed, explain
from providers.openai import client

T = TypeVar("T")
MARK = "attune_job"
"""The key of a job's metadata by which it is found again."""
UPLOAD_SECONDS = 600.0
PAGE = 100


class OpenAITuning:
    """Every method raises ProviderError; requests are repeated as those of generation are."""

    def __init__(self, account: Account) -> None:
        self.name = account.name
        self._account = account
        self._jobs = client(account).fine_tuning.jobs
        self._patient = replace(account, timeout=max(UPLOAD_SECONDS, account.timeout))
        self._files = client(self._patient).files

    def upload(self, path: Path) -> str:
        """Send a JSONL file to train with; answers its id."""

        def send() -> str:
            file = self._files.create(file=(path.name, path.read_bytes()), purpose="fine-tune")
            return _text(getattr(file, "id", None))

        return self._ask(send, self._patient)

    def submit(self, mark: str, tuning: Tuning, train: str, validation: str | None) -> TuningJob:
        """The job that bears ``mark`` and has not failed or been cancelled, else a new one on uploaded files.

        That it looks first, each time that it tries, keeps an answer that was lost from costing a second training.
        """
        hyperparameters = {"n_epochs": tuning.epochs}
        kind = "dpo" if tuning.shape == "preference" else "supervised"
        body: dict[str, Any] = {
            "model": tuning.model,
            "training_file": train,
            "method": {"type": kind, kind: {"hyperparameters": hyperparameters}},
            "metadata": {MARK: mark},
        }
        chosen = {"validation_file": validation, "suffix": tuning.suffix, "seed": tuning.seed}
        body |= {name: value for name, value in chosen.items() if value is not None}
        return self._ask(lambda: self._marked(mark) or _job(self._jobs.create(**body)))

    def get(self, job_id: str) -> TuningJob:
        return self._ask(lambda: _job(self._jobs.retrieve(job_id)))

    def events(self, job_id: str, after: str | None) -> list[Event]:
        """What was said since the event ``after``, oldest first; None is all."""

        def send() -> list[Event]:
            newest_first = map(_event, self._jobs.list_events(job_id, limit=PAGE))
            return list(takewhile(lambda event: event.id != after, newest_first))[::-1]

        return self._ask(send)

    def cancel(self, job_id: str) -> None:
        """Ask for a job to be cancelled; one that has ended stays as it is."""
        try:
            self._ask(lambda: self._jobs.cancel(job_id))
        except ProviderError as error:
            if error.status != 400:
                raise

    def _marked(self, mark: str) -> TuningJob | None:
        for found in self._jobs.list(limit=PAGE, metadata={MARK: mark}):
            job = _job(found)
            if (found.metadata or {}).get(MARK) == mark and job.status not in ("failed", "cancelled"):
                return job
        return None

    def _ask(self, send: Callable[[], T], account: Account | None = None) -> T:
        def once() -> T:
            try:
                return send()
            except (openai.APIError, Malformed, ValueError) as error:
                raise explain(error, account or self._account, openai) from None

        return self._account.patience.ask(once)


def _job(found: Any) -> TuningJob:
    """The fields of a job, checked: the SDK hands on whatever a server sends."""
    try:
        error = found.error
        reason = error.message if error and error.message else None
        tokens = found.trained_tokens
        return TuningJob(
            _text(found.id),
            _text(found.status),
            reason and _text(reason),
            found.fine_tuned_model and _text(found.fine_tuned_model),
            tokens if isinstance(tokens, int) else None,
        )
    except AttributeError:
        raise Malformed from None


def _event(found: Any) -> Event:
    try:
        data = found.data if isinstance(found.data, dict) else {}
        numbers = {name: value for name, value in data.items() if type(value) in (int, float)}
        figures = {name: value for name, value in numbers.items() if math.isfinite(value)}
        return Event(_text(found.id), _text(found.message), figures)
    except AttributeError:
        raise Malformed from None


def _text(value: object) -> str:
    """A text that a file can hold. Raises Malformed where it is none."""
    if not isinstance(value, str) or not value:
        raise Malformed
    return value.encode("utf-8", "replace").decode()
