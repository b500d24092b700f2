"""Notebook 01 in one call: the rows of a study, chosen, looked through for leaks, encoded, written.

The notebook takes the same steps one by one.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset
from transformers import PreTrainedModel

from xgrl.arms import check_encoder
from xgrl.models.encoder import load_encoder
from xgrl.models.tokens import Tokenizer
from xgrl.prepare.arm_texts import choose_parallel, language_table, text_languages, text_of_arms
from xgrl.prepare.corpus import Encoded
from xgrl.prepare.encode import validate_length
from xgrl.prepare.folder import Prepared
from xgrl.prepare.leaks import drop_leaked, is_trained_on
from xgrl.prepare.parts import write_contents
from xgrl.prepare.select_rows import Job, choose_unlabelled, gather, remembered, target_languages
from xgrl.prepare.write import encode_all, heads, special_ids, write_prepared
from xgrl.runs import records
from xgrl.tasks import MUCH, RowsLost, data_card, provenance_of


@dataclass
class StudyRows:
    """The rows of a study as they are chosen: a corpus is checked for leaks and encoded when added.

    left_out: what loaders left out and why, one sentence a corpus; corpora: rows by corpus name,
    without training rows that are in a test set; encoded: their token sequences in the full
    vocabulary; leaks: tables of what train and test corpora share, one a call of `add`; dropped:
    rows dropped from each corpus that is trained on; measured: texts ``id, text, language`` that
    checkpoints are measured with, by name. ValueError where the encoder takes fewer tokens than the
    study's ``max_length``.
    """

    job: Job
    tokenizer: Tokenizer
    left_out: list[str] = field(default_factory=list)
    corpora: dict[str, Dataset] = field(default_factory=dict)
    encoded: dict[str, Encoded] = field(default_factory=dict)
    leaks: list[pd.DataFrame] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    measured: dict[str, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate_length(self.job["max_length"], self.tokenizer)

    def add(self, corpora: Mapping[str, Dataset]) -> None:
        """Add corpora: all test sets first, with or before what is trained on."""
        names = [k for k in self.corpora if not is_trained_on(k) and not k.endswith("/dev")]
        clean, leaks = drop_leaked({k: self.corpora[k] for k in names} | dict(corpora))
        self.leaks.append(leaks)
        with remembered(self.left_out):
            for name, rows in corpora.items():
                self.corpora[name], remain = clean[name], len(clean[name])
                if is_trained_on(name):
                    self.dropped[name] = lost = len(rows) - remain
                    leaked = RowsLost(name, f"{lost} rows that are in a test set", lost, remain)
                    if leaked.share > MUCH:
                        warnings.warn(leaked, stacklevel=2)
        added = {name: clean[name] for name in corpora}
        self.encoded |= encode_all(added, self.tokenizer, self.job["max_length"])

    def add_labelled(self) -> None:
        """The rows of all tasks: English ones to train on, tests in every language."""
        corpora, left_out = gather(self.job)
        self.left_out += left_out
        self.add(corpora)

    def add_texts(self) -> None:
        """Texts as long as these: the discriminator's, single arms', those to measure with."""
        train = [k for k in self.encoded if k.startswith("intermediate/") and k.endswith("/train")]
        lengths = np.concatenate([self.encoded[k].tokens.lengths for k in train])
        known = (self.tokenizer, lengths)
        unlabelled, probing = choose_unlabelled(self.job, *known)
        with remembered(self.left_out):
            pairs = choose_parallel(self.job, self.corpora)
            own = text_of_arms(self.job, self.corpora, unlabelled, pairs, *known)
        self.measured = {"probe_texts": probing, "parallel_texts": pairs}
        self.add({"unlabelled": unlabelled} | own)

    def tables(self) -> dict[str, pd.DataFrame]:
        """What 01 writes as tables: leakage, languages, data_card."""
        with remembered(self.left_out):
            pairs = self.measured["parallel_texts"]
            languages = language_table(self.job, pairs, self.tokenizer)
        counts = {name: len(rows) for name, rows in self.corpora.items()}
        counts["parallel_texts"] = len(pairs)
        names = (self.job[key] for key in ("intermediate", "targets", "sources"))
        card = data_card(*names, counts, self.job.get("train_from", {}), self.job["path"])
        return {"leakage": pd.concat(self.leaks), "languages": languages, "data_card": card}


def prepare_study(job: Job) -> Prepared:
    """All of notebook 01 with its complete parameters: choose the rows of a study and write its
    prepared folder; returned is the finished folder.
    """
    folder = records.run_folder(job["outputs"], job["study"], "prepare")
    started = records.start(folder, job["study"])
    model, tokenizer = load_encoder(job["encoder"])
    check_encoder(job["arms"], model, tokenizer)
    rows = StudyRows(job, tokenizer)
    rows.add_labelled()
    rows.add_texts()
    kept, _ = write_study(folder, rows, model)
    return finish(folder, rows, kept, started)


def write_study(
    folder: Path, rows: StudyRows, model: PreTrainedModel
) -> tuple[int, dict[str, pd.DataFrame]]:
    """Write the trimmed encoder, every corpus, the texts to measure with and the tables; returns
    how many rows of the word embedding are kept, and the tables.
    """
    kept = write_prepared(folder, rows.job, model, rows.tokenizer, rows.corpora, rows.encoded)
    for name, texts in rows.measured.items():
        frame = texts.to_pandas()
        records.write(folder / f"{name}.parquet", lambda p, f=frame: f.to_parquet(p, index=False))
    tables = rows.tables()
    for name, table in tables.items():
        records.write(folder / f"{name}.csv", lambda p, t=table: t.to_csv(p, index=False))
    return kept, tables


def finish(folder: Path, rows: StudyRows, kept: int, started: float) -> Prepared:
    """Hash what was written and write the record, last: only with it the folder is finished."""
    job, borrowed = rows.job, rows.job.get("train_from", {})
    labels = heads(rows.corpora, borrowed)
    metrics = {
        "vocabulary": kept,
        "rows": {name: len(corpus) for name, corpus in rows.corpora.items()},
        "tokens": sum(len(encoded.tokens.ids) for encoded in rows.encoded.values()),
        "languages": {t: target_languages(t, job["languages"]) for t in job["targets"]},
        "text_languages": text_languages(job),
        "special_ids": special_ids(folder, rows.tokenizer),
        "heads": labels, "leaked_rows_dropped": rows.dropped,
        "contents": write_contents(folder, rows.corpora, labels),
    }  # fmt: skip
    corpora = [*rows.corpora, *(["parallel_texts"] if len(rows.measured["parallel_texts"]) else [])]
    if known := provenance_of(corpora, job["sources"], job["path"], borrowed):
        metrics["provenance"] = known
    about = {"parameters": job, "metrics": metrics, "started": started, "warnings": rows.left_out}
    records.finish(folder, phase="prepare", **about)
    return Prepared.of(job["outputs"], job["study"])
