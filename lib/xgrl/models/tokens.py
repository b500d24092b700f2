"""Text as token ids: tokenised once, flat, over no more vocabulary than the study uses.

n texts with T tokens in all are two arrays, ids (T,) and offsets (n + 1,). Trimming keeps only the
rows of the word embedding that some text of the study uses: a row that no batch looks up has no
influence on any other parameter, so the trimmed model trains exactly like the full one (Abdaoui et
al. 2020, "Load what you need", for inference; here for training as well).
"""

import copy
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

Tokenizer = PreTrainedTokenizerBase
CHUNK = 1000  # texts tokenised at a time


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of n texts: `ids` (T,) int32, flat, and `offsets` (n + 1,) int64; text i is
    ids[offsets[i] : offsets[i + 1]].

    `segments` (T,) int8: the token type ids that a tokenizer gives pairs of texts for an encoder
    with segment vectors (BERT); None where all are 0.
    """

    ids: np.ndarray
    offsets: np.ndarray
    segments: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or [*self.offsets[:1], *self.offsets[-1:]] != [0, len(self.ids)]:
            raise ValueError(f"offsets must run from 0 to {len(self.ids)}, the number of token ids")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """The ids of one text, (length,) int32."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"text {index} of a corpus of {len(self)}")
        index %= len(self)
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def types(self, index: int) -> np.ndarray:
        """The segments of one text, (length,)."""
        if self.segments is None:
            return np.zeros_like(self[index])
        return replace(self, ids=self.segments)[index]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, special tokens included, (n,) int64."""
        return np.diff(self.offsets)


def collect(texts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Tokens:
    """Ids and segments of each text as flat arrays; no list of all of them is ever held."""
    ids, segments, lengths = array("i"), array("b"), array("q")
    for text, types in texts:
        ids.extend(text)
        segments.extend(types)
        lengths.append(len(text))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    types = np.array(segments, dtype=np.int8)
    return Tokens(np.array(ids, dtype=np.int32), offsets, types if types.any() else None)


def token_types(encoded: BatchEncoding) -> list[Sequence[int]]:
    """The token type ids of what a tokenizer gave, a sequence each; zeros where it gave none."""
    return encoded.get("token_type_ids") or [[0] * len(ids) for ids in encoded["input_ids"]]


def pad(rows: Sequence[np.ndarray], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Rows (L_i, ...) of token ids, or of vectors, as one batch: values (B, L, ...), int64 or
    float32, `fill` after the end of a shorter row; and mask (B, L) int64, 1 where there is a token.
    """
    kind = np.int64 if rows[0].dtype.kind == "i" else np.float32
    values = pad_sequence([torch.from_numpy(row.astype(kind)) for row in rows], True, fill)
    lengths = torch.tensor([len(row) for row in rows])
    return values, (torch.arange(values.shape[1]) < lengths[:, None]).long()


def encoder_inputs(texts: Sequence[tuple[Tokens, int]], pad_id: int = 0) -> dict[str, Tensor]:
    """A padded batch of B texts (tokens, number in them): an encoder's inputs, int64 (B, L)."""
    ids, mask = pad([tokens[i] for tokens, i in texts], pad_id)
    batch = {"input_ids": ids, "attention_mask": mask}
    if any(tokens.segments is not None for tokens, _ in texts):
        batch["token_type_ids"] = pad([tokens.types(i) for tokens, i in texts])[0]
    return batch


def tokenise(
    texts: Iterable[str | tuple[str, str]], tokenizer: Tokenizer, max_length: int
) -> Tokens:
    """Tokenise texts or pairs, special tokens too, cut to `max_length` (a pair's longer one first).

    texts: strings, or pairs of strings whose second is "" where a row has no second text; read in
    chunks. Raises TypeError where a text is not a string.
    """
    return collect(_token_ids(iter(texts), tokenizer, max_length))


