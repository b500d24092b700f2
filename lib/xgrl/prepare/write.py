"""What 01 does with the rows of a study (`xgrl.prepare.select_rows`): encode them, trim the vocabulary, run
the frozen layers, write.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl.models.encoder import save_checkpoint
from xgrl.models.split import prefix
from xgrl.models.tokens import kept_ids, remap, trim
from xgrl.prepare.corpus import Encoded, load_corpus, save_corpus
from xgrl.prepare.encode import encode
from xgrl.prepare.prefix_cache import frozen_states, prune
from xgrl.prepare.select_rows import schema_of
from xgrl.runs import records
from xgrl.runs.progress import ProgressLine, watch
from xgrl.tasks import find_task


def encode_all(
    corpora: Mapping[str, Dataset], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Encoded]:
    """Token sequences of every corpus, cut at `max_length` or at what the task's own recipe says,
    where that is less.

    ValueError where the encoder takes fewer tokens.
    """
    found = {}
    for name, rows in watch(list(corpora.items()), "tokenised: corpus"):
        role, *task = name.split("/")[:2]
        longest = min(max_length, find_task(task[0], role).max_length) if task else max_length
        if max_length > tokenizer.model_max_length:
            raise ValueError(
                f"max_length={max_length}: the encoder takes at most {tokenizer.model_max_length} "
                f"tokens"
            )
        encoded = encode(rows, schema_of(name), tokenizer, longest)
        found[name] = (
            replace(encoded, origin=None) if name.endswith(("/train", "/first")) else encoded
        )
    return found


CORPORA = ("intermediate", "target", "unlabelled", "language-modelling", "pairs")  # their folders
# rows converted at a time: of chosen rows each is a table of its own until they are combined
CHUNK = 10_000
# what is needed of a row besides its id, once it is encoded
KEPT = ("label", "context", "answers", "tags", "gold", "group")


def stored_rows(rows: Dataset, name: str) -> pa.Table:
    """What a prepared corpus keeps of its rows: ids and labels, and in test and development sets
    what scores need.
    """
    kept = [column for column in KEPT if column in rows.column_names]
    if name.endswith(("/train", "/first")):
        kept = [column for column in kept if column == "label"]
    chunks = rows.select_columns(["id", *kept]).with_format("arrow").iter(batch_size=CHUNK)
    empty = rows.features.arrow_schema.empty_table().select(["id", *kept])
    return pa.concat_tables([empty, *(chunk.combine_chunks() for chunk in chunks)])


def heads(corpora: Mapping[str, Dataset]) -> dict[str, dict[str, Any]]:
    """By task as ``role/name``: the format that is trained on, and the names of its classes or
    tags.

    Tags that have no names (labels that only the user's files know) are numbers, as many as
    training and development rows have.
    """
    found = {}
    for name in [name for name in corpora if name.endswith("/train")]:
        place = name.removesuffix("/train")
        rows, kind = corpora[name], schema_of(name)
        label = (
            rows.features["label"]
            if kind == "classification"
            else rows.features["tags"].feature
            if kind == "tagging"
            else None
        )
        names = getattr(label, "names", None) or []
        if kind == "tagging" and not names:
            tags = max(
                max(tags) for split in (name, f"{place}/dev") for tags in corpora[split]["tags"]
            )
            names = [str(tag) for tag in range(tags + 1)]
        found[place] = {"format": kind, "labels": names}
    return found


def write_prepared(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    base: str,
    corpora: Mapping[str, Dataset],
    encoded: Mapping[str, Encoded],
    frozen: int,
    workers: int = 1,
) -> int:
    """Trim the encoder to the study's vocabulary and write it with every corpus, hidden states
    included.

    Corpora that an earlier preparation left in the folder are removed.

    Args:
        folder: the study's prepared folder.
        model, tokenizer, base: the full encoder and the name it was loaded by.
        corpora: rows by corpus name.
        encoded: their sequences in the full vocabulary.
        frozen: how many lower layers stay frozen; 0 = none, and no hidden states are written.
        workers: processes that run the frozen layers, one thread each; the result is the same for
            any number.

    Returns:
        rows kept of the word embedding.
    """
    folder = Path(folder)
    kept = kept_ids((corpus.tokens for corpus in encoded.values()), tokenizer.all_special_ids)
    trimmed = trim(model, kept)
    save_checkpoint(trimmed, folder / "encoder", kept, base)
    for old in CORPORA:
        shutil.rmtree(folder / old, ignore_errors=True)
    for name, rows in corpora.items():
        renumbered = replace(encoded[name], tokens=remap(encoded[name].tokens, kept))
        save_corpus(folder / name, stored_rows(rows, name), schema_of(name), renumbered)
    if frozen:
        lower = prefix(trimmed, frozen)
        largest_first = sorted(corpora, key=lambda name: (-len(encoded[name].tokens.ids), name))
        _in_processes([(lower, folder / name) for name in largest_first], workers)
        if said := prune():
            print(said)
    return len(kept)


def _frozen_states(lower: PreTrainedModel, folder: Path) -> None:
    frozen_states(lower, load_corpus(folder).tokens, folder / "hidden.npy")


def _in_processes(jobs: list[tuple], workers: int) -> None:
    """Run the frozen layers on each corpus, in forked processes of one thread each; a corpus never
    depends on their number.
    """
    if workers == 1:
        for job in watch(jobs, "frozen layers: corpus"):
            _frozen_states(*job)
        return
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    for place in [*range(len(jobs)), *[None] * workers]:
        queue.put(place)

    def work() -> None:
        torch.set_num_threads(1)
        while (place := queue.get()) is not None:
            _frozen_states(*jobs[place])

    processes = [context.Process(target=work) for _ in range(workers)]
    for process in processes:
        process.start()
    line = ProgressLine("frozen layers: corpus", len(jobs))
    for process in processes:
        while process.exitcode is None:
            process.join(timeout=1)
            line.update(sum((folder / "hidden.npy").exists() for _, folder in jobs))
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise RuntimeError(
            f"the frozen layers failed in {len(failed)} of {workers} processes, exit codes "
            f"{failed}; out of memory?"
        )


def special_ids(folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokenizer's special ids as they are numbered in the prepared vocabulary: ``mask`` (None
    without one) and ``all``.
    """
    kept = np.load(Path(folder) / "encoder" / "kept_ids.npy")
    places = {old: int(np.searchsorted(kept, old)) for old in tokenizer.all_special_ids}
    return {"mask": places.get(tokenizer.mask_token_id), "all": sorted(places.values())}


def write_texts(path: str | Path, rows: Dataset) -> Path:
    """Write sentences to measure with (id, text, language) as parquet: they are tokenised when they
    are used.
    """
    return records.write(Path(path), lambda p: rows.to_pandas().to_parquet(p, index=False))
