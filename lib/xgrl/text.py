"""Text as token ids: tokenised once, kept flat on disk, batched by length, over no more vocabulary than the study uses.

A corpus of n texts with T tokens in all is two arrays, ids (T,) and offsets (n + 1,), so that a job maps it from disk
and touches only the texts it reads. Batches take texts of similar length (buckets inside mega-batches), because padding
in random order more than doubles the work. Trimming keeps only the rows of the word embedding that some text of the study
uses: a row that no batch looks up has no influence on any other parameter, so the trimmed model trains exactly like the
full one (Abdaoui et al. 2020, "Load what you need", for inference; here for training as well).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl import records


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of n texts: `ids` (T,) int32, flat, and `offsets` (n + 1,) int64; text i is ids[offsets[i]:offsets[i + 1]]."""

    ids: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.ids):
            raise ValueError(f"offsets must run from 0 to {len(self.ids)}, the number of token ids")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """The ids of one text, (length,) int32."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"text {index} of a corpus of {len(self)}")
        index %= len(self)
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, special tokens included, (n,) int64."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus: example ids, labels (int64, or None without), tokens and, where it was computed, the frozen prefix's
    output `hidden` (T, H) float32, a row a token."""

    ids: list[str]
    labels: np.ndarray | None
    tokens: Tokens
    hidden: np.ndarray | None = None


def tokenise(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int, text_pairs: Sequence[str] | None = None
) -> Tokens:
    """Tokenise texts, or pairs of texts, with special tokens, each cut to `max_length` tokens (the longer of a pair first).

    texts: n strings. text_pairs: None, or n strings where "" means that the row has no second text. Returns Tokens.
    Raises ValueError where the two differ in length, TypeError where a text is not a string.
    """
    pairs = [""] * len(texts) if text_pairs is None else list(text_pairs)
    if len(pairs) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(pairs)} second texts: one each, or none at all")
    for text in (*texts, *pairs):
        if not isinstance(text, str):
            raise TypeError(f"a text must be a string, found {type(text).__name__}: {text!r}")
    encoded: list[Sequence[int]] = [()] * len(texts)
    for paired in (False, True):
        rows = [i for i, pair in enumerate(pairs) if bool(pair) == paired]
        if rows:
            both = {"text_pair": [pairs[i] for i in rows]} if paired else {}
            ids = tokenizer([texts[i] for i in rows], **both, truncation=True, max_length=max_length)["input_ids"]
            for row, row_ids in zip(rows, ids, strict=True):
                encoded[row] = row_ids
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in encoded], dtype=np.int64)]).astype(np.int64)
    flat = np.fromiter((token for row in encoded for token in row), dtype=np.int32, count=offsets[-1])
    return Tokens(flat, offsets)


def save_corpus(folder: Path, ids: Sequence[str], labels: Sequence[int] | None, tokens: Tokens) -> None:
    """Write a prepared corpus (rows.parquet, tokens.npy, offsets.npy) as a new folder; `prefix_states` then adds hidden.npy.

    An older folder of that name is replaced, its hidden states with it.
    ids: n example ids. labels: n class indices, or None. Raises ValueError where the counts differ.
    """
    if len(ids) != len(tokens) or (labels is not None and len(labels) != len(tokens)):
        raise ValueError(f"{len(tokens)} texts need as many ids and labels, found {len(ids)} and {len(labels or ids)}")
    column = pa.nulls(len(ids), pa.int64()) if labels is None else pa.array(np.asarray(labels, dtype=np.int64))

    def write(new: Path) -> None:
        pq.write_table(pa.table({"id": pa.array(ids, pa.string()), "label": column}), new / "rows.parquet")
        np.save(new / "tokens.npy", tokens.ids)
        np.save(new / "offsets.npy", tokens.offsets)

    records.replace_folder(folder, write)


