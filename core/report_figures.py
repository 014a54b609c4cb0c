"""The drawings of a report, as SVG: they need no script, follow the page's colours, print sharply and keep their text as text."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from core.calibration import Reliability
from core.calibration_figures import limits_of
from core.drift_figures import Points
from core.estimate import Estimate
from core.ratings import FloatArray
from core.two_samples import BoolArray

WIDTH = 760
LABEL = 250
"""The room of a row's name, in which LETTERS fit."""
LETTERS = 38
DRAWN = 20_000
"""Points on a map at most; of more, a sample."""
SERIES = ("first", "second")
Colour = str
"""A class of the style sheet: first, second, bad, other."""


class _Drawing:
    """An SVG image, and where a value lies on its axes; ``title`` is what it is read out as."""

    def __init__(self, height: float, title: str, box: tuple[float, float, float, float]) -> None:
        self.left, self.right, self.top, self.bottom = box
        self.root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {WIDTH} {height:g}", "role": "img", "aria-label": title}
        )
        self.x_range = self.y_range = (0.0, 1.0)

    def add(self, tag: str, text: str | None = None, **attributes: object) -> None:
        named = {
            name.rstrip("_").replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value)
            for name, value in attributes.items()
        }
        ElementTree.SubElement(self.root, tag, named).text = text

    def x(self, value: float) -> float:
        low, high = self.x_range
        return float(self.left + (value - low) / (high - low) * (self.right - self.left))

    def y(self, value: float) -> float:
        low, high = self.y_range
        return float(self.bottom - (value - low) / (high - low) * (self.bottom - self.top))

    def x_axis(self, ticks: Sequence[float], form: str, title: str = "") -> None:
        for tick in ticks:
            x = self.x(tick)
            self.add("line", x1=x, x2=x, y1=self.top, y2=self.bottom, class_="grid")
            self.add("text", form.format(tick), x=x, y=self.bottom + 16, text_anchor="middle", class_="soft")
        if title:
            middle = (self.left + self.right) / 2
            self.add("text", title, x=middle, y=self.bottom + 34, text_anchor="middle")

    def y_axis(self, ticks: Sequence[float], form: str, title: str) -> None:
        for tick in ticks:
            y = self.y(tick)
            self.add("line", x1=self.left, x2=self.right, y1=y, y2=y, class_="grid")
            self.add("text", form.format(tick), x=self.left - 8, y=y + 4, text_anchor="end", class_="soft")
        middle = (self.top + self.bottom) / 2
        turned = f"rotate(-90 {self.left - 48:g} {middle:g})"
        self.add("text", title, x=self.left - 48, y=middle, text_anchor="middle", transform=turned)

    def legend(self, names: Sequence[tuple[str, Colour]]) -> None:
        x = float(self.left)
        for name, colour in names:
            self.add("circle", cx=x + 5, cy=10, r=5, class_=f"{colour}-fill")
            self.add("text", name, x=x + 16, y=14)
            x += 40 + 6.6 * len(name)

    def markup(self) -> Markup:
        return Markup(ElementTree.tostring(self.root, encoding="unicode", short_empty_elements=False))


def rows_of_intervals(
    names: Sequence[str], series: Mapping[str, Sequence[Estimate]], title: str, form: str = "{:.0%}"
) -> Markup:
    """A row for each name, and on it the estimates of each of two series at most with their intervals; a figure from 0 on."""
    step, top = 15 + 11 * len(series), 8 if len(series) == 1 else 30
    bottom = top + 4 + step * len(names)
    drawing = _Drawing(bottom + 24, title, (LABEL + 10, WIDTH - 16, top, bottom))
    ends = [limits_of(one)[1] or 0.0 for some in series.values() for one in some]
    ticks = _ticks(0.0, max([*ends, 0.01]))
    drawing.x_range = (0.0, 1.02 * max(*ends, ticks[-1]))
    drawing.x_axis(ticks, form if ticks[1] >= 0.01 or "%" not in form else "{:.1%}")
    drawing.legend(list(zip(series, SERIES, strict=False)) if len(series) > 1 else [])
    for row, name in enumerate(names):
        middle = drawing.top + 4 + step * (row + 0.5)
        drawing.add("text", _short(name), x=LABEL, y=middle + 4, text_anchor="end")
        for place, (some, colour) in enumerate(zip(series.values(), SERIES, strict=False)):
            estimate, y = some[row], middle + 11 * (place - (len(series) - 1) / 2)
            if estimate.value is None:
                continue
            low, high = limits_of(estimate)
            drawing.add(
                "line", x1=drawing.x(low or 0.0), x2=drawing.x(high or 0.0), y1=y, y2=y, class_=colour
            )
            drawing.add("circle", cx=drawing.x(estimate.value), cy=y, r=4.5, class_=f"{colour}-fill")
    return drawing.markup()


