"""The study's prepared folder: text tokenised once, vocabulary trimmed, frozen layers computed once.

``01_prepare`` writes it, every later notebook only reads it. A text's hidden states depend in their last bits on the batch
they were computed in; so the frozen lower layers are computed here, in a fixed order, never by whichever job comes first.

    prepared/encoder/                      trimmed encoder (save_pretrained) and kept_ids.npy
    prepared/intermediate/<task>/train|dev
    prepared/target/<task>/train|dev|test-<language>|queries-<language>|candidates[-<language>]
    prepared/unlabelled                    labels are indices into the study's unlabelled languages
    prepared/<corpus>/                     rows.parquet (id, label), tokens.npy, offsets.npy, hidden.npy
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn
from transformers import AutoModel, PreTrainedModel

from xgrl import records
from xgrl.models.split import top
from xgrl.text import Corpus, load_corpus


@dataclass(frozen=True)
class Prepared:
    """The prepared folder of a study."""

    folder: Path

    @classmethod
    def of(cls, outputs: str | Path, study: str) -> Prepared:
        """The finished prepared folder of `study`; ValueError where 01_prepare has not finished."""
        folder = records.run_folder(outputs, study, "prepare")
        found = records.read(folder)["study"]
        if found != study:
            raise ValueError(f"{folder} was prepared for study {found!r}, not {study!r}")
        return cls(folder)

    @cached_property
    def record(self) -> dict:
        """01's ``run.json``."""
        return records.read(self.folder)

    @property
    def digest(self) -> str:
        """What identifies the prepared data."""
        return self.record["metrics"]["digest"]

    def corpus(self, name: str) -> Corpus:
        """A corpus by its name, as ``intermediate/sarcasm/train``."""
        return load_corpus(self.folder / name)

    def languages(self, target: str) -> list[str]:
        """Languages a target was prepared in."""
        return self.record["metrics"]["languages"][target]

    def candidates(self, target: str, language: str) -> str:
        """Name of the English candidates that queries of a language search."""
        own = f"candidates-{language}"
        return own if (self.folder / "target" / target / own).exists() else "candidates"

    def labels(self, task: str) -> list[str]:
        """Names of a task's classes."""
        return self.record["metrics"]["labels"][task]

    @property
    def unlabelled_languages(self) -> list[str]:
        """Languages of the discriminator's text; the unlabelled corpus's labels are indices into it."""
        return self.record["parameters"]["unlabelled_languages"]

    def encoder(self, checkpoint: str | Path | None = None) -> PreTrainedModel:
        """The trimmed encoder, or that of a checkpoint of this study."""
        return AutoModel.from_pretrained(checkpoint or self.folder / "encoder")

    def trainable(self, model: PreTrainedModel) -> nn.Module:
        """The layers of `model` that the study trains (they share their weights with `model`)."""
        return top(model, self.frozen_layers(model))

    def frozen_layers(self, model: PreTrainedModel) -> int:
        """How many lower layers stay as they are; 0 = everything is trained, the embeddings too."""
        return frozen_layers(self.record["parameters"]["trained_layers"], model.config.num_hidden_layers)


def frozen_layers(trained: int, layers: int) -> int:
    """Lower layers that stay frozen when the top `trained` of `layers` are trained (-1: all).

    Raises:
        ValueError: more trained layers than there are, or none.
    """
    if trained != -1 and not 1 <= trained <= layers:
        raise ValueError(f"trained_layers={trained}: the encoder has {layers} layers; allowed: -1 (all) or 1 to {layers}")
    return 0 if trained == -1 else layers - trained


def digest(folder: str | Path) -> str:
    """sha256 over every file of a folder but ``run.json`` and the executed notebook: names and contents, sorted."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.suffix in (".npy", ".parquet", ".safetensors"):
            total.update(str(path.relative_to(folder)).encode())
            with open(path, "rb") as f:
                total.update(hashlib.file_digest(f, "sha256").digest())
    return total.hexdigest()
