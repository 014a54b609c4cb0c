"""The clock counts work and nothing else, whatever order the page's signs come in."""

from hypothesis import given
from hypothesis import strategies as st

from core.clock import IDLE, Clock

gaps = st.floats(0, 200, allow_nan=False)
events = st.lists(st.tuples(st.sampled_from(["run", "stop", "left"]), gaps, st.floats(0, 300)), max_size=40)


def play(steps: list[tuple[str, float, float]]) -> tuple[Clock, float, list[float]]:
    clock, now, counted = Clock(), 1000.0, []
    for event, gap, idle in steps:
        now += gap
        counted.append(clock.seconds(now))
        match event:
            case "run":
                clock = clock.run(now)
            case "stop":
                clock = clock.stop(now, idle)
            case "left":
                clock = clock.left()
    return clock, now, counted


@given(events)
def test_it_never_counts_more_than_has_passed_nor_less_than_nothing(
    steps: list[tuple[str, float, float]],
) -> None:
    clock, now, counted = play(steps)
    assert all(0 <= seconds <= now - 1000.0 + 1e-6 for seconds in (*counted, clock.seconds(now)))
    assert clock.spent >= 0


@given(events, gaps)
def test_while_stopped_no_time_is_counted(steps: list[tuple[str, float, float]], later: float) -> None:
    clock, now, _ = play([*steps, ("stop", 0.0, 0.0)])
    assert clock.seconds(now + later) == clock.seconds(now) == clock.spent


@given(st.lists(st.floats(0, IDLE - 0.01, allow_nan=False), min_size=1, max_size=30))
def test_with_a_sign_within_every_minute_it_counts_all_of_it(signs: list[float]) -> None:
    clock, now = Clock().run(5.0), 5.0
    for gap in signs:
        now += gap
        clock = clock.run(now)
    assert abs(clock.seconds(now) - sum(signs)) < 1e-6


def test_idle_pause_and_absence_are_left_out() -> None:
    clock = Clock().run(0).run(30).run(60)
    assert clock.stop(100, idle=60).spent == 40
    paused = clock.stop(70)
    assert paused.run(1000).seconds(1010) == 80
    assert clock.run(60 + 2 * IDLE).seconds(60 + 2 * IDLE + 5) == 65
    assert clock.left().run(75).seconds(80) == 65
    assert clock.seconds(60 + 2 * IDLE) == 60
