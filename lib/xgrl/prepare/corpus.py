"""Prepared corpora: what 01 writes and every job maps.

A corpus of T tokens is two arrays, ids (T,) and offsets, with what is to be learned beside them, so
that a job maps it from disk and touches only the texts it reads.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xgrl.models.tokens import Tokens
from xgrl.runs import records

ARRAYS = ("first", "targets", "origin")


@dataclass(frozen=True, eq=False)
class Encoded:
    """Examples as sequences: m sequences with T tokens in all, see `xgrl.prepare.encode`.

    labels: (n,) int64 or None. first: (n + 1,) int64, example i has the sequences first[i] ..
    first[i + 1] - 1; None: one each. targets: (m, 2) or (T,) int32, what the tokens are to be
    labelled with. origin: where a token comes from, in span QA (T, 2) int32 characters of the
    context, -1 outside it; in tagging (T,) int32 number of the word that a piece begins, or -1.
    """

    tokens: Tokens
    labels: np.ndarray | None = None
    first: np.ndarray | None = None
    targets: np.ndarray | None = None
    origin: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus of n examples in m sequences; labels to origin as in `Encoded`.

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
        """What a batch draws: (u + 1,) borders, unit i is sequences units[i] .. units[i + 1] - 1.

        Choices of one example stay together, as do a query and its candidate; a window is a unit.
        """
        together = self.first is not None and self.format in ("multiple_choice", "pairs")
        return self.first if together else np.arange(len(self.tokens) + 1)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each unit's longest sequence, (u,) int64."""
        lengths = self.tokens.lengths
        return np.maximum.reduceat(lengths, self.units[:-1]) if len(lengths) else lengths

    def sequences(self, units: np.ndarray) -> np.ndarray:
        """The sequences of some units, in order."""
        return np.concatenate([np.arange(*self.units[u : u + 2]) for u in units])

    def column(self, name: str) -> list:
        """A column of the canonical rows (context, answers, tags, gold), read from disk."""
        return pq.read_table(self.folder / "rows.parquet", columns=[name])[name].to_pylist()


def save_corpus(folder: Path, rows: pa.Table, format: str, encoded: Encoded) -> None:
    """Write a corpus (rows.parquet, .npy arrays) as a new folder; `prefix_states` adds hidden.npy.

    An older folder of that name is replaced, its hidden states with it.
    rows: column id, and what of the canonical rows is needed later. ValueError where counts differ.
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
        arrays = {"tokens": encoded.tokens.ids, "offsets": encoded.tokens.offsets}
        arrays |= {"segments": encoded.tokens.segments}
        arrays |= {name: getattr(encoded, name) for name in ARRAYS}
        for name, values in arrays.items():
            if values is not None:
                np.save(new / f"{name}.npy", values)

    records.replace_folder(folder, write)


def load_corpus(folder: Path) -> Corpus:
    """Map a prepared corpus: token ids and hidden states stay on disk until a batch reads them.

    Raises FileNotFoundError where the folder holds no prepared corpus.
    """
    folder = Path(folder)
    if not (folder / "offsets.npy").exists():
        reason = "holds no prepared corpus (no offsets.npy)"
        raise FileNotFoundError(f"{folder} {reason}: run notebook 01 first")
    file = pq.ParquetFile(folder / "rows.parquet")
    rows = file.read([name for name in ("id", "label") if name in file.schema_arrow.names])
    labels = rows["label"].to_numpy() if "label" in rows.column_names else None
    paths = {name: folder / f"{name}.npy" for name in ("hidden", "segments", *ARRAYS)}
    arrays = {name: _open(path) for name, path in paths.items() if path.exists()}
    tokens = _open(folder / "tokens.npy"), np.load(folder / "offsets.npy")
    tokens = Tokens(*tokens, arrays.pop("segments", None))
    format = file.schema_arrow.metadata[b"format"].decode()
    return Corpus(rows["id"].to_pylist(), labels, tokens, format=format, folder=folder, **arrays)


def _open(path: Path) -> np.ndarray:
    """Map an array read-only, or load it where it is empty and so cannot be mapped."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        return np.load(path)
