"""The stream detector: its false-alarm rate over all looks against what it says, and how soon it finds a change."""

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

from core.change_points import RESERVE, STEP, changes


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_without_a_change_at_most_one_stream_in_twenty_ever_alarms(rate: float) -> None:
    random = np.random.default_rng(1)
    alarms = sum(bool(changes(random.random(1500) < rate)) for _ in range(150))
    assert binomtest(alarms, 150, 0.05, alternative="greater").pvalue > 0.01, alarms


def test_what_the_looks_may_spend_adds_up_to_the_level() -> None:
    spent = sum(RESERVE / ((look + RESERVE - 1) * (look + RESERVE)) for look in range(1, 100_000))
    assert 0.999 < spent < 1


def test_a_worse_predictor_is_found_and_where_it_became_so() -> None:
    """0.3 to 0.4 after 2,000 outcomes: reference/drift.md has a median delay of 671 for ADWIN, which found it at no stated rate."""
    random = np.random.default_rng(2)
    delays = []
    for _ in range(40):
        wrong = random.random(6000) < np.where(np.arange(6000) < 2000, 0.3, 0.4)
        later = [change for change in changes(wrong) if change.found > 2000]
        delays.append(later[0].found - 2000 if later else 4000)
        if later:
            before, after = later[0].before.value, later[0].after.value
            assert before is not None and after is not None and before < after
    assert np.median(delays) < 750 and max(delays) < 3000


def test_a_change_carries_the_test_that_found_it() -> None:
    wrong = np.r_[np.zeros(400), np.ones(100)]
    (change,) = changes(wrong)
    assert change.found == 450 and change.since == 400
    assert (change.before.value, change.after.value) == (0, 1)
    assert change.p_value == pytest.approx(2 * fisher_exact([[50, 0], [0, 400]], "greater").pvalue)
    assert change.p_value <= change.level < 0.05


def test_a_longer_stream_has_the_alarms_of_the_shorter_one() -> None:
    random = np.random.default_rng(3)
    wrong = random.random(4000) < np.repeat([0.1, 0.5, 0.2, 0.6], 1000)
    whole = changes(wrong)
    assert len(whole) >= 3
    for end in (500, 1500, 2620):
        assert changes(wrong[:end]) == [change for change in whole if change.found <= end // STEP * STEP]


@pytest.mark.parametrize("n", [0, 1, STEP, 2 * STEP - 1])
def test_too_short_a_stream_has_no_alarm(n: int) -> None:
    assert changes(np.ones(n)) == []
