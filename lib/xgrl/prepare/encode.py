"""Canonical rows as token sequences: how each of the five formats goes into an encoder.

===============  ============================================  ===================================
format           sequences of one example                      what is learned
===============  ============================================  ===================================
classification   one: the text, or the pair                    `labels` (n,), class
multiple_choice  one a choice: prompt and choice               `labels` (n,), the right one
span_qa          overlapping windows of the context after the  `targets` (m, 2), first and last
                 question                                      token
tagging          windows of whole words                        `targets` (T,), tag at a word's
                                                               first piece
retrieval        one                                           nothing
pairs            two: query and candidate                      `labels` (n,), equal where
                                                               candidates are
===============  ============================================  ===================================

Windows: a context is cut into pieces that overlap by `STRIDE` tokens (Devlin et al. 2019, arXiv
1810.04805, section 4.2); a sentence is cut at word borders without overlap, and a word without any
piece is <unk>, as in XTREME (Hu et al. 2020), so that every word gets a tag. Rows are read in
chunks, so that memory holds token ids only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
from datasets import Dataset

from xgrl.models.tokens import CHUNK, Tokenizer, TokenWriter, tokenise
from xgrl.prepare.corpus import Encoded

STRIDE = 128
QUESTION = 64  # pieces that a question may have
IGNORED = -100  # target of a piece that is not the first of its word


def encode(rows: Dataset, format: str, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Token sequences of canonical rows.

    Args:
        rows: columns of `format`, see `xgrl.tasks.formats`; classification rows may lack labels.
        format: one of the six above.
        tokenizer: a fast one; span QA and tagging need its offsets.
        max_length: longest sequence in tokens, special ones included.

    Raises:
        ValueError: `max_length` is above the encoder's limit, or leaves no room for a context.
    """
    if max_length > (limit := tokenizer.model_max_length):
        raise ValueError(f"max_length={max_length}: the encoder takes at most {limit} tokens")
    if format == "span_qa":
        return _windows_of_contexts(rows, tokenizer, max_length)
    if format == "tagging":
        return _windows_of_words(rows, tokenizer, max_length)
    labels = np.asarray(rows["label"], dtype=np.int64) if "label" in rows.column_names else None
    if format == "multiple_choice":
        pairs = ((row["prompt"], choice) for row in rows for choice in row["choices"])
        sizes = [len(choices) for choices in rows["choices"]]
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Encoded(tokenise(pairs, tokenizer, max_length), labels, first)
    if format == "pairs":
        candidates = [(row["candidate"], row["candidate_pair"]) for row in rows]
        queries = ((text, "") for text in rows["text"])
        texts = chain.from_iterable(zip(queries, candidates, strict=True))
        number: dict[tuple[str, str], int] = {}
        labels = np.array([number.setdefault(each, len(number)) for each in candidates])
        first = np.arange(0, 2 * len(rows) + 1, 2)
        return Encoded(tokenise(texts, tokenizer, max_length), labels, first)
    paired = "text_pair" in rows.column_names
    seconds = _column(rows, "text_pair") if paired else repeat("")
    texts = zip(_column(rows, "text"), seconds, strict=False)
    return Encoded(tokenise(texts, tokenizer, max_length), labels)


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

    def add(self, ids: Sequence[int], targets: np.ndarray, origin: np.ndarray) -> None:
        """One window more of an example, or its first."""
        self.tokens.add(ids)
        self.targets.append(targets)
        self.origin.append(origin)

    def encoded(self, *shape: int) -> Encoded:
        """All of it as arrays; `shape` of one target."""
        empty = np.empty((0, *shape), np.int32)
        targets, origin = (np.concatenate([empty, *x]) for x in (self.targets, self.origin))
        first = np.array(self.first, dtype=np.int64)
        return Encoded(self.tokens.close(), None, first, targets, origin)


def _windows_of_contexts(rows: Dataset, tokenizer: Tokenizer, max_length: int) -> Encoded:
    windows = _Windows()
    longest_question, stride = min(QUESTION, max_length // 3), min(STRIDE, max_length // 4)
    for chunk in rows.iter(batch_size=CHUNK):
        questions = [_cut(q.strip(), tokenizer, longest_question) for q in chunk["question"]]
        out = tokenizer(
            questions,
            chunk["context"],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owner = out["overflow_to_sample_mapping"]
        for window, ids in enumerate(out["input_ids"]):
            inside = np.array([side == 1 for side in out.sequence_ids(window)])
            offsets = np.array(out["offset_mapping"][window], np.int32).reshape(-1, 2)
            offsets = np.where(inside[:, None], offsets, -1)
            windows.add(ids, _span(offsets, chunk["answers"][owner[window]])[None], offsets)
        counts = np.bincount(owner, minlength=len(questions))
        windows.first += (windows.first[-1] + np.cumsum(counts)).tolist()
    return windows.encoded(2)


def _cut(question: str, tokenizer: Tokenizer, longest: int) -> str:
    """The beginning of a question that has at most `longest` pieces."""
    out = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    offsets = out["offset_mapping"]
    return question if len(offsets) <= longest else question[: offsets[longest - 1][1]]


def _span(offsets: np.ndarray, answers: dict[str, Sequence]) -> np.ndarray:
    """First and last token (2,) of the first answer; 0 0 (<s>) where not all is in the window."""
    if not answers["text"]:
        return np.zeros(2, np.int32)
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    begins, ends = offsets.T
    touched = np.flatnonzero((ends > start) & (begins < end) & (ends > begins))
    context = np.flatnonzero(begins >= 0)
    whole = len(touched) and begins[context[0]] <= start and ends[context[-1]] >= end
    return np.array([touched[0], touched[-1]] if whole else [0, 0], np.int32)


def _windows_of_words(rows: Dataset, tokenizer: Tokenizer, max_length: int) -> Encoded:
    windows = _Windows()
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
                inside = words[start:end]
                ids = [*before, *(piece for pieces in inside for piece in pieces), *after]
                begins = len(before) + np.cumsum([0, *map(len, inside)])[:-1]
                targets = np.full(len(ids), IGNORED, np.int32)
                origin = np.full(len(ids), -1, np.int32)
                targets[begins], origin[begins] = tags[start:end], np.arange(start, end)
                windows.add(ids, targets, origin)
            windows.first.append(len(windows.tokens))
    return windows.encoded()


def _fill(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbouring words that fill a window."""
    start, used = 0, 0
    for word, size in enumerate(sizes):
        if used + size > room:
            yield start, word
            start, used = word, 0
        used += size
    yield start, len(sizes)


def special_frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(framed) + 1) if framed[i : i + len(bare)] == bare)
    return framed[:start], framed[start + len(bare) :]