def reliability(diagram: Reliability, least: float, title: str, pairs: bool = True) -> Markup:
    """Observed shares with their intervals against predictions, from ``least`` on; grey: where they would lie if calibrated."""
    drawing = _Drawing(470, title, (80, WIDTH - 16, 12, 340))
    shares = [limits_of(one)[0] or 0.0 for one in diagram.observed]
    drawing.x_range = (least, 1.0)
    drawing.y_range = (max(0.0, np.floor(10 * min(least, *shares)) / 10), 1.0)
    ticks = _ticks(least, 1.0)
    drawing.x_axis(ticks, "{:.1f}")
    drawing.y_axis(_ticks(drawing.y_range[0], 1.0), "{:.1f}", "Votes that agree" if pairs else "Good answers")
    drawing.add(
        "line", x1=drawing.x(least), x2=drawing.x(1.0), y1=drawing.y(least), y2=drawing.y(1.0), class_="even"
    )
    for predicted, low, high in zip(diagram.predicted, diagram.band_low, diagram.band_high, strict=True):
        x, top = drawing.x(float(predicted)), drawing.y(float(high))
        drawing.add(
            "rect",
            x=x - 7,
            y=top,
            width=14,
            height=drawing.y(float(low)) - top,
            class_="other-fill",
            fill_opacity=0.5,
        )
    for predicted, observed in zip(diagram.predicted, diagram.observed, strict=True):
        low, high = (drawing.y(end or 0.0) for end in limits_of(observed))
        x = drawing.x(float(predicted))
        drawing.add("line", x1=x, x2=x, y1=low, y2=high, class_="first")
        drawing.add("circle", cx=x, cy=drawing.y(observed.value or 0.0), r=4.5, class_="first-fill")
    most = max(one.n for one in diagram.observed)
    drawing.top, drawing.bottom, drawing.y_range = 376, 420, (0.0, float(most))
    drawing.x_axis(ticks, "{:.1f}", "Predicted probability")
    drawing.y_axis([0.0, float(most)], "{:,.0f}", "Pairs" if pairs else "Answers")
    for low, high, observed in zip(diagram.low, diagram.high, diagram.observed, strict=True):
        left, right, top = (
            drawing.x(max(float(low), least)),
            drawing.x(float(high)),
            drawing.y(float(observed.n)),
        )
        drawing.add(
            "rect",
            x=left + 1,
            y=top,
            width=right - left - 2,
            height=drawing.bottom - top,
            class_="first-fill",
            fill_opacity=0.6,
        )
    return drawing.markup()


def map_of(
    point: Points,
    groups: Mapping[str, tuple[BoolArray, Colour]],
    marks: Sequence[tuple[float, float, str]],
    title: str,
) -> Markup:
    """Texts where they are on the map, shape (n, 2), each group in its colour, and the names of some clusters at ``marks``.

    Of more than DRAWN texts a sample is drawn; a name that would lie on an earlier one is left out.
    """
    low, high = point.min(0), point.max(0)
    span = np.where(high > low, high - low, 1)
    height = float(np.clip(WIDTH * span[1] / span[0], 300, 560))
    drawing = _Drawing(height + 34, title, (10, WIDTH - 10, 34, height + 24))
    drawing.x_range, drawing.y_range = ((float(low[i]), float(low[i] + span[i])) for i in (0, 1))
    drawing.legend([(name, colour) for name, (_, colour) in groups.items()])
    kept = np.zeros(len(point), dtype=bool)
    kept[np.random.default_rng(0).permutation(len(point))[:DRAWN]] = True
    width = float(np.interp(len(point), [500, 5000, 20_000], [6, 3.5, 2.2]))
    for rows, colour in groups.values():
        dots = "".join(f"M{drawing.x(x):.1f} {drawing.y(y):.1f}h0" for x, y in point[rows & kept].tolist())
        drawing.add("path", d=dots, class_=f"{colour} points", style=f"stroke-width:{width:.1f}")
    taken: list[tuple[float, float]] = []
    for x, y, name in marks:
        at, height = float(np.clip(drawing.x(x), 110, WIDTH - 110)), drawing.y(y)
        if any(abs(at - left) < 220 and abs(height - up) < 14 for left, up in taken):
            continue
        taken.append((at, height))
        drawing.add("text", _short(name, 32), x=at, y=height, text_anchor="middle", class_="halo")
    return drawing.markup()


def line_of(rate: FloatArray, alarms: Sequence[tuple[int, int]], ends: tuple[str, str], title: str) -> Markup:
    """A rate along a stream, shape (n,), from one end to the other; of each alarm where it was found, and since when."""
    drawing = _Drawing(240, title, (80, WIDTH - 16, 12, 200))
    ticks = _ticks(0.0, max(float(rate.max()), 0.01))
    drawing.x_range, drawing.y_range = (
        (0.0, float(max(len(rate) - 1, 1))),
        (0.0, max(float(rate.max()), ticks[-1])),
    )
    drawing.y_axis(ticks, "{:.0%}", "Error rate")
    for found, since in alarms:
        left, right = (drawing.x(float(np.clip(at, 0, len(rate) - 1))) for at in (since, found))
        drawing.add("rect", x=left, y=drawing.top, width=right - left, height=drawing.bottom - drawing.top, class_="bad-fill",
                    fill_opacity=0.15)  # fmt: skip
        drawing.add("line", x1=right, x2=right, y1=drawing.top, y2=drawing.bottom, class_="bad")
    shown = range(0, len(rate), max(1, len(rate) // 1500))
    drawing.add(
        "polyline",
        points=" ".join(f"{drawing.x(i):.1f},{drawing.y(float(rate[i])):.1f}" for i in shown),
        class_="first",
    )
    for x, anchor, text in ((drawing.left, "start", ends[0]), (drawing.right, "end", ends[1])):
        drawing.add("text", text, x=x, y=218, text_anchor=anchor, class_="soft")
    return drawing.markup()


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, five or so."""
    rough = (high - low) / 5
    power = 10 ** np.floor(np.log10(rough))
    step = power * next(one for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(tick * step) for tick in range(first, last + 1)]


def _short(name: str, most: int = LETTERS) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
