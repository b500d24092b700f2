"""Sentences drawn from human-written command templates (home-assistant-intents), for the target
tasks "intent" and "slots".

A template is one line of a locale's file, such as ``<turn> on [<the>] {area} <light>``: rules in
angle brackets, optional parts in square ones, alternatives, and slots in braces. `hassil` parses
it; a sentence is a random walk through the parse, which visits every alternative with equal chance.
Templates, not sentences, are the unit that a split must not cut: sentences of one are nearly the
same.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache
from zlib import crc32

import numpy as np
from hassil.expression import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    Sentence,
    TextChunk,
)
from hassil.intents import Intents, RangeSlotList, SlotList, TextSlotList

from xgrl.tasks.embedded.fillers import FILLERS
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources.packages import read_member

Piece = tuple[str, str]  # a part of a sentence, and the slot it fills or ""
Span = tuple[int, int, str]
Drawn = tuple[str, list[Span]]
PACKAGE = "home-assistant-intents"
PER_TEMPLATE = 6
FEWEST_TEMPLATES = 5
FILES = {"zh": "zh-CN"}
# draws allowed for each sentence wanted: a template may have fewer sentences than PER_TEMPLATE
DRAWS = 4


class Unfillable(LookupError):
    """A walk came to a slot that has no values here (free text, such as the command that a timer
    runs).
    """


@cache
def commands(language: str, labels: tuple[str, ...]) -> list[dict[str, object]]:
    """Sentences of one locale, at most PER_TEMPLATE a template, no text twice.

    Texts that stand under two intents are left out of both. Order: round robin over intents, then
    over the templates of an intent, so that the first n rows are as balanced over both as n rows
    can be; the same order on every machine.

    Args:
        language: a key of FILLERS.
        labels: intents to keep, in index order; one without templates in this locale has no rows.

    Returns:
        Rows with id ("intent-<language>-<template hash>-<k>"), text, text_pair, label, template
        (its hash) and spans: start, end and name of every slot in the text.
    """
    grammar = Intents.from_dict(
        json.loads(
            read_member(
                PACKAGE, f"home_assistant_intents/data/{FILES.get(language, language)}.json"
            )
        )
    )
    joined = grammar.settings.ignore_whitespace
    drawn: dict[str, dict[str, list[Drawn]]] = defaultdict(dict)
    for label in labels:
        blocks = grammar.intents[label].data if label in grammar.intents else ()
        for block in blocks:
            rules, slots = (
                {**grammar.expansion_rules, **block.expansion_rules},
                {**grammar.slot_lists, **block.slot_lists},
            )
            for template, sentence in zip(block.sentence_texts, block.sentences, strict=True):
                key = f"{crc32(f'{language} {label} {template}'.encode()):08x}"
                drawn[label].setdefault(
                    key, _sentences(sentence, key, rules, slots, FILLERS[language], joined)
                )
    labels_of = defaultdict(set)
    for label, templates in drawn.items():
        for sentences in templates.values():
            for text, _ in sentences:
                labels_of[normalise(text)].add(label)
    seen: set[str] = set()
    queues = {}
    for label in labels:
        rows = []
        for key, k, (text, spans) in _round_robin(drawn[label]):
            norm = normalise(text)
            if norm and norm not in seen and len(labels_of[norm]) == 1:
                seen.add(norm)
                rows.append({"id": f"intent-{language}-{key}-{k}", "text": text, "text_pair": "",
                             "label": labels.index(label), "template": key, "spans": spans})  # fmt: skip
        queues[label] = rows
    longest = max(map(len, queues.values()), default=0)
    return [
        queues[label][turn]
        for turn in range(longest)
        for label in _shuffled(labels, turn)
        if turn < len(queues[label])
    ]


def english_splits(rows: list[dict[str, object]]) -> dict[str, set[object]]:
    """Templates of the English train, dev and test sets: of each intent's templates about three,
    one and one fifth, at least one each.

    Args:
        rows: as `commands` returns them.
    """
    templates = defaultdict(set)
    for row in rows:
        templates[row["label"]].add(row["template"])
    splits: dict[str, set[object]] = {"train": set(), "dev": set(), "test": set()}
    for found in templates.values():
        order = _shuffled(sorted(found), 0)
        fifth = max(1, len(order) // 5)
        splits["test"].update(order[:fifth])
        splits["dev"].update(order[fifth : 2 * fifth])
        splits["train"].update(order[2 * fifth :])
    return splits


def frequent_intents(language: str = "en") -> tuple[str, ...]:
    """Intents with at least FEWEST_TEMPLATES different templates in one locale, sorted: the label
    set, taken from English.
    """
    content = json.loads(
        read_member(PACKAGE, f"home_assistant_intents/data/{FILES.get(language, language)}.json")
    )
    found = {
        name: {text for block in intent["data"] for text in block["sentences"]}
        for name, intent in content["intents"].items()
    }
    return tuple(
        sorted(name for name, templates in found.items() if len(templates) >= FEWEST_TEMPLATES)
    )


def _sentences(
    sentence: Sentence,
    key: str,
    rules: dict[str, Sentence],
    slots: dict[str, SlotList],
    fillers: dict[str, tuple[str, ...]],
    joined: bool,
) -> list[Drawn]:
    """Up to PER_TEMPLATE different sentences of one template."""
    random = np.random.default_rng(int(key, 16))
    found: dict[str, list[Span]] = {}
    for _ in range(DRAWS * PER_TEMPLATE):
        try:
            pieces = _walk(sentence.expression, random, rules, slots, fillers)
        except Unfillable:
            continue
        text, spans = _join(pieces, "" if joined else " ")
        found.setdefault(text, spans)
        if len(found) == PER_TEMPLATE:
            break
    return list(found.items())


def _join(pieces: list[Piece], blank: str) -> Drawn:
    """One text with every run of white space as `blank`, none at its ends, and where in it the
    slots are.
    """
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


def _walk(
    expression: Expression,
    random: np.random.Generator,
    rules: dict[str, Sentence],
    slots: dict[str, SlotList],
    fillers: dict[str, tuple[str, ...]],
) -> list[Piece]:
    """One random sentence of a parsed template, in pieces; numbers are written in digits."""

    def walk(part: Expression) -> list[Piece]:
        if isinstance(part, TextChunk):
            return [(part.original_text, "")]
        if isinstance(part, Alternative):
            return walk(part.items[random.integers(len(part.items))])
        if isinstance(part, Permutation):
            return [
                piece for i in random.permutation(len(part.items)) for piece in walk(part.items[i])
            ]
        if isinstance(part, Group):
            return [piece for item in part.items for piece in walk(item)]
        if isinstance(part, RuleReference):
            return walk(rules[part.rule_name].expression)
        if isinstance(part, ListReference):
            return [(value(part), part.slot_name)]
        raise TypeError(f"{type(part).__name__} is not a part of a template that is known here")

    def value(slot: ListReference) -> str:
        values = slots.get(slot.list_name)
        if isinstance(values, TextSlotList) and values.values:
            return "".join(
                text for text, _ in walk(values.values[random.integers(len(values.values))].text_in)
            )
        if isinstance(values, RangeSlotList) or slot.is_inline_range:
            start, stop, step = slot.get_inline_range() or (values.start, values.stop, values.step)
            return str(start + step * int(random.integers((stop - start) // step + 1)))
        if slot.list_name in fillers:
            return fillers[slot.list_name][random.integers(len(fillers[slot.list_name]))]
        raise Unfillable(slot.list_name)

    return walk(expression)


def _round_robin(templates: dict[str, list[Drawn]]) -> list[tuple[str, int, Drawn]]:
    """First sentences of all templates, then second ones, and so on; templates in a shuffled order."""
    order = _shuffled(sorted(templates), 0)
    return [
        (key, k, templates[key][k])
        for k in range(PER_TEMPLATE)
        for key in order
        if k < len(templates[key])
    ]


def _shuffled(names: list[str] | tuple[str, ...], turn: int) -> list[str]:
    return sorted(names, key=lambda name: crc32(f"{turn} {name}".encode()))
