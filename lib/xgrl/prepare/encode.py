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

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from datasets import Dataset

from xgrl.models.tokens import CHUNK, Tokenizer, Tokens, token_types, tokenise
from xgrl.prepare.corpus import Encoded

STRIDE = 128
QUESTION = 64  # pieces that a question may have
IGNORED = -100  # target of a piece that is not the first of its word
UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf")  # categories of blanks and of marks without a shape


def encode(rows: Dataset, format: str, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Token sequences of canonical rows, the columns of one of the six formats above (see
    `xgrl.tasks.formats`; classification rows may lack labels).

    tokenizer: a fast one, span QA and tagging need its offsets; max_length: longest sequence in
    tokens, special ones included, 8 or more. ValueError where that is above the encoder's limit.
    """
    validate_length(max_length, tokenizer)
    if format == "span_qa":
        return _encoded(_context_windows(rows, tokenizer, max_length), 2)
    if format == "tagging":
        return _encoded(_word_windows(rows, tokenizer, max_length))
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
    names = [name for name in ("text", "text_pair") if name in rows.column_names]
    chunks = rows.select_columns(names).iter(batch_size=CHUNK)
    texts = chain.from_iterable(zip(*(chunk[k] for k in names), strict=True) for chunk in chunks)
    texts = (text if len(text) == 2 else text[0] for text in texts)
    return Encoded(tokenise(texts, tokenizer, max_length), labels)


def validate_length(max_length: int, tokenizer: Tokenizer) -> None:
    """ValueError where a sequence of `max_length` tokens is too long for the encoder."""
    if max_length > (limit := tokenizer.model_max_length):
        raise ValueError(f"max_length={max_length}: the encoder takes at most {limit} tokens")


# of one example: token ids, their segments, targets and origins
Windows = list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def _encoded(examples: Iterator[Windows], *shape: int) -> Encoded:
    """The windows of each example as arrays; `shape` of one target."""
    windows_of, empty = list(examples), np.empty((0, *shape), np.int32)
    flat = empty.reshape(-1)
    windows = [(flat, flat.astype(np.int8), empty, empty), *chain.from_iterable(windows_of)]
    offsets = np.cumsum([len(ids) for ids, *_ in windows])
    ids, segments, targets, origin = map(np.concatenate, zip(*windows, strict=True))
    first = np.cumsum([0, *map(len, windows_of)])
    tokens = Tokens(ids, offsets, segments if segments.any() else None)
    return Encoded(tokens, None, first, targets, origin)


def _context_windows(rows: Dataset, tokenizer: Tokenizer, max_length: int) -> Iterator[Windows]:
    longest_question = min(QUESTION, max_length // 3)
    room = max_length - longest_question - tokenizer.num_special_tokens_to_add(pair=True)
    stride = min(STRIDE, max_length // 4, room - 1)
    for chunk in rows.iter(batch_size=CHUNK):
        questions = [_cut(q.strip(), tokenizer, longest_question) for q in chunk["question"]]
        options = {"truncation": "only_second", "max_length": max_length, "stride": stride}
        options |= {"return_overflowing_tokens": True, "return_offsets_mapping": True}
        out = tokenizer(questions, chunk["context"], **options)
        examples, types = [[] for _ in questions], token_types(out)
        for window, owner in enumerate(out["overflow_to_sample_mapping"]):
            inside = np.array([side == 1 for side in out.sequence_ids(window)])
            offsets = np.array(out["offset_mapping"][window], np.int32).reshape(-1, 2)
            offsets = np.where(inside[:, None], offsets, -1)
            ids = np.array(out["input_ids"][window], np.int32)
            segments = np.array(types[window], np.int8)
            examples[owner].append((ids, segments, np.zeros((1, 2), np.int32), offsets))
        for windows, answers in zip(examples, chunk["answers"], strict=True):
            _set_spans(windows, answers)
        yield from examples


def _cut(question: str, tokenizer: Tokenizer, longest: int) -> str:
    """The beginning of a question that has at most `longest` pieces."""
    out = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    offsets = out["offset_mapping"]
    if len(offsets) <= longest:
        return question
    # several pieces may share a letter, which then goes as a whole
    return question[: min(offsets[longest - 1][1], offsets[longest][0])]


def _set_spans(windows: Windows, answers: dict[str, Sequence]) -> None:
    """Targets of a context's windows: first and last token of the first answer, 0 0 (<s>) where not
    all pieces that it touches are in the window.

    What cannot be seen at an answer's end (a blank, a mark of direction) is not looked at: it may
    be in no piece, or in the next word's.
    """
    if not (text := next(iter(answers["text"]), "")):
        return
    start, end = answers["answer_start"][0], answers["answer_start"][0] + len(text)
    while end > start + 1 and unicodedata.category(text[end - start - 1]) in UNSEEN:
        end -= 1
    origins = [origin for *_, origin in windows]
    touched = [(x[:, 1] > start) & (x[:, 0] < end) & (x[:, 1] > x[:, 0]) for x in origins]
    pieces = [x[inside] for x, inside in zip(origins, touched, strict=True)]
    reach = np.concatenate(pieces)
    for (*_, span, _), own, inside in zip(windows, pieces, touched, strict=True):
        if len(own) and own.min() == reach.min() and own.max() == reach.max():
            span[:] = np.flatnonzero(inside)[[0, -1]]


def _word_windows(rows: Dataset, tokenizer: Tokenizer, max_length: int) -> Iterator[Windows]:
    before, after = special_frame(tokenizer)
    room, blank = max_length - len(before) - len(after), _blank(tokenizer)
    for chunk in rows.iter(batch_size=CHUNK):
        texts = [[words[0], *(blank + word for word in words[1:])] for words in chunk["tokens"]]
        out = tokenizer(texts, is_split_into_words=True, add_special_tokens=False)
        for sentence, tags in enumerate(chunk["tags"]):
            words: list[list[int]] = [[] for _ in tags]
            for word, piece in zip(out.word_ids(sentence), out["input_ids"][sentence], strict=True):
                words[word].append(piece)
            words = [(pieces or [tokenizer.unk_token_id])[:room] for pieces in words]
            windows: Windows = []
            for start, end in _fill([len(pieces) for pieces in words], room):
                inside = words[start:end]
                ids = np.array([*before, *chain.from_iterable(inside), *after], np.int32)
                begins = len(before) + np.cumsum([0, *map(len, inside)])[:-1]
                targets = np.full(len(ids), IGNORED, np.int32)
                origin = np.full(len(ids), -1, np.int32)
                targets[begins], origin[begins] = tags[start:end], np.arange(start, end)
                windows.append((ids, np.zeros(len(ids), np.int8), targets, origin))
            yield windows


def _blank(tokenizer: Tokenizer) -> str:
    """What must stand before a word inside a sentence for its pieces to be those of running text: a
    blank where a tokenizer of bytes folds it into the word, else nothing.
    """
    options = {"is_split_into_words": True, "add_special_tokens": False}
    bare, after = (tokenizer(["a", x + "a"], **options)["input_ids"] for x in ("", " "))
    running = tokenizer("a a", add_special_tokens=False)["input_ids"]
    return " " if after == running != bare else ""


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
