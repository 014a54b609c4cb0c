"""What the report of a drift run says: what changed between two windows, where, how sure that is, and how to find it again."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa

from core.bootstrap import DRAWS
from core.clustering import COMPONENTS
from core.estimate import Estimate
from core.report import (
    PERCENT,
    Facts,
    Figure,
    Listed,
    Report,
    Section,
    Table,
    cells,
    counted,
    number,
    p_value,
    sentence,
    told,
    versions,
)
from core.report_drift_votes import (
    MOST,
    Row,
    adjusted,
    day,
    in_clusters,
    most,
    of_calibration,
    of_errors,
    of_labels,
)
from core.report_figures import DRAWN, map_of, rows_of_intervals
from core.two_samples import PERMUTATIONS

FEW = 20
"""Clusters drawn at most."""
NAMED = 10
"""Clusters named on the map at most."""
VIEWS = {
    "semantic": "by meaning: sentence embeddings",
    "tfidf": "by words: TF-IDF (Spärck Jones 1972), reduced to its main directions",
}
TESTS = {
    "mmd": "Texts: maximum mean discrepancy",
    "classifier": "Texts: area under the classifier’s ROC curve",
    "labels": "Labels: total variation distance",
}
ALERTS = {
    "mmd": "the texts as a whole differ (MMD, {p})",
    "classifier": "a classifier tells the windows apart ({p})",
    "labels": "the labels shifted ({p})",
    "calibration": "the model is off in another way ({p})",
}


def drift_report(
    figures: Row, points: pa.Table, arguments: Row | None, about: Facts, subject: str, made_at: datetime
) -> Report:
    """A report of what a drift job found.

    ``figures`` and ``points``: as ``jobs.drift`` leaves them in result.json and points.parquet. ``arguments``: those of its job.json, None
    where it is gone. ``about``: when, by whom, of what. ``subject``: what the texts are, such as pairs.
    """
    before, after = (window["name"] for window in figures["windows"])
    names = {one["cluster"]: called(one) for one in figures["clusters"]}
    sections = [
        _data(figures, subject),
        _whole(figures),
        _clusters(figures, points, names),
        *in_clusters(figures, names),
        *of_labels(figures),
        *of_calibration(figures),
        *of_errors(figures, points),
        _method(figures, arguments),
        _again(figures, arguments),
    ]
    return Report(
        f"Drift of {subject}",
        f"{before} against {after}",
        about,
        _summary(figures, names, subject),
        sections,
        made_at,
    )


def _summary(figures: Row, names: Mapping[int, str], subject: str) -> list[str]:
    first, second = figures["windows"]
    sizes = f"{first['rows']:,} {subject} of {first['name']} are held against {second['rows']:,} of {second['name']}."
    alerts = figures["alerts"]
    if not alerts:
        found = [f"{sizes} No alert: there is no evidence that anything changed."]
    else:
        said = "; ".join(map(alert, alerts))
        found = [f"{sizes} To look into: {said}."]
    changed = [one for one in figures["clusters"] if _significant(one, figures["alpha"])]
    moves = {True: "more", False: "less"}
    for more, which in moves.items():
        some = [one for one in changed if _grew(one) is more][:3]
        if some:
            told_of = "; ".join(_moved(one, names) for one in some)
            found.append(f"What there is {which} of, the best evidence first: {told_of}.")
    rate = f"Each kind of alert is set to {figures['alpha']:.0%}: where nothing changed, it comes in so many runs at most."
    return [*found, rate]


def _moved(one: Row, names: Mapping[int, str]) -> str:
    before, after = (told(Estimate(**one["share"][part]), PERCENT) for part in ("before", "after"))
    return f"cluster {names[one['cluster']]}, from {before} to {after}"


def alert(one: Row) -> str:
    """An alert in words."""
    if one["kind"] == "clusters":
        p = sentence(one["p"])
        return f"{counted(len(one['clusters']), 'cluster')} came, went, grew or shrank (adjusted {p})"
    if one["kind"] == "stream":
        often = "once" if one["changes"] == 1 else counted(one["changes"], "time")
        return f"the error rate changed {often} as the votes came in"
    return ALERTS[one["kind"]].format(p=sentence(one["p"]))


def _data(figures: Row, subject: str) -> Section:
    rows = [
        [one["name"], day(one.get("from")), day(one.get("to")), f"{one['rows']:,}", f"{one['groups']:,}"]
        for one in figures["windows"]
    ]
    table = Table(
        "The two windows, with the first and the last time in each (UTC). A group is what is taken to be alike, such as texts of one prompt.",
        ["Window", "From", "To", subject.capitalize(), "Groups"],
        rows,
    )
    loose = figures["unclustered"]
    total = sum(one["rows"] for one in figures["windows"])
    text = f"They form {counted(len(figures['clusters']), 'cluster')}; {loose:,} of {total:,} belong to none."
    return Section("Data", [table, text])


def _whole(figures: Row) -> Section:
    rows = []
    for key, name in TESTS.items():
        one = figures["tests"][key]
        value, interval, n = cells(Estimate(**one["figure"]))
        if one["figure"]["value"] is not None and one["figure"]["low"] is None:
            interval = "–"
        limit = "–" if one["limit"] is None else f"{one['limit']:.3f}"
        rows.append([name, value, interval, n, limit, p_value(one["p_value"])])
    caption = (
        "The windows as a whole. n: texts that count, one of each group. Limit: where nothing changed, the value stays below it in 95 "
        "of 100 cases."
    )
    return Section(
        "The windows as a whole", [Table(caption, ["Test", "Value", "95% interval", "n", "Limit", "p"], rows)]
    )


def _clusters(figures: Row, points: pa.Table, names: Mapping[int, str]) -> Section:
    found = figures["clusters"]
    if not found:
        return Section("Clusters", ["The texts form no clusters: they lie on the map as one cloud."])
    before, after = (window["name"] for window in figures["windows"])
    shown = found[:FEW]
    estimates = {
        name: [Estimate(**one["share"][part]) for one in shown]
        for name, part in ((before, "before"), (after, "after"))
    }
    drawn = rows_of_intervals(
        [names[one["cluster"]] for one in shown], estimates, "Share of each window that a cluster has"
    )
    rows = [
        [names[one["cluster"]], f"{one['n']:,}",
         *(told(Estimate(**one["share"][part]), PERCENT) for part in ("before", "after")), adjusted(one["share"]["change"])]
        for one in found[:MOST]
    ]  # fmt: skip
    caption = (
        f"The share of each window that a cluster has, with its 95% interval, the best evidence of a change first{most(found, MOST)}. p: that "
        f"the share is the same, adjusted over all {len(found)} clusters."
    )
    return Section(
        "Clusters",
        [
            _map(figures, points, names),
            Figure(
                f"The share of each window that a cluster has, with 95% intervals{most(found, FEW)}.", drawn
            ),
            Table(caption, ["Cluster", "Texts", "Before", "After", "p"], rows),
        ],
    )


def _map(figures: Row, points: pa.Table, names: Mapping[int, str]) -> Figure:
    point = np.column_stack([points["x"].to_numpy(), points["y"].to_numpy()]).astype(np.float32)
    cluster = points["cluster"].to_numpy()
    changed = [one for one in figures["clusters"] if _significant(one, figures["alpha"])]
    grew, shrank = (
        np.isin(cluster, [one["cluster"] for one in changed if _grew(one) is more]) for more in (True, False)
    )
    groups = {
        "no evidence of change": (~(grew | shrank), "other"),
        "shrank": (shrank, "first"),
        "grew": (grew, "second"),
    }
    marks = []
    for one in changed[:NAMED]:
        x, y = np.median(point[cluster == one["cluster"]], axis=0).tolist()
        marks.append((x, y, names[one["cluster"]]))
    sample = f" A sample of {DRAWN:,} of {len(point):,} is drawn." if len(point) > DRAWN else ""
    caption = (
        f"The texts of both windows on one map; those near each other are alike, and the axes mean nothing. In colour are the clusters whose "
        f"share changed.{sample}"
    )
    return Figure(caption, map_of(point, groups, marks, "Map of the texts of both windows"))


def _method(figures: Row, arguments: Row | None) -> Section:
    given = arguments or {}
    encoder = f" ({given['model']})" if given.get("view") == "semantic" and "model" in given else ""
    view = VIEWS[figures["view"]]
    return Section(
        "Method",
        [
            f"Texts of both windows together are turned into vectors, {view}{encoder}; these are reduced to {COMPONENTS} components at most, laid "
            "out by UMAP (McInnes, Healy & Melville 2018) and clustered by HDBSCAN (Campello, Moulavi & Sander 2013), without a look at windows, "
            "votes or errors. Terms are chosen by class-based TF-IDF (Grootendorst 2022).",
            "Shares have Wilson’s intervals (1927) and Fisher’s exact test on effective counts, which are rows over their design effect where "
            "rows of a group are alike (Rao & Scott 1992). P-values are adjusted over clusters, each kind for itself (Benjamini & Hochberg 1995).",
            f"Texts as a whole: maximum mean discrepancy with a Gaussian kernel (Gretton et al. 2012) and a cross-fitted classifier (Lopez-Paz & "
            f"Oquab 2017), one text of each group, p-values from {PERMUTATIONS} permutations (so 0.002 is the smallest there is); the interval of "
            "the area is that of DeLong, DeLong & Clarke-Pearson (1988). Labels: total variation, p from Pearson’s chi-squared by permutation.",
            f"Calibration drift: Hotelling’s test on the gap between confidence and votes and on its slope along the confidence, its covariance "
            f"over groups; intervals of the calibration error from {DRAWS:,} bootstrap draws of groups. The stream of errors is watched as ADWIN "
            "does (Bifet & Gavaldà 2007), with Fisher’s test and a level that is spent over all looks.",
        ],
    )


def _again(figures: Row, arguments: Row | None) -> Section:
    settings = "Not kept: the run’s folder is gone."
    if arguments is not None:
        kept = {"seed": arguments["seed"], "alpha": arguments["alpha"], "view": arguments["view"]}
        if kept["view"] == "semantic":
            kept["encoder"] = arguments["model"]
        settings = ", ".join(f"{name} {value}" for name, value in kept.items())
    seconds = sum(figures.get("seconds", {}).values())
    facts = [("Settings", settings), *versions("umap-learn", "hdbscan", "scikit-learn", "scipy", "numpy")]
    if seconds:
        facts.append(("Time and memory", f"{number(seconds, '{:,.0f}')} s, {figures['peak_mb']:,} MB"))
    return Section(
        "To do it again",
        [Listed(facts), "The same texts, settings and versions give the same clusters and figures."],
    )


def called(one: Row) -> str:
    """A cluster's number and terms."""
    return f"{one['cluster']} · {', '.join(one['terms'][:3]) or 'no words of its own'}"


def _significant(one: Row, alpha: float) -> bool:
    return one["share"]["change"] is not None and one["share"]["change"]["adjusted"] <= alpha


def _grew(one: Row) -> bool:
    before, after = ((one["share"][part]["value"] or 0.0) for part in ("before", "after"))
    return bool(after > before)
