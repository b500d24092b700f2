"""The rows of a study written: encoded, vocabulary trimmed, frozen layers run."""

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
from transformers import PreTrainedModel

from xgrl.models.encoder import save_checkpoint
from xgrl.models.split import prefix
from xgrl.models.tokens import Tokenizer, kept_ids, remap, trim
from xgrl.prepare.corpus import Encoded, load_corpus, save_corpus
from xgrl.prepare.encode import encode
from xgrl.prepare.folder import frozen_layers
from xgrl.prepare.leaks import ENGLISH
from xgrl.prepare.prefix_cache import frozen_states, prune
from xgrl.prepare.select_rows import Job, schema_of
from xgrl.runs.progress import ProgressLine, watch
from xgrl.tasks import find_task

CORPORA = ("intermediate", "target", "unlabelled", "language-modelling", "pairs")  # their folders
# rows converted at a time: of chosen rows each is a table of its own until they are combined
CHUNK = 10_000
# what is needed of a row besides its id, once it is encoded
KEPT = ("label", "context", "answers", "tags", "gold", "group")


def encode_all(
    corpora: Mapping[str, Dataset], tokenizer: Tokenizer, max_length: int
) -> dict[str, Encoded]:
    """Token sequences of every corpus, cut at `max_length` or at what the task's own recipe says,
    where that is less; ValueError where the encoder takes fewer tokens.
    """
    encoded = {}
    for name, rows in watch(list(corpora.items()), "tokenised: corpus"):
        role, *task = name.split("/")[:2]
        longest = min(max_length, find_task(task[0], role).max_length) if task else max_length
        encoded[name] = encode(rows, schema_of(name), tokenizer, longest)
        if name.endswith(ENGLISH):  # nothing is predicted for them
            encoded[name] = replace(encoded[name], origin=None)
    return encoded


def stored_rows(rows: Dataset, name: str) -> pa.Table:
    """What is kept of rows: ids and labels, and of test and dev sets what scores need."""
    wanted = ("label",) if name.endswith(ENGLISH) else KEPT
    kept = ["id", *(column for column in wanted if column in rows.column_names)]
    chunks = rows.select_columns(kept).with_format("arrow").iter(batch_size=CHUNK)
    empty = rows.features.arrow_schema.empty_table().select(kept)
    return pa.concat_tables([empty, *(chunk.combine_chunks() for chunk in chunks)])


def heads(
    corpora: Mapping[str, Dataset], train_from: Mapping[str, str] = {}
) -> dict[str, dict[str, Any]]:
    """By task as ``role/name``: the format that is trained on, the names of its classes or tags; of
    a target without training of its own those of the target in `train_from`.

    Tags that have no names (labels that only the user's files know) are numbers, as many as
    training and development rows have.
    """
    made = {}
    for task in [name.removesuffix("/train") for name in corpora if name.endswith("/train")]:
        types, kind = corpora[f"{task}/train"].features, schema_of(f"{task}/train")
        label = types["label"] if kind == "classification" else None
        label = types["tags"].feature if kind == "tagging" else label
        names = getattr(label, "names", None) or []
        if kind == "tagging" and not names:
            splits = (corpora[f"{task}/{split}"]["tags"] for split in ("train", "dev"))
            count = 1 + max(max(tags) for sentences in splits for tags in sentences)
            names = [str(tag) for tag in range(count)]
        made[task] = {"format": kind, "labels": names}
    borrowed = {f"target/{name}": made[f"target/{source}"] for name, source in train_from.items()}
    return borrowed | made


def write_prepared(
    folder: Path, job: Job, model: PreTrainedModel, tokenizer: Tokenizer,
    corpora: Mapping[str, Dataset], encoded: Mapping[str, Encoded],
) -> int:  # fmt: skip
    """Trim the encoder to the study's vocabulary and write it with every corpus, hidden states
    included where layers are frozen.

    Corpora that an earlier preparation left in the folder are removed. The result is the same for
    any number of `workers` in the job, processes that run the frozen layers, one thread each.
    model, tokenizer: the full encoder; corpora: rows by corpus name; encoded: their sequences in
    the full vocabulary. Returns how many rows of the word embedding are kept.
    """
    kept = kept_ids((corpus.tokens for corpus in encoded.values()), tokenizer.all_special_ids)
    trimmed = trim(model, kept)
    save_checkpoint(trimmed, folder / "encoder", kept, job["encoder"])
    for old in CORPORA:
        shutil.rmtree(folder / old, ignore_errors=True)
    for name, rows in corpora.items():
        renumbered = replace(encoded[name], tokens=remap(encoded[name].tokens, kept))
        save_corpus(folder / name, stored_rows(rows, name), schema_of(name), renumbered)
    if frozen := frozen_layers(job["trained_layers"], model.config.num_hidden_layers):
        largest_first = sorted(corpora, key=lambda name: (-len(encoded[name].tokens.ids), name))
        folders = [folder / name for name in largest_first]
        _run_frozen(prefix(trimmed, frozen), folders, job["workers"])
        if report := prune():
            print(report)
    return len(kept)


def _run_frozen(lower: PreTrainedModel, folders: list[Path], workers: int) -> None:
    """Run the frozen layers on each corpus, in forked processes of one thread each."""

    def states(folder: Path) -> None:
        frozen_states(lower, load_corpus(folder).tokens, folder / "hidden.npy")

    if workers == 1:
        for folder in watch(folders, "frozen layers: corpus"):
            states(folder)
        return
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    for number in [*range(len(folders)), *[None] * workers]:
        queue.put(number)

    def work() -> None:
        torch.set_num_threads(1)
        while (number := queue.get()) is not None:
            states(folders[number])

    processes = [context.Process(target=work) for _ in range(workers)]
    for process in processes:
        process.start()
    line = ProgressLine("frozen layers: corpus", len(folders))
    for process in processes:
        while process.exitcode is None:
            process.join(timeout=1)
            line.update(sum((folder / "hidden.npy").exists() for folder in folders))
    if failed := [process.exitcode for process in processes if process.exitcode]:
        which = f"{len(failed)} of {workers} processes, exit codes {failed}"
        raise RuntimeError(f"the frozen layers failed in {which}; out of memory?")


def special_ids(folder: str | Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Special ids in the prepared vocabulary: ``mask`` (None without one) and ``all``."""
    kept = np.load(Path(folder) / "encoder" / "kept_ids.npy")
    numbers = {old: int(np.searchsorted(kept, old)) for old in tokenizer.all_special_ids}
    return {"mask": numbers.get(tokenizer.mask_token_id), "all": sorted(numbers.values())}