def _token_ids(
    texts: Iterator[str | tuple[str, str]], tokenizer: Tokenizer, max_length: int
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    while chunk := [(t, "") if isinstance(t, str) else tuple(t) for t in islice(texts, CHUNK)]:
        for text in chain.from_iterable(chunk):
            if not isinstance(text, str):
                raise TypeError(f"a text must be a string, found {type(text).__name__}: {text!r}")
        encoded: list[tuple[Sequence[int], Sequence[int]]] = [((), ())] * len(chunk)
        for paired in (False, True):
            rows = [i for i, (_, second) in enumerate(chunk) if bool(second) == paired]
            if rows:
                sides = [[chunk[i][side] for i in rows] for side in range(1 + paired)]
                out = tokenizer(*sides, truncation=True, max_length=max_length)
                for row, *of in zip(rows, out["input_ids"], token_types(out), strict=True):
                    encoded[row] = tuple(of)
        yield from encoded


def kept_ids(corpora: Iterable[Tokens], special_ids: Iterable[int]) -> np.ndarray:
    """A study's vocabulary: every token id in its corpora and every special id, sorted, (K,) int64.

    It must cover every stage, language and test set, because an id outside has no row afterwards.
    """
    special = np.asarray(list(special_ids), dtype=np.int64)
    used = (np.unique(tokens.ids).astype(np.int64) for tokens in corpora)
    kept = np.unique(np.concatenate([special, *used]))
    if len(kept) and kept[0] < 0:
        raise ValueError(f"token ids are not negative, found {kept[0]}")
    return kept


def remap(tokens: Tokens, kept: np.ndarray) -> Tokens:
    """Renumber token ids by `kept` (sorted original ids); ValueError for an id not kept."""
    size = max(int(np.max(kept, initial=-1)), int(tokens.ids.max(initial=-1))) + 1
    number = np.full(size, -1, dtype=np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    ids = number[tokens.ids]
    if (unknown := ids < 0).any():
        rows = f"the trimmed vocabulary of {len(kept)} rows"
        which = f"{unknown.sum()} of {len(ids)} token ids are outside {rows}"
        advice = "prepare this text in 01 together with the rest of the study"
        raise ValueError(f"{which}, the first is {tokens.ids[unknown][0]}: {advice}")
    return replace(tokens, ids=ids)


def trim(model: PreTrainedModel, kept: np.ndarray) -> PreTrainedModel:
    """A copy of the encoder with only the rows `kept` of its words; its config's ids renumbered.

    Training it equals training the full model, since the order of rows, the padding row (no
    gradient) and position numbers stay. Raises ValueError where the padding id is not kept, an id
    is outside the vocabulary, or the model counts positions from the padding id (XLM-R) and that id
    would move, which the other special ids below it prevent when they are kept.
    """
    kept = np.asarray(kept, dtype=np.int64)
    weight = model.get_input_embeddings().weight
    if len(kept) == 0 or np.any(np.diff(kept) <= 0) or kept[0] < 0 or kept[-1] >= len(weight):
        inside = f"inside a vocabulary of {len(weight)} rows"
        raise ValueError(f"kept ids must be sorted, unique and {inside}")
    number = {int(old): new for new, old in enumerate(kept)}
    padding = model.config.pad_token_id
    if padding is not None and padding not in number:
        advice = "pass the tokenizer's special ids to kept_ids"
        raise ValueError(f"the padding id {padding} must be kept: {advice}")
    counts_from_padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    if counts_from_padding is not None and number[padding] != padding:
        given = f"{type(model).__name__} numbers positions from its padding id {padding}"
        raise ValueError(f"{given}: keep every id below it too")
    return with_words(model, weight.detach()[torch.from_numpy(kept)], number)


def restore(model: PreTrainedModel, kept: np.ndarray, full: PreTrainedModel) -> PreTrainedModel:
    """The inverse of `trim`: a copy with the full vocabulary, where rows that were not kept come
    from the model `full`; ValueError where the shapes do not fit.
    """
    rows = model.get_input_embeddings().weight.detach()
    full = full.get_input_embeddings().weight.detach()
    fits = len(rows) == len(kept) and rows.shape[1] == full.shape[1]
    if not fits or (len(kept) and kept[-1] >= len(full)):
        given = f"a trimmed embedding {tuple(rows.shape)} with {len(kept)} kept ids"
        raise ValueError(f"{given} does not fit into {tuple(full.shape)}")
    weight = full.clone()
    weight[torch.from_numpy(np.asarray(kept, dtype=np.int64))] = rows.to(weight)
    return with_words(model, weight, {new: int(old) for new, old in enumerate(kept)})


def with_words(model: PreTrainedModel, weight: Tensor, number: dict[int, int]) -> PreTrainedModel:
    """A copy of a model with other words, its config's token ids by `number` (not in it: None)."""
    old = model.get_input_embeddings()
    padding = None if old.padding_idx is None else number[old.padding_idx]
    frozen = not old.weight.requires_grad
    new = nn.Embedding(*weight.shape, padding_idx=padding, _weight=weight, _freeze=frozen)
    # the memo puts the new embedding where the old one is met: no full copy
    copied = copy.deepcopy(model, {id(old): new})
    copied.config.vocab_size = len(weight)
    for name, value in json.loads(model.config.to_json_string(use_diff=False)).items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(copied.config, name, number.get(value))
    return copied
