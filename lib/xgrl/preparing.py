"""What 01 does with the tasks: choose rows, check leakage, match the unlabelled text, tokenise, trim, run the frozen layers.

Every choice is drawn from a generator keyed by the study's master seed and the corpus's name, so that the same study file
prepares the same bytes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl import records
from xgrl.models.encoder import save_checkpoint
from xgrl.models.split import prefix, prefix_states
from xgrl.tasks import TASKS, load_task
from xgrl.tasks.leakage import drop_leaks, leakage
from xgrl.tasks.unlabelled import load_unlabelled, match_lengths
from xgrl.text import Tokens, kept_ids, remap, save_corpus, tokenise, trim

UNLABELLED_CANDIDATES = 10  # unlabelled sentences looked at for each one wanted, so that lengths can be matched


def generator(master_seed: int, name: str) -> np.random.Generator:
    """The generator of one choice, by name."""
    return np.random.default_rng(np.random.SeedSequence([master_seed, crc32(name.encode())]))


def target_languages(target: str, wanted: Iterable[str]) -> list[str]:
    """Languages of a target that the study wants (an empty list wants all), in the task's order.

    Retrieval is between a foreign language and English, so English is none of its languages.
    """
    task = TASKS[target]
    wanted = (set(wanted) or set(task.languages)) - ({"en"} if task.format == "retrieval" else set())
    return [language for language in task.languages if language in wanted]


def gather(job: Mapping[str, Any]) -> dict[str, Dataset]:
    """The rows of every corpus of the study, chosen and named as in `xgrl.prepared`, before the leakage check.

    Args:
        job: the parameters of 01_prepare.
    """
    place = {"source": job["source"], "path": job["path"] or None}
    corpora = {}
    for task in job["intermediate"]:
        for split in ("train", "dev"):
            corpora[name] = _some(load_task(task, "en", split, **place), name := f"intermediate/{task}/{split}", job)
    for target in job["targets"]:
        corpora |= _gather_target(target, job, place)
    return corpora


def _gather_target(target: str, job: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Dataset]:
    task, languages = TASKS[target], target_languages(target, job["languages"])
    if task.format == "retrieval":
        return _gather_retrieval(target, job, place, languages)
    found = {}
    for split in ("train", "dev"):
        found[name] = _some(load_task(target, "en", split, **place), name := f"target/{target}/{split}", job)
    english = load_task(target, "en", "test", **place)
    shared = _some(english, f"target/{target}/test", job)["id"] if task.parallel else None
    for language in languages:
        rows = load_task(target, language, "test", **place)
        rows = _with_ids(rows, shared) if task.parallel else rows.select(range(min(len(rows), job["test_rows"])))
        found[f"target/{target}/test-{language}"] = rows
    return found


def _gather_retrieval(
    target: str, job: Mapping[str, Any], place: Mapping[str, Any], languages: list[str]
) -> dict[str, Dataset]:
    """Queries of each language, and English candidates: one set for all where the task shares them, else one a language."""
    found = {}
    for language in languages:
        name = "candidates" if TASKS[target].shared_candidates else f"candidates-{language}"
        if f"target/{target}/{name}" not in found:
            english = load_task(target, "en" if name == "candidates" else language, "candidates", **place)
            found[f"target/{target}/{name}"] = english = _some(english, f"target/{target}/{name}", job, "retrieval_rows")
        found[f"target/{target}/queries-{language}"] = _with_ids(load_task(target, language, "queries", **place), english["id"])
    return found


def _some(rows: Dataset, name: str, job: Mapping[str, Any], limit: str = "") -> Dataset:
    """At most so many rows, drawn without replacement; the limit is the job's ``<split>_rows``."""
    limit = limit or f"{name.rsplit('/', 1)[1]}_rows"
    order = generator(job["master_seed"], name).permutation(len(rows))
    return rows.select(order[: job[limit]])


def _with_ids(rows: Dataset, ids: Iterable[str]) -> Dataset:
    """The rows with these ids, in the order of `ids`; ids that a language lacks are left out."""
    place = {example: i for i, example in enumerate(rows["id"])}
    return rows.select([place[i] for i in ids if i in place])


def drop_leaked(corpora: Mapping[str, Dataset]) -> tuple[dict[str, Dataset], pd.DataFrame]:
    """Take rows out of every train corpus that are, exactly or nearly, in some test set; and say what was found.

    Returns:
        the corpora, and one line for each pair of train and test corpora with what they share.
    """
    tests = {name: list(rows["text"]) for name, rows in corpora.items() if "/train" not in name and "/dev" not in name}
    trains = {name: rows for name, rows in corpora.items() if name.endswith("/train")}
    table = leakage({name: list(rows["text"]) for name, rows in trains.items()}, tests)
    leaked = set(table.loc[(table["exact"] + table["near"]) > 0, "train"])
    return dict(corpora) | {name: drop_leaks(trains[name], tests) for name in sorted(leaked)}, table


