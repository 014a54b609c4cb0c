"""What the Agreement page rests on, computed from the store; a module, so that ``read`` can remember its results."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.agreement import TARGETS, agreement_report, by_unit, cohen_kappas, unit_counts
from core.consensus import Consensus, DawidSkene, Ties, accuracy, dawid_skene, majority
from core.estimate import Estimate
from core.figures import kappa_matrix
from core.ratings import Ratings
from core.records import Choice
from pages._session import read
from storage import adjudication, annotations, pairs
from storage.store import Store

Kinds = tuple[str, ...]
FEW = 12
"""Annotators of whom the matrix has room to write the values into its cells."""


def _ratings(
    campaign_id: str | None, category: str | None, ties: str, kinds: Kinds
) -> tuple[Ratings, Ratings]:
    return read(annotations.ratings, campaign_id=campaign_id, category=category, ties=ties, kinds=kinds)


def report(
    store: Store, campaign_id: str | None, category: str | None, ties: str, kinds: Kinds
) -> dict[str, Estimate]:
    """Every agreement figure by name."""
    choices, strengths = _ratings(campaign_id, category, ties, kinds)
    found = agreement_report(choices, strengths)
    if (strengths.category == strengths.categories.index("0")).all():
        why = Estimate.unavailable("No annotation carries a strength of preference.")
        found["krippendorff_alpha_ordinal"] = why.with_target(TARGETS["krippendorff_alpha_ordinal"])
    return found


def by_category(
    store: Store, campaign_id: str | None, ties: str, kinds: Kinds, limit: int
) -> dict[str, dict[str, Estimate]]:
    """The report of each category, those of most judgements first."""
    names = read(annotations.categories, campaign_id)[:limit]
    return {name: report(store, campaign_id, name, ties, kinds) for name in names}


def matrix(
    store: Store, campaign_id: str | None, category: str | None, ties: str, kinds: Kinds
) -> tuple[go.Figure, int]:
    """Cohen's kappa of every two annotators, and how many annotators there are."""
    ratings, _ = _ratings(campaign_id, category, ties, kinds)
    judged = np.bincount(ratings.rater, minlength=len(ratings.raters))
    figure = kappa_matrix(cohen_kappas(ratings), ratings.raters, judged)
    if len(ratings.raters) <= FEW:
        figure.update_traces(texttemplate="%{z:.2f}").update_layout(height=180 + 44 * len(ratings.raters))
    return figure, len(ratings.raters)


def disagreements(
    store: Store, campaign_id: str | None, category: str | None, ties: str, kinds: Kinds, limit: int
) -> pd.DataFrame:
    """The pairs that two or more judged, those people agree on least first, of these those with most judgements.

    Columns: pair_id, agreement (share of agreeing annotator pairs), and the votes of each choice.
    """
    ratings, _ = _ratings(campaign_id, category, ties, kinds)
    shares, counts = by_unit(ratings), unit_counts(ratings)
    order = np.lexsort((-counts.sum(1), shares))
    order = order[shares[order] < 1][:limit]
    votes = {name: counts[order, code].astype(int) for code, name in enumerate(ratings.categories)}
    return pd.DataFrame({"pair_id": [ratings.units[i] for i in order], "agreement": shares[order], **votes})


@dataclass(frozen=True)
class Settled:
    """Majority and Dawid-Skene on the same judgements, and how each fares on the pairs with a gold choice.

    ``resolutions``: what adjudication made of some of the pairs, which neither method looks at.
    """

    majority: Consensus
    dawid_skene: DawidSkene
    gold: int
    accuracy: dict[str, Estimate]
    resolutions: dict[str, Choice]

    def table(self) -> pd.DataFrame:
        """A row a pair: its votes, the label and share of the majority, the label and probability of Dawid-Skene, and the
        resolution of an adjudicated one."""
        columns: dict[str, object] = {"pair_id": self.majority.units, "votes": self.majority.votes}
        for name, found, share in (
            ("majority", self.majority, "share"), ("dawid_skene", self.dawid_skene, "probability"),
        ):  # fmt: skip
            labels = np.array([*found.categories, ""], dtype=object)
            columns |= {
                name: labels[found.label],
                f"{name}_{share}": found.posterior.max(1, initial=0).round(6),
            }
        columns["resolution"] = [self.resolutions.get(pair_id, "") for pair_id in self.majority.units]
        return pd.DataFrame(columns)


def settled(store: Store, campaign_id: str | None, category: str | None, ties: Ties, kinds: Kinds) -> Settled:
    """Both consensus methods on every judged pair; under ``ties`` drop a tie is no vote."""
    ratings, _ = _ratings(campaign_id, category, "keep", kinds)
    known = read(pairs.golds)
    gold = [known.get(unit) for unit in ratings.units]
    by_votes, by_model = majority(ratings, ties), dawid_skene(ratings, ties=ties)
    scores = {"majority": accuracy(by_votes, gold), "dawid_skene": accuracy(by_model, gold)}
    settled_by = read(adjudication.resolutions, campaign_id)
    return Settled(by_votes, by_model, sum(choice is not None for choice in gold), scores, settled_by)
