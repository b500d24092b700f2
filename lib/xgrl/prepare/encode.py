"""Canonical rows as token sequences: how each of the five formats goes into an encoder.

===============  =========================================================  ======================================
format           sequences of one example                                   what is learned
===============  =========================================================  ======================================
classification   one: the text, or the pair                                 `labels` (n,), class
multiple_choice  one a choice: prompt and choice                            `labels` (n,), index of the right one
span_qa          overlapping windows of the context after the question      `targets` (m, 2), first and last token
tagging          windows of whole words                                     `targets` (T,), tag at a word's first piece
retrieval        one                                                        nothing
pairs            two: query and candidate                                   `labels` (n,), equal where candidates are
===============  =========================================================  ======================================

Windows: a context is cut into pieces that overlap by `STRIDE` tokens (Devlin et al. 2019, arXiv
1810.04805, section 4.2); a sentence is cut at word borders without overlap, and a word without any
piece is <unk>, as in XTREME (Hu et al. 2020), so that every word gets a tag. Rows are read in
chunks, so that memory holds token ids only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from transformers import PreTrainedTokenizerBase

from xgrl.models.tokens import CHUNK, TokenWriter, tokenise
from xgrl.prepare.corpus import Encoded

if TYPE_CHECKING:
    from datasets import Dataset

STRIDE = 128
QUESTION = 64  # pieces that a question may have
IGNORED = -100  # target of a piece that is not the first of its word


def encode(
    rows: Dataset, format: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    """Token sequences of canonical rows.

    Args:
        rows: columns of `format`, see `xgrl.tasks.formats`; classification rows may lack labels.
        format: one of the six above.
        tokenizer: a fast one; span QA and tagging need its offsets.
        max_length: longest sequence in tokens, special ones included.

    Raises:
        ValueError: `max_length` is above the encoder's limit, or leaves no room for a context.
    """
    if max_length > tokenizer.model_max_length:
        raise ValueError(
            f"max_length={max_length}: the encoder takes at most {tokenizer.model_max_length} "
            f"tokens"
        )
    if format == "span_qa":
        return _windows_of_contexts(rows, tokenizer, max_length)
    if format == "tagging":
        return _windows_of_words(rows, tokenizer, max_length)
    labels = np.asarray(rows["label"], dtype=np.int64) if "label" in rows.column_names else None
    if format == "multiple_choice":
        sizes = [len(choices) for choices in rows["choices"]]
        pairs = ((row["prompt"], choice) for row in rows for choice in row["choices"])
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Encoded(tokenise(pairs, tokenizer, max_length), labels, first)
    if format == "pairs":
        texts = (
            t
            for row in rows
            for t in ((row["text"], ""), (row["candidate"], row["candidate_pair"]))
        )
        number: dict[tuple[str, str], int] = {}
        labels = [
            number.setdefault((row["candidate"], row["candidate_pair"]), len(number))
            for row in rows
        ]
        return Encoded(
            tokenise(texts, tokenizer, max_length),
            np.array(labels),
            np.arange(0, 2 * len(rows) + 1, 2),
        )
    seconds = (
        _column(rows, "text_pair") if "text_pair" in rows.column_names else iter(lambda: "", None)
    )
    return Encoded(
        tokenise(zip(_column(rows, "text"), seconds, strict=False), tokenizer, max_length), labels
    )


def _column(rows: Dataset, name: str) -> Iterator[str]:
    for chunk in rows.select_columns([name]).iter(batch_size=CHUNK):
        yield from chunk[name]


@dataclass
class _Windows:
    """Windows as they are made, with their targets and origins."""

    tokens: TokenWriter = field(default_factory=TokenWriter)
    targets: list = field(default_factory=list)
    origin: list = field(default_factory=list)
    first: list[int] = field(default_factory=lambda: [0])

    def encoded(self, empty_targets: np.ndarray, empty_origin: np.ndarray) -> Encoded:
        """All of it as arrays."""
        targets = np.concatenate([empty_targets, *self.targets])
        origin = np.concatenate([empty_origin, *self.origin])
        return Encoded(
            self.tokens.close(), None, np.array(self.first, dtype=np.int64), targets, origin
        )


def _windows_of_contexts(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    found = _Windows()
    longest_question = min(QUESTION, max_length // 3)
    for chunk in rows.iter(batch_size=CHUNK):
        questions = [_cut(q.strip(), tokenizer, longest_question) for q in chunk["question"]]
        stride = min(STRIDE, max_length // 4)
        out = tokenizer(questions, chunk["context"], truncation="only_second", max_length=max_length, stride=stride,
                        return_overflowing_tokens=True, return_offsets_mapping=True)  # fmt: skip
        owner = out["overflow_to_sample_mapping"]
        for window, ids in enumerate(out["input_ids"]):
            inside = np.array([part == 1 for part in out.sequence_ids(window)])
            offsets = np.where(
                inside[:, None],
                np.array(out["offset_mapping"][window], np.int32).reshape(-1, 2),
                -1,
            )
            found.tokens.add(ids)
            found.origin.append(offsets)
            found.targets.append(_span(offsets, chunk["answers"][owner[window]])[None])
        found.first += (
            found.first[-1] + np.cumsum(np.bincount(owner, minlength=len(questions)))
        ).tolist()
    return found.encoded(np.empty((0, 2), np.int32), np.empty((0, 2), np.int32))


def _cut(question: str, tokenizer: PreTrainedTokenizerBase, longest: int) -> str:
    """The beginning of a question that has at most `longest` pieces."""
    offsets = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return question if len(offsets) <= longest else question[: offsets[longest - 1][1]]


def _span(offsets: np.ndarray, answers: dict[str, Sequence]) -> np.ndarray:
    """First and last token (2,) of the first answer, or 0 0, the position of <s>, where the window
    does not hold all of it.
    """
    if not answers["text"]:
        return np.zeros(2, np.int32)
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    touched = np.flatnonzero(
        (offsets[:, 1] > start) & (offsets[:, 0] < end) & (offsets[:, 1] > offsets[:, 0])
    )
    context = np.flatnonzero(offsets[:, 0] >= 0)
    whole = len(touched) and offsets[context[0], 0] <= start and offsets[context[-1], 1] >= end
    return np.array([touched[0], touched[-1]] if whole else [0, 0], np.int32)


def _windows_of_words(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    found = _Windows()
    before, after = special_frame(tokenizer)
    room = max_length - len(before) - len(after)
    for chunk in rows.iter(batch_size=CHUNK):
        out = tokenizer(chunk["tokens"], is_split_into_words=True, add_special_tokens=False)
        for sentence, tags in enumerate(chunk["tags"]):
            words: list[list[int]] = [[] for _ in tags]
            for word, piece in zip(out.word_ids(sentence), out["input_ids"][sentence], strict=True):
                words[word].append(piece)
            words = [(pieces or [tokenizer.unk_token_id])[:room] for pieces in words]
            for start, end in _fill([len(pieces) for pieces in words], room):
                _add_words(found, words[start:end], tags[start:end], start, before, after)
            found.first.append(len(found.tokens))
    return found.encoded(np.empty(0, np.int32), np.empty(0, np.int32))


def _add_words(
    found: _Windows,
    words: Sequence[list[int]],
    tags: Sequence[int],
    start: int,
    before: list[int],
    after: list[int],
) -> None:
    """One window: pieces of whole words between the special tokens."""
    found.tokens.add([*before, *(piece for pieces in words for piece in pieces), *after])
    begins = len(before) + np.cumsum([0, *(len(pieces) for pieces in words)])
    targets, origin = (
        np.full(begins[-1] + len(after), IGNORED, np.int32),
        np.full(begins[-1] + len(after), -1, np.int32),
    )
    targets[begins[:-1]], origin[begins[:-1]] = tags, np.arange(start, start + len(words))
    found.targets.append(targets)
    found.origin.append(origin)


def _fill(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbouring words that fill a window."""
    start, used = 0, 0
    for word, size in enumerate(sizes):
        if used + size > room:
            yield start, word
            start, used = word, 0
        used += size
    yield start, len(sizes)


def special_frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    bare, framed = (
        tokenizer("a", add_special_tokens=False)["input_ids"],
        tokenizer("a")["input_ids"],
    )
    start = next(i for i in range(len(framed) + 1) if framed[i : i + len(bare)] == bare)
    return framed[:start], framed[start + len(bare) :]
