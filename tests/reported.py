"""A drift run and an evaluation that are made in a moment by the core's own methods, and texts that would like to be HTML."""

from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa

from core.change_points import changes
from core.drift import Rows, alarms, by_cluster, calibration, labels
from core.report_evaluation import Evaluated
from core.two_samples import categories, classifier, mmd

HOSTILE = "<script>document.title = 'ran'</script><img src=https://example.org/x.png onerror=alert(1)>\"'&{{ 7 * 7 }}"
FIRST, SECOND = "2026-03-02 to 2026-03-08", "2026-03-09 to 2026-03-15"
ARGUMENTS = {
    "seed": 11,
    "alpha": 0.05,
    "view": "tfidf",
    "model": "all-MiniLM-L6-v2",
    "windows": [FIRST, SECOND],
}


def drifted(n: int = 400, *, drift: bool = True) -> tuple[dict[str, Any], pa.Table]:
    """What a drift job leaves: its figures, as JSON has them, and its points. Where there is ``drift``, the second of three clusters came
    in the second window, and is where the model errs."""
    r = np.random.default_rng(3)
    after, group = np.arange(n) >= n // 2, np.arange(n)
    cluster = r.integers(0, 3, n)
    if drift:
        cluster[(cluster == 1) & ~after] = 0
    p = r.uniform(0.55, 0.95, n)
    y = (r.random(n) < np.where(drift & (cluster == 1), 0.1, p)).astype(float)
    rows = Rows.of(after, group, probability=p, target=y)
    x = r.normal(size=(n, 4)) + 4 * (cluster[:, None] == 1)
    found = by_cluster(cluster, rows)
    tests = {"mmd": mmd(x, after, 99), "classifier": classifier(x, after, 99)}
    code = r.integers(0, 2, n)
    at = np.datetime64("2026-03-02T00:00", "us") + np.arange(n) * np.timedelta64(40, "m")
    alerts: list[dict[str, Any]] = []
    if changed := alarms(found):
        alerts.append(
            {
                "kind": "clusters",
                "p": changed[0].share.change.adjusted,
                "clusters": [one.cluster for one in changed],
            }
        )  # type: ignore[union-attr]
    alerts += [
        {"kind": name, "p": one.p_value} for name, one in tests.items() if one.p_value and one.p_value <= 0.05
    ]
    terms = {0: ["cats", "dogs"], 1: [HOSTILE], 2: []}
    figures = {
        "windows": [{"name": name, "rows": n // 2, "groups": n // 2, "from": str(at[0]), "to": str(at[-1])} for name in (FIRST, SECOND)],
        "clusters": [{**asdict(one), "terms": terms[one.cluster]} for one in found],
        "unclustered": 0, "alike": False, "next": 3, "alpha": 0.05, "view": "tfidf", "alerts": alerts,
        "tests": {**{name: asdict(one) for name, one in tests.items()}, "labels": asdict(categories(code, after, 999))},
        "labels": [{"label": name, **asdict(one)} for name, one in zip("ab", labels(code, after, group), strict=True)],
        "calibration": asdict(calibration(p, y, after, group, draws=50)),
        "stream": {"outcomes": n, "changes": [
            {**asdict(one), "found_at": str(at[one.found - 1]), "since_at": str(at[one.since])} for one in changes(rows.error)]},
        "seconds": {"embedding": 1.5}, "peak_mb": 700,
    }  # fmt: skip
    points = pa.table(
        {
            "id": [str(i) for i in range(n)],
            "after": after,
            "seen_at": pa.array(at, pa.timestamp("us", "UTC")),
            "x": x[:, 0],
            "y": x[:, 1],
            "cluster": cluster,
            "error": pa.array(rows.error, from_pandas=True),
            "gap": rows.gap,
            "flip": pa.nulls(n, pa.float32()),
            "pair_id": [str(i) for i in range(n)],
        }
    )
    return figures, points


def evaluated(n: int = 600, prompts: int = 200, *, skill: float = 1.0, pairs: bool = True) -> Evaluated:
    """A model that finds the better answer with some ``skill``, three times too sure of itself before it was calibrated."""
    r = np.random.default_rng(5)
    logit = skill * r.normal(size=n)
    p = 1 / (1 + np.exp(-logit))
    y = (r.random(n) < p).astype(float)
    y[:30] = 0.5 if pairs else y[:30]
    return Evaluated(
        p=p,
        uncalibrated=1 / (1 + np.exp(-3 * logit)),
        y=y,
        group=np.array([f"prompt {i % prompts}" for i in range(n)], dtype=object),
        category=np.array([["math", HOSTILE][i % 2] for i in range(n)], dtype=object),
        longer=r.normal(size=n) if pairs else None,
        bins=20,
        pairs=pairs,
    )


class Read(HTMLParser):
    """A page as a reader has it: its elements, what its attributes point to, its text, and its tables by their captions."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self._inside: list[str] = []
        self._text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset")
        ]
        self._inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._inside:
            return
        self._text.append(data)
        if {"td", "th"} & set(self._inside):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All of it, with plain spaces."""
        return " ".join(" ".join(self._text).replace("\N{NO-BREAK SPACE}", " ").split())

    def row(self, name: str) -> list[str]:
        """The first row of a table that begins with ``name``."""
        return next(
            [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row]
            for row in self.rows
            if row and row[0] == name
        )
