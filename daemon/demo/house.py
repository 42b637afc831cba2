"""A corpus of home commands: templates of home-assistant-intents, walked at random by a seed.

hassil parses the templates; the walk is ours because hassil's own sampler enumerates every
choice in order, and the first thousand sentences of a template differ in their last word only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TypeVar

from hassil.expression import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    TextChunk,
)
from hassil.intents import IntentData, Intents, RangeSlotList, TextSlotList

from daemon.corpus import Corpus, Row, corpus
from daemon.demo.names import AREAS, FLOORS, NAMES, PHRASES
from daemon.ports import EXIT_CONFIG, Fatal
from scoring.training.dice import Dice

MINIMUM_TEXTS = 12  # an intent with fewer distinct texts cannot be split in three
TRIES_PER_TEXT = 3  # walks that repeat a text are thrown away
DRAWS = 96  # choices that one sentence may ask for; the deepest template asks for fewer

T = TypeVar("T")
Piece = tuple[str, str | None]  # text, and the slot that it fills


class _Walk:
    """One random walk through a template: a sentence as pieces."""

    def __init__(self, intents: Intents, block: IntentData, draws: Sequence[float]) -> None:
        self._rules = {**intents.expansion_rules, **block.expansion_rules}
        self._lists = {**intents.slot_lists, **block.slot_lists}
        self._names = _names(block)
        self._draws = iter(draws)

    def pieces(self, expression: Expression) -> list[Piece]:
        if isinstance(expression, TextChunk):
            return [(expression.original_text, None)]
        if isinstance(expression, RuleReference):
            return self.pieces(self._rules[expression.rule_name].expression)
        if isinstance(expression, ListReference):
            return [(self._value(expression), expression.slot_name)]
        if not isinstance(expression, Group):
            raise TypeError(type(expression).__name__)
        items = list(expression.items)
        if isinstance(expression, Alternative):
            return self.pieces(self._pick(items))
        if isinstance(expression, Permutation):  # hassil pads its members with spaces
            items = [items.pop(self._below(len(items))) for _ in range(len(items))]
        return [piece for item in items for piece in self.pieces(item)]

    def _value(self, reference: ListReference) -> str:
        known, name = self._lists.get(reference.list_name), reference.list_name
        if name in PHRASES:
            return self._pick(PHRASES[name])
        if isinstance(known, TextSlotList):
            chosen = self._pick(known.values).text_in
            return "".join(text for text, _ in self.pieces(chosen))
        if isinstance(known, RangeSlotList):
            numbers = range(known.start, known.stop + 1, known.step)
            return str(self._pick(numbers))
        owned = {"area": AREAS, "floor": FLOORS, "name": self._names}
        if name not in owned:
            raise Fatal("a template uses an unknown list", code=EXIT_CONFIG, hint="pin its version")
        return self._pick(owned[name])

    def _below(self, high: int) -> int:
        return min(int(next(self._draws) * high), high - 1)

    def _pick(self, items: Sequence[T]) -> T:
        return items[self._below(len(items))]


def _names(block: IntentData) -> tuple[str, ...]:
    domains = block.requires_context.get("domain", ())
    listed = [domains] if isinstance(domains, str) else list(domains)
    return tuple(name for kind in listed for name in NAMES.get(kind, ())) or NAMES["switch"]


def tagged(pieces: Sequence[Piece]) -> tuple[str, tuple[str, ...]]:
    """Join pieces: words separated by one space, and a BIO tag per word."""
    owners: list[tuple[str, int, str | None]] = [
        (letter, number, slot) for number, (text, slot) in enumerate(pieces) for letter in text
    ]
    words: list[str] = []
    tags: list[str] = []
    inside, last = False, -1
    for letter, number, slot in owners:
        if letter.isspace():
            inside = False
            continue
        if not inside:
            words.append("")
            tags.append("O")
        inside = True
        words[-1] += letter
        if slot is not None and tags[-1] == "O":
            tags[-1] = f"I-{slot}" if number == last else f"B-{slot}"
            last = number
    return " ".join(words), tuple(tags)


def home(language: str = "en", *, seed: int = 0, rows: int = 6_000) -> Corpus:
    """About `rows` distinct commands of some 40 intents, with slot tags; the seed decides all.

    Names of things are English, so other languages mix. A text that two intents claim is left
    out, and so is an intent with fewer than MINIMUM_TEXTS texts. Raises Fatal for a language
    that the package lacks.
    """
    intents = _load(language)
    dice = Dice("house", language, seed)
    cap = max(MINIMUM_TEXTS, 2 * rows // len(intents.intents))
    found = {name: _texts(intents, name, cap, dice.named(name)) for name in intents.intents}
    kept = unclaimed(found)
    wide = {name: made for name, made in kept.items() if len(made) >= MINIMUM_TEXTS}
    while cap > MINIMUM_TEXTS and sum(min(cap, len(made)) for made in wide.values()) > rows:
        cap -= 1  # the frequent shrink until all fit: a cap, not a share
    return corpus(_split({name: made[:cap] for name, made in wide.items()}), "the made-up house")


def unclaimed(found: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[str, list[Row]]:
    """Rows by intent, without the texts that another intent has too, whatever their case."""
    claims = Counter(text.casefold() for made in found.values() for text in made)
    return {
        name: [Row(text, name, tags) for text, tags in made.items() if claims[text.casefold()] == 1]
        for name, made in found.items()
    }


def _load(language: str) -> Intents:
    place = files("home_assistant_intents") / "data" / f"{language}.json"
    if not place.is_file():
        hint = "see the package home-assistant-intents for its languages"
        raise Fatal("there are no templates of this language", code=EXIT_CONFIG, hint=hint)
    return Intents.from_dict(json.loads(place.read_text(encoding="utf-8")))


def _texts(intents: Intents, name: str, cap: int, dice: Dice) -> dict[str, tuple[str, ...]]:
    """Up to `cap` distinct sentences of one intent with their tags, in the order of the walk."""
    pool = [(block, each) for block in intents.intents[name].data for each in block.sentences]
    tries = TRIES_PER_TEXT * cap
    order = dice.below("template", tries, len(pool))
    draws = dice.uniforms("choices", tries * DRAWS).reshape(tries, DRAWS)
    made: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for step, pick in enumerate(order):
        if len(made) == cap:
            break
        block, sentence = pool[pick]
        text, tags = tagged(_Walk(intents, block, draws[step].tolist()).pieces(sentence.expression))
        if text.casefold() not in seen:
            seen.add(text.casefold())
            made[text] = tags
    return made


def _split(intents: dict[str, list[Row]]) -> Iterator[tuple[str, Row]]:
    """Of each intent 10 % valid and 15 % test, at least one and two; rows come shuffled."""
    for made in intents.values():
        valid = max(1, len(made) // 10)
        test = valid + max(2, len(made) * 15 // 100)
        for place, row in enumerate(made):
            yield ("valid" if place < valid else "test" if place < test else "train"), row
