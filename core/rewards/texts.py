"""Texts as token ids, and pairs of them in batches with little padding in which no text is read twice without need."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from core.ratings import FloatArray
from core.rewards.sbert import surface_table

Ints = npt.NDArray[np.int64]
_WINDOW = 50
"""Batches whose texts are sorted by length together."""


class Texts:
    """Distinct texts as token ids; ``cut`` of them were longer than is read."""

    def __init__(self, tokenizer: Any, tokens: int, prompt_tokens: int, surface: bool) -> None:
        """``tokens`` is the most that is read of an answer, from its beginning, ``prompt_tokens`` of its prompt, from the end."""
        self._tokenizer, self._limit, self._context, self._with_surface = (
            tokenizer,
            tokens,
            prompt_tokens,
            surface,
        )
        self._row: dict[tuple[str, str], int] = {}
        self.ids: list[list[int]] = []
        self._answer: list[tuple[int, int]] = []
        self._surface: FloatArray = np.empty((0, 0))
        self.cut = 0

    def add(self, prompts: Sequence[str], responses: Sequence[str]) -> Ints:
        """The row of each text, shape (n,)."""
        limit, context = self._limit, self._context
        keys = [(p if context else "", r) for p, r in zip(prompts, responses, strict=True)]
        fresh = [key for key in dict.fromkeys(keys) if key not in self._row]
        said = self._tokens([response for _, response in fresh])
        asked = self._tokens([prompt for prompt, _ in fresh]) if context else [[] for _ in fresh]
        first = getattr(self._tokenizer, "cls_token_id", None)
        last = getattr(self._tokenizer, "sep_token_id", None)
        before = [] if first is None else [first]
        after = [] if last is None else [last]
        for key, answer, prompt in zip(fresh, said, asked, strict=True):
            room = limit - 2
            self.cut += len(answer) > room or len(prompt) > context > 0
            lead = [*before, *prompt[-context:], *after] if prompt and context else before
            whole = [*lead, *answer[:room], *after] or [0]
            self._row[key] = len(self.ids)
            self._answer.append((len(lead) if prompt and context else 0, len(whole)))
            self.ids.append(whole)
        if self._with_surface and fresh:
            self._surface = surface_table([response for _, response in self._row])
        return np.array([self._row[key] for key in keys], dtype=np.int64)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        return list(
            self._tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)[
                "input_ids"
            ]
        )

    def by_length(self, size: int) -> Iterator[Ints]:
        """All rows in batches, the longest first."""
        order = np.argsort([-len(one) for one in self.ids], kind="stable")
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]

    def batch(self, rows: Ints, device: torch.device) -> dict[str, Tensor]:
        """The texts as tensors, padded to the longest of them."""
        width = max(len(self.ids[row]) for row in rows)
        pad = getattr(self._tokenizer, "pad_token_id", None) or 0
        ids = np.full((len(rows), width), pad, dtype=np.int64)
        mask, answer = np.zeros_like(ids), np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(self.ids[row])] = self.ids[row]
            mask[i, : len(self.ids[row])] = 1
            answer[i, slice(*self._answer[row])] = 1
        surface = self._surface[rows] if self._with_surface else np.empty((len(rows), 0))
        made = {"ids": ids, "mask": mask, "answer": answer, "surface": surface.astype(np.float32)}
        return {name: torch.from_numpy(value).to(device) for name, value in made.items()}


def batches(a: Ints, b: Ints, lengths: Ints, size: int, rng: np.random.Generator) -> list[Ints]:
    """Pairs (a[i], b[i]) of texts in batches of at most ``size`` distinct texts, each text in as few as can be.

    Pairs that share texts stay together, so that an answer that is in many pairs is read once for all of them; the
    others are with texts of about their length, so that little is padding. The order is drawn from ``rng``.
    """
    units = [rng.permutation(unit) for unit in _connected(a, b, len(lengths))]
    order = rng.permutation(len(units))
    longest = np.array([max(lengths[a[unit]].max(), lengths[b[unit]].max()) for unit in units])
    texts = [len(set(a[unit]) | set(b[unit])) for unit in units]
    made: list[list[int]] = []
    window: list[int] = []
    filled = 0
    for unit in order:
        window.append(int(unit))
        filled += texts[unit]
        if filled >= _WINDOW * size:
            made += _packed(a, b, [units[u] for u in sorted(window, key=longest.__getitem__)], size)
            window, filled = [], 0
    made += _packed(a, b, [units[u] for u in sorted(window, key=longest.__getitem__)], size)
    return [np.array(made[i], dtype=np.int64) for i in rng.permutation(len(made))]


def _packed(a: Ints, b: Ints, units: Sequence[Ints], size: int) -> list[list[int]]:
    """Units whole into batches while they fit; one that is larger than a batch is cut where few texts are read twice."""
    made: list[list[int]] = []
    batch: list[int] = []
    seen: set[int] = set()
    for unit in units:
        left = unit.tolist()
        while left:
            texts = {int(text) for pair in left for text in (a[pair], b[pair])}
            if batch and len(seen | texts) > size:
                made.append(batch)
                batch, seen = [], set()
            for pair in left:
                both = seen | {int(a[pair]), int(b[pair])}
                seen = both if len(both) <= size else seen
            batch += [pair for pair in left if {int(a[pair]), int(b[pair])} <= seen]
            left = [pair for pair in left if not {int(a[pair]), int(b[pair])} <= seen]
    return [*made, batch] if batch else made


def _connected(a: Ints, b: Ints, count: int) -> list[Ints]:
    """The pairs of each connected part of the graph whose edges they are."""
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    of_pair = part[a]
    order = np.argsort(of_pair, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1)
