"""The figures of a training."""

import numpy as np
import plotly.graph_objects as go
import pytest

from core.estimate import Estimate
from core.training_figures import SMOOTH, form_figure, training_figure

STEPS = [
    {
        "step": n,
        "epoch": 1,
        "loss": 1 / n,
        "accuracy": 0.5,
        "learning_rate": 1e-5 * n,
        "examples_per_second": 40.0,
    }
    for n in range(1, 31)
]


def titles(figure: go.Figure) -> list[str]:
    return [title.text for title in figure.layout.annotations]


def test_each_metric_that_is_told_has_a_panel_against_the_steps() -> None:
    figure = training_figure(STEPS)
    assert titles(figure) == ["Loss", "Accuracy", "Learning rate", "Pairs a second"]
    told = [{"step": step["step"], "loss": step["loss"], "token_accuracy": 0.7} for step in STEPS]
    assert titles(training_figure(told)) == ["Loss", "Token accuracy"]
    assert titles(training_figure([])) == ["Loss"]
    rate = next(trace for trace in figure.data if trace.name == "Learning rate")
    assert list(rate.x) == list(range(1, 31)) and list(rate.y) == [step["learning_rate"] for step in STEPS]


def test_loss_is_smoothed_as_an_exponential_mean_that_starts_unbiased() -> None:
    loss = [step["loss"] for step in STEPS]
    [line] = [trace for trace in training_figure(STEPS).data if trace.name == "Loss"]
    for n in (1, 2, 30):
        weights = SMOOTH ** np.arange(n)[::-1]
        assert line.y[n - 1] == pytest.approx(np.average(loss[:n], weights=weights))


def test_the_loss_held_out_stands_beside_that_of_the_steps() -> None:
    held_out = {"step": 30, "epoch": 1, "held_out_loss": 0.6}
    [line] = [trace for trace in training_figure([*STEPS, held_out]).data if "held out" in (trace.name or "")]
    assert (list(line.x), list(line.y)) == ([30], [0.6])


def test_a_metric_that_was_not_a_number_is_a_gap() -> None:
    [loss] = [t for t in training_figure([{**STEPS[0], "loss": None}, STEPS[1]]).data if t.name == "Loss"]
    assert list(loss.x) == [2]


def test_form_has_a_row_for_each_accuracy_with_its_interval() -> None:
    figure = form_figure(
        {"Embedding": Estimate(0.7, 0.6, 0.8, 50), "Longer wins": Estimate(0.4, 0.3, 0.5, 50)}
    )
    [dots] = figure.data
    assert list(dots.x) == [0.7, 0.4] and list(dots.y) == ["Embedding", "Longer wins"]
    assert figure.layout.xaxis.range[0] < 0.3


def test_an_accuracy_that_there_is_not_has_no_dot() -> None:
    figure = form_figure(
        {"Embedding": Estimate.unavailable("All tied."), "Surface": Estimate(0.6, None, None, 9)}
    )
    assert list(figure.data[0].y) == ["Surface"]


def test_steps_that_were_taken_again_after_a_stop_count_once() -> None:
    [loss] = [trace for trace in training_figure([*STEPS, *STEPS[19:25]]).data if trace.name == "Loss"]
    assert list(loss.x) == list(range(1, 26))


def test_the_learning_rate_is_that_of_the_head_where_nothing_else_learns() -> None:
    head = [{"step": n, "epoch": 1, "loss": 0.5, "head_rate": 1e-4 * n} for n in range(1, 4)]
    figure = training_figure(head)
    assert titles(figure) == ["Loss", "Learning rate of the head"]
    [rate] = [trace for trace in figure.data if trace.name == "Learning rate of the head"]
    assert list(rate.y) == [event["head_rate"] for event in head]