def load_corpus(folder: Path) -> Corpus:
    """Map a prepared corpus from disk: token ids and hidden states stay on disk until a batch reads them.

    Raises FileNotFoundError where the folder holds no prepared corpus.
    """
    folder = Path(folder)
    if not (folder / "offsets.npy").exists():
        raise FileNotFoundError(f"{folder} holds no prepared corpus (no offsets.npy): run notebook 01 first")
    rows = pq.read_table(folder / "rows.parquet")
    labels = None if rows["label"].null_count else rows["label"].to_numpy()
    tokens = Tokens(_open(folder / "tokens.npy"), np.load(folder / "offsets.npy"))
    hidden = _open(folder / "hidden.npy") if (folder / "hidden.npy").exists() else None
    return Corpus(rows["id"].to_pylist(), labels, tokens, hidden)


def _open(path: Path) -> np.ndarray:
    """Map an array read-only, or load it where it is empty (an empty file part cannot be mapped)."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        return np.load(path)


def collate(parts: Sequence[tuple[Corpus, Sequence[int]]], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """One padded batch of rows of one or several corpora, in the order given: what an encoder is called with.

    parts: pairs of a corpus and indices of its rows, B rows in all, L tokens in the longest. Returns attention_mask (B, L)
    int64 and input_ids (B, L) int64 or, where the corpora hold hidden states, inputs_embeds (B, L, H) float32, zero in the
    padding (which no query attends to).
    """
    spans = [(c, int(c.tokens.offsets[row]), int(c.tokens.offsets[row + 1])) for c, rows in parts for row in rows]
    shape = (len(spans), max(end - start for _, start, end in spans))
    hidden = parts[0][0].hidden
    mask = np.zeros(shape, np.int64)
    values = np.full(shape, pad_id, np.int64) if hidden is None else np.zeros((*shape, hidden.shape[1]), np.float32)
    for row, (corpus, start, end) in enumerate(spans):
        mask[row, : end - start] = 1
        values[row, : end - start] = (corpus.tokens.ids if hidden is None else corpus.hidden)[start:end]
    name = "input_ids" if hidden is None else "inputs_embeds"
    return {name: torch.from_numpy(values), "attention_mask": torch.from_numpy(mask)}


def batches(
    lengths: np.ndarray, batch_size: int, steps: int, rng: np.random.Generator, mega: int = 100
) -> Iterator[np.ndarray]:
    """Exactly `steps` batches of exactly `batch_size` text indices, of similar length inside each mega-batch.

    The stream of texts is one fresh permutation after another, cut into mega-batches that may straddle two epochs: every
    text is used floor or ceil of (steps * batch_size / n) times. Depends on lengths, sizes and `rng` only, so two arms
    with equal generators see equal batches. Raises ValueError for an empty corpus or a batch size below 1.
    """
    _check_batching(lengths, batch_size)
    if len(lengths) == 0:
        raise ValueError("no batch can be drawn from an empty corpus")
    stream = np.empty(0, dtype=np.int64)
    for first in range(0, steps, mega):
        wanted = min(mega, steps - first) * batch_size
        while len(stream) < wanted:
            stream = np.concatenate([stream, rng.permutation(len(lengths))])
        chunk, stream = stream[:wanted], stream[wanted:]
        found = _sorted_batches(lengths, chunk, batch_size)
        yield from (found[i] for i in rng.permutation(len(found)))


def _sorted_batches(lengths: np.ndarray, chunk: np.ndarray, batch_size: int) -> list[np.ndarray]:
    chunk = chunk[np.argsort(np.asarray(lengths)[chunk], kind="stable")]
    return [chunk[start : start + batch_size] for start in range(0, len(chunk), batch_size)]


def _check_batching(lengths: np.ndarray, batch_size: int) -> None:
    if np.ndim(lengths) != 1:
        raise ValueError(f"lengths must be one number a text, found shape {np.shape(lengths)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")


def kept_ids(corpora: Iterable[Tokens], special_ids: Iterable[int]) -> np.ndarray:
    """The vocabulary of a study: every token id in any of its corpora and every special id, sorted, (K,) int64.

    It must cover every stage, language and test set, because an id outside has no row afterwards.
    """
    used = [np.asarray(list(special_ids), dtype=np.int64), *(np.unique(tokens.ids).astype(np.int64) for tokens in corpora)]
    kept = np.unique(np.concatenate(used))
    if len(kept) and kept[0] < 0:
        raise ValueError(f"token ids are not negative, found {kept[0]}")
    return kept


def remap(tokens: Tokens, kept: np.ndarray) -> Tokens:
    """Renumber token ids to their places in `kept` (sorted original ids). Raises ValueError for an id that was not kept."""
    place = np.minimum(np.searchsorted(kept, tokens.ids), len(kept) - 1)
    unknown = np.asarray(kept)[place] != tokens.ids
    if unknown.any():
        raise ValueError(
            f"{unknown.sum()} of {len(tokens.ids)} token ids are outside the trimmed vocabulary of {len(kept)} rows, "
            f"the first is {tokens.ids[unknown][0]}: prepare this text in 01 together with the rest of the study"
        )
    return Tokens(place.astype(np.int32), tokens.offsets)


def trim(model: PreTrainedModel, kept: np.ndarray) -> PreTrainedModel:
    """A copy of the encoder whose word embedding has only the rows `kept`, in order; token ids in its config are renumbered.

    Training it equals training the full model, since the order of rows, the padding row (no gradient) and position numbers
    stay. Raises ValueError where the padding id is not kept, an id is outside the vocabulary, or the model counts positions
    from the padding id (XLM-R) and that id would move, which the other special ids below it prevent when they are kept.
    """
    kept = np.asarray(kept, dtype=np.int64)
    weight = model.get_input_embeddings().weight
    if len(kept) == 0 or np.any(np.diff(kept) <= 0) or kept[0] < 0 or kept[-1] >= len(weight):
        raise ValueError(f"kept ids must be sorted, unique and inside a vocabulary of {len(weight)} rows")
    place = {int(old): new for new, old in enumerate(kept)}
    pad = model.config.pad_token_id
    if pad is not None and pad not in place:
        raise ValueError(f"the padding id {pad} must be kept: pass the tokenizer's special ids to kept_ids")
    counts_from_padding = getattr(getattr(model, "embeddings", None), "padding_idx", None) is not None
    if counts_from_padding and place[pad] != pad:
        raise ValueError(f"{type(model).__name__} numbers positions from its padding id {pad}: keep every id below it too")
    return _with_words(model, weight.detach()[torch.from_numpy(kept)], place)


def restore(model: PreTrainedModel, kept: np.ndarray, full_model: PreTrainedModel) -> PreTrainedModel:
    """The inverse of `trim`: a copy with the full vocabulary, where rows that were not kept come from `full_model`.

    Raises ValueError where the shapes do not fit.
    """
    rows, full = model.get_input_embeddings().weight.detach(), full_model.get_input_embeddings().weight.detach()
    if len(rows) != len(kept) or rows.shape[1] != full.shape[1] or (len(kept) and kept[-1] >= len(full)):
        raise ValueError(
            f"a trimmed embedding {tuple(rows.shape)} with {len(kept)} kept ids does not fit into {tuple(full.shape)}"
        )
    weight = full.clone()
    weight[torch.from_numpy(np.asarray(kept, dtype=np.int64))] = rows.to(weight)
    return _with_words(model, weight, {new: int(old) for new, old in enumerate(kept)})


def _with_words(model: PreTrainedModel, weight: torch.Tensor, place: dict[int, int]) -> PreTrainedModel:
    """Copy a model with another word embedding; `place` maps token ids in its config (an id without a place becomes None)."""
    old = model.get_input_embeddings()
    padding = None if old.padding_idx is None else place[old.padding_idx]
    new = nn.Embedding(*weight.shape, padding_idx=padding, _weight=weight, _freeze=not old.weight.requires_grad)
    copied = copy.deepcopy(model, {id(old): new})  # the memo puts the new embedding where the old one is met: no full copy
    copied.config.vocab_size = len(weight)
    for name, value in json.loads(model.config.to_json_string(use_diff=False)).items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(copied.config, name, place.get(value))
    return copied
