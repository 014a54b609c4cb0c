"""Each reason raises what it names, and nothing else; by hand."""

import numpy as np
import pytest

from core.retraining import BOOST, CATEGORY, UNSURE, emphasis


def ratios(p: list[float], target: list[float]) -> list[float]:
    """The weights against that of a pair the model has not judged."""
    found = emphasis(
        np.array([*p, np.nan]), np.array([*target, 1.0]), ["x"] * (len(p) + 1), [False] * (len(p) + 1)
    )
    assert found.weight.mean() == pytest.approx(1)
    return (found.weight / found.weight[-1])[:-1].tolist()


def test_a_confident_mistake_counts_by_how_sure_people_were() -> None:
    p, target = [0.1, 0.9, 0.2, 0.1, 0.3, 0.9], [1.0, 0.0, 0.75, 0.5, 1.0, 1.0]
    assert ratios(p, target) == pytest.approx([BOOST, BOOST, 1 + (BOOST - 1) / 2, 1, 1, 1])


def test_low_confidence_counts_either_way() -> None:
    assert ratios([0.5, 0.59, 0.41, 0.61], [1, 0, 0, 1]) == pytest.approx([UNSURE] * 3 + [1])


def test_a_category_is_raised_when_its_errors_are_beyond_chance() -> None:
    """Easy: 10 wrong of 200; hard: 40 wrong of 80; rare: 1 wrong of 1, which is no evidence."""
    category = ["easy"] * 200 + ["hard"] * 80 + ["rare"]
    wrong = [*[True] * 10, *[False] * 190, *[True] * 40, *[False] * 40, True]
    p = np.where(wrong, 0.35, 0.65)
    found = emphasis(p, np.ones(281), category, [True] * 281)
    assert list(found.categories) == ["hard"] and found.categories["hard"] == CATEGORY
    assert (found.confident_mistakes, found.low_confidence) == (0, 0)
    weight = dict(zip(category, found.weight, strict=True))
    assert weight["hard"] / weight["easy"] == pytest.approx(CATEGORY) and weight["rare"] == weight["easy"]

    clustered = emphasis(
        p, np.ones(281), ["x"] * 281, [True] * 281, [c if c != "easy" else "" for c in category]
    )
    assert clustered.categories == {} and clustered.clusters == {"hard": CATEGORY}
    assert clustered.weight == pytest.approx(found.weight)

    fitted = emphasis(p, np.ones(281), category, [c == "easy" for c in category])
    assert fitted.categories == {} and fitted.weight.tolist() == pytest.approx([1] * 281)


def test_without_predictions_or_pairs_nothing_is_raised() -> None:
    assert emphasis(np.full(3, np.nan), np.ones(3), ["x"] * 3, [True] * 3).weight.tolist() == [1, 1, 1]
    assert emphasis(np.array([]), np.array([]), [], []).weight.tolist() == []
