"""What the Annotators page rests on, computed from the store; a module, so that ``read`` can remember its results."""

from collections import Counter

import numpy as np
import pandas as pd

from core import annotators
from core.annotators import Profiles, Series
from core.bias import FDR, LENGTH, POSITION, SKIM, company
from core.judgements import Judgements
from core.records import CHOICES
from pages._bias import Kinds, judged
from pages._bias_words import cell
from pages._scope import KINDS
from pages._session import read
from storage.store import Store

NAMES = {
    "reliability": "Reliability",
    "agreement": "Agreement",
    "kappa": "Beyond chance",
    "gold": "Right on gold",
    "seconds": "Seconds",
    "quick": "Too quick",
    "left": "Prefers left",
    "length": "Prefers longer",
}
EXPLAINED = {
    "reliability": "How often they know the answer rather than guess, told from all annotators’ judgements of the same pairs (MACE).",
    "agreement": "How often they choose what each of the others of the same pair chose.",
    "kappa": "Agreement beyond chance: 0 is what everybody’s shares of the choices would give, 1 is full agreement.",
    "gold": "How often they were right on pairs whose right choice is known.",
    "seconds": "The median of their active time for a pair.",
    "quick": f"The share of judgements faster than {SKIM:.0f} characters of both answers a second, which is more than anybody reads.",
    "left": "How often they prefer the left answer.",
    "length": "How often they prefer the longer answer.",
}
SPOKEN = {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad"}


def called(judgements: Judgements, hidden: bool) -> list[str]:
    """What each annotator is called, no two alike: their name, or a number where names are hidden."""
    if hidden:
        return [f"Annotator {place}" for place in range(1, len(judgements.names) + 1)]
    times = Counter(judgements.names)
    return [
        name if times[name] == 1 else f"{name} ({kind} {key[-4:]})"
        for name, kind, key in zip(judgements.names, judgements.kinds, judgements.annotators, strict=True)
    ]


def profiles(store: Store, campaign_id: str | None, category: str | None, kinds: Kinds) -> Profiles:
    """Every annotator's figures."""
    return annotators.profiles(judged(campaign_id, category, kinds))


def timeline(
    store: Store, campaign_id: str | None, category: str | None, kinds: Kinds, annotator: int
) -> dict[str, Series]:
    """One annotator over time."""
    return annotators.timeline(judged(campaign_id, category, kinds), annotator)


def table(
    store: Store, campaign_id: str | None, category: str | None, kinds: Kinds, by: str, hidden: bool
) -> pd.DataFrame:
    """A row an annotator, in the order of ``by``: every figure with its limits and n, as numbers, and what is flagged."""
    judgements = judged(campaign_id, category, kinds)
    found = read(profiles, campaign_id, category, kinds)
    columns: dict[str, object] = {
        "annotator": called(judgements, hidden),
        "kind": judgements.kinds,
        "judged": found.judged,
        "since": found.since,
        "until": found.until,
    }
    for name, figure in found.figures.items():
        columns |= {
            name: figure.value,
            f"{name}_low": figure.low,
            f"{name}_high": figure.high,
            f"{name}_n": figure.n,
        }
    columns["flags"] = flags(found)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(judgements.names))).iloc[found.order(by)]


def flags(found: Profiles) -> list[str]:
    """What is beyond chance about each annotator."""
    left, length = (found.leanings[name] for name in (POSITION, LENGTH))
    said = (
        (left.flagged & (left.share.value > left.null), "leans left"),
        (left.flagged & (left.share.value < left.null), "leans right"),
        (length.flagged & (length.share.value > length.null), "likes long answers"),
        (length.flagged & (length.share.value < length.null), "likes short answers"),
        (found.changed_q <= FDR, "changed"),
    )
    return [", ".join(word for rows, word in said if rows[i]) for i in range(len(found.judged))]


def shown(
    store: Store, campaign_id: str | None, category: str | None, kinds: Kinds, by: str, hidden: bool
) -> pd.DataFrame:
    """The same as people read it: each figure with its interval as text, figures that nobody has left out."""
    numbers = read(table, campaign_id, category, kinds, by, hidden)
    found = read(profiles, campaign_id, category, kinds)
    texts = pd.DataFrame(
        {
            "Annotator": numbers["annotator"],
            "Kind": numbers["kind"].map(KINDS),
            "Judged": numbers["judged"],
            "Flags": numbers["flags"],
        }
    )
    for name, label in NAMES.items():
        if found.figures[name].n.any():
            digits = 0 if name == "seconds" else 2
            texts[label] = [cell(found.figures[name][row], digits) for row in numbers.index]
    return texts


def disagreements(
    store: Store, campaign_id: str | None, category: str | None, kinds: Kinds, annotator: int
) -> pd.DataFrame:
    """The pairs on which an annotator differs from others, those where nobody is with them first, then the newest.

    Columns: pair_id, said, others (their choices, counted), agreement (the share of others with them), at.
    """
    judgements = judged(campaign_id, category, kinds)
    agreement = company(judgements)
    mine = np.flatnonzero((judgements.annotator == annotator) & (agreement < 1))
    mine = mine[np.lexsort((-judgements.at[mine].astype(np.int64), agreement[mine]))]
    first = judgements.first
    others: dict[int, Counter[str]] = {int(pair): Counter() for pair in judgements.pair[mine]}
    rows = first & np.isin(judgements.pair, judgements.pair[mine]) & (judgements.annotator != annotator)
    for pair, choice in zip(judgements.pair[rows].tolist(), judgements.choice[rows].tolist(), strict=True):
        others[pair][SPOKEN[CHOICES[choice]]] += 1
    return pd.DataFrame(
        {
            "pair_id": [judgements.pairs[pair] for pair in judgements.pair[mine]],
            "said": [SPOKEN[CHOICES[choice]] for choice in judgements.choice[mine]],
            "others": [
                " · ".join(f"{name} {n}" for name, n in others[int(pair)].most_common())
                for pair in judgements.pair[mine]
            ],
            "agreement": agreement[mine],
            "at": judgements.at[mine],
        }
    )
