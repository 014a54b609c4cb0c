"""A provider that needs no network: the same question, sampled the same way, always gets the same made-up answer."""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import astuple
from typing import Literal

from core.generation import Completion, Sampling
from core.records import Message
from providers.base import split_system

Kind = Literal["code", "math", "reasoning", "general"]
_SIGNS: dict[Kind, str] = {
    "code": r"\b(code|function|python|javascript|sql|regex|algorithm|class|implement|script|bug|api)\b|```",
    "math": r"\d\s*[-+*/^=%]\s*\d|\b(solve|calculate|compute|how many|probability|equation|sum|integral|percent)\b",
    "reasoning": r"\b(why|compare|should|which|puzzle|argue|cause|trade-?off|difference|decide)\b",
}
_FILLER = frozenset(
    re.findall(
        r"\w+",
        """about after before could does each explain first from function give have into make many most other please
        python question should show some tell than that their them there these they this those what when where which
        while will with would write your""",
    )
)
_OPENINGS = (
    "Here is a short answer about {topic}.",
    "{Topic} comes down to a few points.",
    "Let us look at {topic} step by step.",
    "In short: {topic} matters most where {other} is concerned.",
)
_CHATTY_OPENINGS = (
    "What a great question! There is so much to say about {topic}, so let us dive right in.",
    "Ah, {topic}! People have argued about it for a long time, and honestly, so have I.",
    "Picture this: you have never heard of {topic}, and somebody mentions {other}.",
)
_POINTS = (
    "**{Topic}** is the part to settle first, because {other} depends on it.",
    "Keep {other} separate from {topic}; mixing them up is the usual mistake.",
    "Check the result against a small example that you can work out by hand.",
    "If {topic} changes, look at {other} again before you go on.",
    "A good default is the simplest version of {topic} that still covers {other}.",
    "Write down what you assume about {other}, so that somebody else can question it.",
)
_RAMBLES = (
    "Of course, everything depends on context, and there are many ways to see it.",
    "As a side note, {other} has a long and rather colourful history that would fill a book.",
    "Some would say the opposite about {topic}, and they may well be right, or not.",
    "It is worth repeating that {topic} is important, because it really is important.",
)
_CLOSINGS = (
    "So start with {topic}, then turn to {other}.",
    "That is enough to get going; the details of {other} can wait.",
    "I hope this helps! Let me know if you would like to hear more about {topic}.",
)
_BODIES = (
    "    seen = set()\n    return [x for x in {arg} if not (x in seen or seen.add(x))]",
    "    total = 0\n    for x in {arg}:\n        total += x\n    return total",
    '    if not {arg}:\n        raise ValueError("{arg} is empty")\n    return sorted({arg})[len({arg}) // 2]',
    "    return {arg}[::-1]",
    "    counts = {{}}\n    for x in {arg}:\n        counts[x] = counts.get(x, 0) + 1\n    return counts",
)


class Mock:
    """Deterministic in messages and sampling. Like a model, it is the same at temperature 0 whatever the seed, and
    the warmer it is, the longer, the chattier and the less reliable it gets; a token is a word."""

    def complete(self, messages: Sequence[Message], settings: Sampling) -> Completion:
        system, turns = split_system(messages, settings.system)
        heat = 0.7 if settings.temperature is None else settings.temperature
        sampling = astuple(settings) if heat > 0 else (settings.model, settings.max_tokens)
        said = [system, *((m.role, m.content) for m in turns), *sampling]
        chance = random.Random(hashlib.sha256(json.dumps(said).encode("utf-8", "surrogatepass")).digest())
        words = re.findall(r"\S+\s*", _answer(turns[-1].content if turns else "", heat, chance))
        text = "".join(words[: settings.max_tokens]).rstrip()
        asked = sum(len(m.content.split()) for m in messages)
        return Completion(
            text,
            settings.model or "mock",
            asked,
            min(len(words), settings.max_tokens),
            0.0,
            settings.temperature,
        )


def _answer(question: str, heat: float, chance: random.Random) -> str:
    kind: Kind = next(
        (k for k, sign in _SIGNS.items() if re.search(sign, question, re.IGNORECASE)), "general"
    )
    topic, other = _topics(question, chance)

    def say(template: str) -> str:
        return template.format(topic=topic, Topic=topic[:1].upper() + topic[1:], other=other)

    chatty = chance.random() < 0.6 * min(heat, 1.0)
    points = [say(point) for point in chance.sample(_POINTS, chance.randint(2, 3 + round(heat)))]
    parts = [say(chance.choice(_CHATTY_OPENINGS if chatty else _OPENINGS))]
    if kind == "code":
        parts.append(_code(topic, chance))
    elif kind == "math":
        parts.append(_sum(question, chance.random() < 0.25 * heat, chance))
    if kind == "reasoning" or chance.random() < 0.5:
        parts.append("\n".join(f"{i}. {point}" for i, point in enumerate(points, 1)))
    else:
        parts.append("\n".join(f"- {point}" for point in points))
    if chatty:
        parts += [say(ramble) for ramble in chance.sample(_RAMBLES, chance.randint(1, 3))]
    if chance.random() < 0.3 + 0.4 * heat:
        parts.append(say(chance.choice(_CLOSINGS)))
    return "\n\n".join(parts)


def _topics(question: str, chance: random.Random) -> tuple[str, str]:
    """Two words of the question to talk about."""
    found = {word.lower() for word in re.findall(r"[^\W\d_]{4,}", question)} - _FILLER
    longest = sorted(found, key=lambda word: (-len(word), word))[:5]
    topic, other = chance.sample([*longest, "the question", "the details"], 2)
    return topic, other


def _code(topic: str, chance: random.Random) -> str:
    name = re.sub(r"\W+", "_", topic) or "answer"
    arg = chance.choice(("items", "values", "rows"))
    return f"```python\ndef {name}({arg}):\n{chance.choice(_BODIES).format(arg=arg)}\n```"


def _sum(question: str, wrong: bool, chance: random.Random) -> str:
    numbers = [int(n) for n in re.findall(r"\d{1,6}", question)][:4] or [
        chance.randint(2, 20),
        chance.randint(2, 20),
    ]
    total = sum(numbers) + (chance.randint(1, 9) if wrong else 0)
    return (
        f"Adding up what is given:\n\n$$ {' + '.join(map(str, numbers))} = {total} $$\n\n**Answer: {total}**"
    )
