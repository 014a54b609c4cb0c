"""What was found of bias, in words, with its interval; where something cannot be told, why."""

from collections.abc import Iterable

from core.bias import LENGTH, POSITION, SKIM, Effect, Report
from core.estimate import Estimate

MORE = {
    POSITION: "The left answer",
    LENGTH: "The longer answer",
    "list items": "More list items",
    "headings": "More headings",
    "bold": "More bold",
    "code": "More code",
    "links": "More links",
}
LAYOUT = {
    "list items": "list items",
    "headings": "headings",
    "bold": "bold passages",
    "code": "pieces of code",
    "links": "links",
}
SETTLED = {
    "consensus": "pairs by consensus",
    "clear": "clear pairs",
    "gold": "gold pairs",
}


def about_position(found: Report) -> str:
    effect = found.effects[POSITION]
    if effect.share.value is None:
        return f"{badge(effect.share)} **Position** cannot be told. {effect.share.reason}"
    balanced = (
        f" If each answer had stood left equally often it would be {told(found.balanced)}."
        if found.balanced.value is not None
        else f" Better answers may have stood left more often: {lower(found.balanced.reason)}"
    )
    return (
        f"{badge(effect.share)} **Position.** The left answer is preferred in {told(effect.share)} of "
        f"{effect.share.n:,} judgements.{balanced} Response A stood left in {found.a_left.value:.1%}."
    )


def about_length(found: Report) -> str:
    effect = found.effects[LENGTH]
    if effect.share.value is None:
        return f"{badge(effect.share)} **Length** cannot be told. {effect.share.reason}"
    won = [
        f"{told(found.pairs[by][LENGTH])} of {found.pairs[by][LENGTH].n:,} {name}"
        for by, name in (("clear", SETTLED["clear"]), ("gold", SETTLED["gold"]))
        if found.pairs[by][LENGTH].value is not None
    ]
    wins = f" and wins {' and '.join(won)}" if won else ""
    odds = (
        f" Twice the length multiplies the odds by {told(effect.odds, 2)}, the rest equal."
        if effect.odds.value is not None
        else ""
    )
    return (
        f"{badge(effect.share)} **Length.** The longer answer is preferred in {told(effect.share)} of "
        f"{effect.share.n:,} judgements{wins}.{odds} Longer answers may be better ones: this is what annotators reward."
    )


def about_style(found: Report) -> str:
    known = {name: found.effects[name] for name in LAYOUT if found.effects[name].share.value is not None}
    if not known:
        return f":gray-badge[–] **Layout** cannot be told. No two answers differ in {listed(LAYOUT.values(), 'or')}."
    leaning = {name: effect for name, effect in known.items() if is_lean(effect)}
    others = [LAYOUT[name] for name in known if name not in leaning]
    missing = [LAYOUT[name] for name in LAYOUT if name not in known]
    said = [
        f"Doubling the number of {LAYOUT[name]} multiplies the odds by {told(effect.odds, 2)}, the rest equal."
        for name, effect in leaning.items()
    ]
    if others:
        said.append(f"{listed(others, 'and').capitalize()}: no lean beyond chance, the rest equal.")
    if missing:
        said.append(f"No two answers differ in {listed(missing, 'or')}.")
    return f"{':orange-badge[leans]' if leaning else ':green-badge[no lean]'} **Layout.** {' '.join(said)}"


def listed(names: Iterable[str], joint: str) -> str:
    """Names in a sentence: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} {joint} {last}" if first else last


def about_haste(found: Report) -> str:
    speed = found.speed
    if speed.quick.value is None:
        return f"{badge(speed.quick)} **Haste** cannot be told. {speed.quick.reason}"
    quick = (
        f"{told(speed.quick)} of {speed.quick.n:,} judgements were faster than {SKIM:.0f} characters a second, "
        "which is more than anybody reads."
    )
    if speed.less.value is None:
        return f":gray-badge[–] **Haste.** {quick} Whether those agree less cannot be told: {lower(speed.less.reason)}"
    if speed.less.low is None or speed.less.low <= 0 <= (speed.less.high or 0):
        state = ":green-badge[no difference]"
    else:
        state = ":orange-badge[agree less]" if speed.less.value < 0 else ":blue-badge[agree more]"
    return (
        f"{state} **Haste.** {quick} They agree with others in {told(speed.hasty)} of cases, the rest in {told(speed.careful)}: "
        f"{signed(speed.less)} in all, {signed(speed.within)} within one and the same annotator."
    )


def is_lean(effect: Effect) -> bool:
    """Whether the odds differ from 1 beyond their interval."""
    odds = effect.odds
    return odds.low is not None and odds.high is not None and not odds.low <= 1 <= odds.high


def badge(share: Estimate) -> str:
    """Whether the interval of a share leaves out 1/2."""
    if share.value is None:
        return ":gray-badge[–]"
    if share.low is None or share.high is None or share.low <= 0.5 <= share.high:
        return ":green-badge[no lean]"
    return ":orange-badge[leans]" if share.value > 0.5 else ":orange-badge[leans away]"


def shares_of(found: Report) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The rows of the figure, and what the n of each counts."""
    rows, units = {}, {}
    for name, effect in found.effects.items():
        rows[MORE[name]] = effect.share
        if name == POSITION:
            rows["… sides balanced"] = found.balanced
        if name == LENGTH:
            for by, what in SETTLED.items():
                rows[f"… of {what}"] = found.pairs[by][LENGTH]
                units[f"… of {what}"] = "pairs"
    return rows, {name: units.get(name, "judgements") for name in rows}


def told(estimate: Estimate, digits: int = 3) -> str:
    """A value with its interval, for a sentence."""
    return f"**{estimate.value:.{digits}f}**" + (
        f" ({interval(estimate, digits)})" if estimate.low is not None else ""
    )


def interval(estimate: Estimate, digits: int = 3) -> str:
    return (
        "no interval" if estimate.low is None else f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
    )


def signed(estimate: Estimate) -> str:
    """A difference with its interval, or that there is none."""
    if estimate.value is None:
        return "nothing to tell"
    span = "" if estimate.low is None else f" ({estimate.low:+.3f} to {estimate.high:+.3f})"
    return f"**{estimate.value:+.3f}**{span}"


def cell(estimate: Estimate, digits: int = 3) -> str:
    return "–" if estimate.value is None else told(estimate, digits).replace("*", "")


def lower(text: str | None) -> str:
    return (text or "")[:1].lower() + (text or "")[1:]