def choose_unlabelled(
    job: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, lengths: np.ndarray
) -> tuple[Dataset, Dataset]:
    """Unlabelled sentences for the discriminator, and others for the probes: every language with the same lengths.

    Args:
        job: the parameters of 01_prepare.
        tokenizer: counts the tokens.
        lengths: (n,) token lengths of the labelled texts; the sentences are matched to them.

    Returns:
        two datasets ``id, text, language`` with ``unlabelled_rows`` and ``probe_rows`` sentences a language.
    """
    rows, languages = load_unlabelled(job["unlabelled_languages"], source=job["source"]), job["unlabelled_languages"]
    wanted, rng = job["unlabelled_rows"] + job["probe_rows"], generator(job["master_seed"], "unlabelled")
    names = np.array(rows["language"])
    pools = {lang: rng.permutation(np.flatnonzero(names == lang))[: UNLABELLED_CANDIDATES * wanted] for lang in languages}
    if short := {lang: len(pool) for lang, pool in pools.items() if len(pool) < wanted}:
        raise ValueError(f"unlabelled_rows + probe_rows = {wanted}, but there are fewer sentences in {short}")
    texts = {lang: rows.select(pool)["text"] for lang, pool in pools.items()}
    counted = {lang: tokenise(list(t), tokenizer, job["max_length"]).lengths for lang, t in texts.items()}
    matched = match_lengths(counted, lengths, wanted, rng)
    order = rng.permutation(wanted)
    parts = (order[: job["unlabelled_rows"]], order[job["unlabelled_rows"] :])
    training, probing = (np.concatenate([pools[lang][matched[lang][part]] for lang in languages]) for part in parts)
    return rows.select(training), rows.select(probing)


def tokenise_all(corpora: Mapping[str, Dataset], tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, Tokens]:
    """Token ids of every corpus, pairs joined by the tokenizer's separator; ValueError where the encoder takes fewer tokens."""
    if max_length > tokenizer.model_max_length:
        raise ValueError(f"max_length={max_length}: the encoder takes at most {tokenizer.model_max_length} tokens")
    return {
        name: tokenise(
            list(rows["text"]), tokenizer, max_length, list(rows["text_pair"]) if "text_pair" in rows.column_names else None
        )
        for name, rows in corpora.items()
    }


def write_prepared(
    folder: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    base: str,
    corpora: Mapping[str, Dataset],
    tokens: Mapping[str, Tokens],
    frozen: int,
    workers: int = 1,
) -> int:
    """Trim the encoder to the study's vocabulary and write it with every corpus, hidden states included.

    Args:
        folder: the study's prepared folder.
        model, tokenizer, base: the full encoder and the name it was loaded by.
        corpora: rows by corpus name; those with a ``label`` column keep it.
        tokens: their token ids in the full vocabulary.
        frozen: how many lower layers stay frozen; 0 = none, and no hidden states are written.
        workers: processes that run the frozen layers, one thread each; the result is the same for any number.

    Returns:
        rows kept of the word embedding.
    """
    folder = Path(folder)
    kept = kept_ids(tokens.values(), tokenizer.all_special_ids)
    trimmed = trim(model, kept)
    save_checkpoint(trimmed, folder / "encoder", kept, base)
    for name, rows in corpora.items():
        labels = list(rows["label"]) if "label" in rows.column_names else None
        save_corpus(folder / name, list(rows["id"]), labels, remap(tokens[name], kept))
    if frozen:
        lower = prefix(trimmed, frozen)
        largest_first = sorted(corpora, key=lambda name: (-len(tokens[name].ids), name))
        jobs = [(lower, remap(tokens[name], kept), folder / name / "hidden.npy") for name in largest_first]
        _in_processes(jobs, workers)
    return len(kept)


def _in_processes(jobs: list[tuple], workers: int) -> None:
    """Run `prefix_states` on each job, in forked processes of one thread each; a corpus never depends on their number."""
    if workers == 1:
        for job in jobs:
            prefix_states(*job)
        return
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    for place in [*range(len(jobs)), *[None] * workers]:
        queue.put(place)

    def work() -> None:
        torch.set_num_threads(1)
        while (place := queue.get()) is not None:
            prefix_states(*jobs[place])

    processes = [context.Process(target=work) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise RuntimeError(
            f"the frozen layers failed in {len(failed)} of {workers} processes, exit codes {failed}; out of memory?"
        )


def probe_texts(folder: str | Path, rows: Dataset) -> Path:
    """Write the probes' sentences (id, text, language)."""
    return records.write(Path(folder) / "probe_texts.parquet", lambda p: rows.to_pandas().to_parquet(p, index=False))
