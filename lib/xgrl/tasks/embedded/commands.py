"""Sentences drawn from human-written command templates (home-assistant-intents), for the targets
"intent" and "slots".

A template is one line of a locale's file, such as ``<turn> on [<the>] {area} <light>``: rules in
angle brackets, optional parts in square ones, alternatives, and slots in braces. `hassil` parses
it; a sentence is a random walk through the parse, which visits every alternative with equal chance.
Templates, not sentences, are the unit that a split must not cut: those of one are nearly the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np
from hassil import expression as hassil
from hassil.intents import Intents, RangeSlotList, SlotList, TextSlotList

from xgrl.tasks.embedded.fillers import FILLERS
from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources.packages import read_json

Piece = tuple[str, str]  # a part of a sentence, and the slot it fills or ""
Span = tuple[int, int, str]
Drawn = tuple[str, list[Span]]
PER_TEMPLATE = 6
FEWEST_TEMPLATES = 5
FILES = {"zh": "zh-CN"}
DRAWS = 4  # allowed for each sentence wanted: a template may have fewer than PER_TEMPLATE


class Unfillable(LookupError):
    """A walk came to a slot without values here, such as the command that a timer runs."""


@cache
def commands(language: str, labels: tuple[str, ...]) -> list[Row]:
    """Sentences of one locale (a key of FILLERS), at most PER_TEMPLATE a template, no text twice,
    of the intents `labels`; one without templates in this locale has no rows.

    Texts that stand under two intents are left out of both. Order: round robin over intents, then
    over the templates of an intent, so that the first n rows are as balanced over both as n rows
    can be; the same order on every machine.

    Rows have id ("intent-<language>-<template hash>-<k>"), text, text_pair, label (position in
    `labels`), template (its hash) and spans: start, end and name of every slot in the text.
    """
    file = f"home_assistant_intents/data/{FILES.get(language, language)}.json"
    grammar = Intents.from_dict(read_json("home-assistant-intents", file))
    blank = "" if grammar.settings.ignore_whitespace else " "
    drawn: dict[str, dict[str, list[Drawn]]] = {label: {} for label in labels}
    for label, templates in drawn.items():
        for block in grammar.intents[label].data if label in grammar.intents else ():
            rules = {**grammar.expansion_rules, **block.expansion_rules}
            slots = {**grammar.slot_lists, **block.slot_lists}
            walk = _Walk(rules, slots, FILLERS[language])
            for template, sentence in zip(block.sentence_texts, block.sentences, strict=True):
                key = f"{crc32(f'{language} {label} {template}'.encode()):08x}"
                templates.setdefault(key, _sentences(sentence, key, walk, blank))
    labels_of = defaultdict(set)
    for label, templates in drawn.items():
        for sentences in templates.values():
            for text, _ in sentences:
                labels_of[normalise(text)].add(label)
    seen, queues = set(), {label: [] for label in labels}
    for label, templates in drawn.items():
        for key, k, (text, spans) in _round_robin(templates):
            norm = normalise(text)
            if norm and norm not in seen and len(labels_of[norm]) == 1:
                seen.add(norm)
                row = {"id": f"intent-{language}-{key}-{k}", "text": text, "text_pair": ""}
                row |= {"label": labels.index(label), "template": key, "spans": spans}
                queues[label].append(row)
    longest = max(map(len, queues.values()), default=0)
    turns = ((queues[label], turn) for turn in range(longest) for label in _shuffled(labels, turn))
    return [queue[turn] for queue, turn in turns if turn < len(queue)]


def english_splits(rows: list[Row]) -> dict[str, set[str]]:
    """Templates of the English train, dev and test sets: of each intent's templates about three,
    one and one fifth, at least one each. `rows` are those of `commands`.
    """
    templates = defaultdict(set)
    for row in rows:
        templates[row["label"]].add(row["template"])
    splits: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set()}
    for keys in templates.values():
        order = _shuffled(keys)
        fifth = max(1, len(order) // 5)
        splits["test"].update(order[:fifth])
        splits["dev"].update(order[fifth : 2 * fifth])
        splits["train"].update(order[2 * fifth :])
    return splits


def _sentences(sentence: hassil.Sentence, key: str, walk: "_Walk", blank: str) -> list[Drawn]:
    """Up to PER_TEMPLATE different sentences of one template."""
    random = np.random.default_rng(int(key, 16))
    drawn: dict[str, list[Span]] = {}
    for _ in range(DRAWS * PER_TEMPLATE):
        try:
            text, spans = _join(walk.pieces(sentence.expression, random), blank)
        except Unfillable:
            continue
        drawn.setdefault(text, spans)
        if len(drawn) == PER_TEMPLATE:
            break
    return list(drawn.items())


def _join(pieces: list[Piece], blank: str) -> Drawn:
    """One text, its runs of white space as `blank`, none at its ends; and where its slots are."""
    text, spans = "", []
    for piece, slot in pieces:
        start = len(text)
        for run in re.split(r"(\s+)", piece):
            if not run.isspace():
                text += run
            elif text and not text.endswith(" "):
                text += blank
        start += len(text[start:]) - len(text[start:].lstrip())
        if slot and text[start:].strip():
            spans.append((start, len(text.rstrip()), slot))
    return text.rstrip(), spans


@dataclass(frozen=True)
class _Walk:
    """Random walks through the templates of a locale, whose rules and slots may become this."""

    rules: dict[str, hassil.Sentence]
    slots: dict[str, SlotList]
    fillers: dict[str, tuple[str, ...]]

    def pieces(self, part: hassil.Expression, random: np.random.Generator) -> list[Piece]:
        """One sentence of a parsed template, in pieces; numbers are written in digits."""
        if isinstance(part, hassil.TextChunk):
            return [(part.original_text, "")]
        if isinstance(part, hassil.ListReference):
            return [(self._value(part, random), part.slot_name)]
        if isinstance(part, hassil.RuleReference):
            return self.pieces(self.rules[part.rule_name].expression, random)
        if isinstance(part, hassil.Alternative):
            return self.pieces(part.items[random.integers(len(part.items))], random)
        if not isinstance(part, hassil.Group):
            raise TypeError(f"{type(part).__name__} is not a part of a template that is known here")
        items = part.items
        if isinstance(part, hassil.Permutation):
            items = [items[i] for i in random.permutation(len(items))]
        return [piece for item in items for piece in self.pieces(item, random)]

    def _value(self, slot: hassil.ListReference, random: np.random.Generator) -> str:
        values = self.slots.get(slot.list_name)
        if isinstance(values, TextSlotList) and values.values:
            chosen = values.values[random.integers(len(values.values))]
            return "".join(text for text, _ in self.pieces(chosen.text_in, random))
        if isinstance(values, RangeSlotList) or slot.is_inline_range:
            start, stop, step = slot.get_inline_range() or (values.start, values.stop, values.step)
            return str(start + step * int(random.integers((stop - start) // step + 1)))
        if slot.list_name not in self.fillers:
            raise Unfillable(slot.list_name)
        fillers = self.fillers[slot.list_name]
        return fillers[random.integers(len(fillers))]


def _round_robin(templates: dict[str, list[Drawn]]) -> list[tuple[str, int, Drawn]]:
    """First sentences of all templates, then second ones, and so on; templates are shuffled."""
    order, turns = _shuffled(templates), range(PER_TEMPLATE)
    return [(key, k, templates[key][k]) for k in turns for key in order if k < len(templates[key])]


def _shuffled(names: Iterable[str], turn: int = 0) -> list[str]:
    return sorted(sorted(names), key=lambda name: crc32(f"{turn} {name}".encode()))
