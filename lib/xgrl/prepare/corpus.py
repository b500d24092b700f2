"""Prepared corpora: what 01 writes and every job maps, and the batches that are drawn from them.

A corpus of T tokens is two arrays, ids (T,) and offsets, with what is to be learned beside them, so
that a job maps it from disk and touches only the texts it reads. Batches take texts of similar
length (buckets inside mega-batches), because padding in random order more than doubles the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from xgrl.models.tokens import Tokens
from xgrl.runs import records

ARRAYS = ("first", "targets", "origin")


@dataclass(frozen=True, eq=False)
class Encoded:
    """Examples as sequences: m sequences with T tokens in all, see `xgrl.prepare.encode`.

    labels: (n,) int64 or None. first: (n + 1,) int64, example i has the sequences first[i] ..
    first[i + 1] - 1; None: one each. targets: (m, 2) or (T,) int32, what the tokens are to be
    labelled with. origin: where a token comes from, in span QA (T, 2) int32 characters of the
    context, -1 outside it; in tagging (T,) int32 number of the word that a first piece begins, else
    -1.
    """

    tokens: Tokens
    labels: np.ndarray | None = None
    first: np.ndarray | None = None
    targets: np.ndarray | None = None
    origin: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus of n examples in m sequences; see `xgrl.prepare.encode` for labels, first,
    targets and origin.

    `hidden` (T, H) float32, a row a token, is the frozen prefix's output, where it was computed.
    """

    ids: list[str]
    labels: np.ndarray | None
    tokens: Tokens
    hidden: np.ndarray | None = None
    format: str = "classification"
    first: np.ndarray | None = None
    targets: np.ndarray | None = None
    origin: np.ndarray | None = None
    folder: Path | None = None

    @cached_property
    def units(self) -> np.ndarray:
        """What a batch draws: (u + 1,) borders, unit i is the sequences units[i] .. units[i + 1] -
        1.

        Choices of one example stay together, and so do a query and its candidate; windows are units
        of their own.
        """
        together = self.first is not None and self.format in ("multiple_choice", "pairs")
        return self.first if together else np.arange(len(self.tokens) + 1)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each unit's longest sequence, (u,) int64."""
        return (
            np.maximum.reduceat(self.tokens.lengths, self.units[:-1])
            if len(self.tokens)
            else self.tokens.lengths
        )

    def sequences(self, units: np.ndarray) -> np.ndarray:
        """The sequences of some units, in order."""
        borders = self.units
        return np.concatenate([np.arange(borders[u], borders[u + 1]) for u in units])

    def column(self, name: str) -> list:
        """A column of the canonical rows (context, answers, tags, gold), read from disk."""
        return pq.read_table(self.folder / "rows.parquet", columns=[name])[name].to_pylist()


def save_corpus(folder: Path, rows: pa.Table, format: str, encoded: Encoded) -> None:
    """Write a prepared corpus (rows.parquet, an .npy file an array) as a new folder;
    `prefix_states` then adds hidden.npy.

    An older folder of that name is replaced, its hidden states with it.
    rows: column id, and whatever of the canonical rows is needed later. Raises ValueError where the
    counts differ.
    """
    examples = len(encoded.tokens) if encoded.first is None else len(encoded.first) - 1
    if len(rows) != examples:
        raise ValueError(f"{examples} examples need as many ids, found {len(rows)}")
    # numbers that encoding gave, as of a pair's candidate
    if encoded.labels is not None and "label" not in rows.column_names:
        rows = rows.append_column("label", pa.array(encoded.labels))
    table = rows.replace_schema_metadata({"format": format})

    def write(new: Path) -> None:
        pq.write_table(table, new / "rows.parquet")
        np.save(new / "tokens.npy", encoded.tokens.ids)
        np.save(new / "offsets.npy", encoded.tokens.offsets)
        for name in ARRAYS:
            if getattr(encoded, name) is not None:
                np.save(new / f"{name}.npy", getattr(encoded, name))

    records.replace_folder(folder, write)


def load_corpus(folder: Path) -> Corpus:
    """Map a prepared corpus from disk: token ids and hidden states stay on disk until a batch reads
    them.

    Raises FileNotFoundError where the folder holds no prepared corpus.
    """
    folder = Path(folder)
    if not (folder / "offsets.npy").exists():
        raise FileNotFoundError(
            f"{folder} holds no prepared corpus (no offsets.npy): run notebook 01 first"
        )
    file = pq.ParquetFile(folder / "rows.parquet")
    rows = file.read([name for name in ("id", "label") if name in file.schema_arrow.names])
    labels = rows["label"].to_numpy() if "label" in rows.column_names else None
    tokens = Tokens(_open(folder / "tokens.npy"), np.load(folder / "offsets.npy"))
    there = {
        name: _open(folder / f"{name}.npy")
        for name in ("hidden", *ARRAYS)
        if (folder / f"{name}.npy").exists()
    }
    format = file.schema_arrow.metadata[b"format"].decode()
    return Corpus(rows["id"].to_pylist(), labels, tokens, format=format, folder=folder, **there)


def _open(path: Path) -> np.ndarray:
    """Map an array read-only, or load it where it is empty (an empty file part cannot be mapped)."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        return np.load(path)


def collate(
    parts: Sequence[tuple[Corpus, Sequence[int]]], pad_id: int = 0
) -> dict[str, torch.Tensor]:
    """One padded batch of rows of one or several corpora, in the order given: what an encoder is
    called with.

    parts: pairs of a corpus and indices of its rows, B rows in all, L tokens in the longest.
    Returns attention_mask (B, L) int64 and input_ids (B, L) int64 or, where the corpora hold hidden
    states, inputs_embeds (B, L, H) float32, zero in the padding (which no query attends to).
    """
    spans = [
        (c, int(c.tokens.offsets[row]), int(c.tokens.offsets[row + 1]))
        for c, rows in parts
        for row in rows
    ]
    shape = (len(spans), max(end - start for _, start, end in spans))
    hidden = parts[0][0].hidden
    mask = np.zeros(shape, np.int64)
    values = (
        np.full(shape, pad_id, np.int64)
        if hidden is None
        else np.zeros((*shape, hidden.shape[1]), np.float32)
    )
    for row, (corpus, start, end) in enumerate(spans):
        mask[row, : end - start] = 1
        values[row, : end - start] = (corpus.tokens.ids if hidden is None else corpus.hidden)[
            start:end
        ]
    name = "input_ids" if hidden is None else "inputs_embeds"
    return {name: torch.from_numpy(values), "attention_mask": torch.from_numpy(mask)}


def batches(
    lengths: np.ndarray, batch_size: int, steps: int, rng: np.random.Generator, mega: int = 100
) -> Iterator[np.ndarray]:
    """Exactly `steps` batches of exactly `batch_size` text indices, of similar length inside each
    mega-batch.

    The stream of texts is one fresh permutation after another, cut into mega-batches that may
    straddle two epochs: every text is used floor or ceil of (steps * batch_size / n) times. Depends
    on lengths, sizes and `rng` only, so two arms with equal generators see equal batches. Raises
    ValueError for an empty corpus or a batch size below 1.
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
