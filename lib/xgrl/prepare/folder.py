"""The study's prepared folder: text tokenised, vocabulary trimmed, frozen layers computed, once.

``01_prepare`` writes it, every later notebook only reads it. A text's hidden states depend in their
last bits on the batch they were computed in; so the frozen lower layers are computed here, in a
fixed order, never by whichever job comes first.

    prepared/encoder/       trimmed encoder (save_pretrained) and kept_ids.npy
    prepared/<corpus>/      rows.parquet, tokens.npy, ..., hidden.npy, see `xgrl.prepare.corpus`:
        intermediate/<task>/train|dev|translated
        target/<task>/first|train|dev|test-<language>
        target/<task>/[dev-]queries-<language>|[dev-]candidates[-<language>]
        unlabelled          its labels are indices into the study's unlabelled languages
        language-modelling|pairs            text of single arms, as translated is
    prepared/probe_texts.parquet, parallel_texts.parquet, languages.csv    to measure with
    prepared/contents/<part>.sha256         what a part of all this holds: `xgrl.prepare.parts`
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import nn
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from xgrl.arms import arm_spec
from xgrl.models.encoder import load_trimmed
from xgrl.models.split import Chain, prefix, top
from xgrl.models.tokens import with_words
from xgrl.prepare.corpus import Corpus, load_corpus
from xgrl.prepare.parts import input_parts
from xgrl.runs import records
from xgrl.tasks import find_task, mixture_parts

disable_progress_bar()  # of loading weights: a second's work, and a red line in a saved notebook


@dataclass(frozen=True)
class Prepared:
    """The prepared folder of a study; `cached`: with the stored output of frozen layers, if any."""

    folder: Path
    cached: bool = True

    @classmethod
    def of(cls, outputs: str | Path, study: str) -> Self:
        """The finished prepared folder of `study`; ValueError where 01_prepare has not finished."""
        folder = records.run_folder(outputs, study, "prepare")
        if (owner := records.read(folder)["study"]) != study:
            raise ValueError(f"{folder} was prepared for study {owner!r}, not {study!r}")
        texts = ("probe_texts.parquet", "parallel_texts.parquet")
        records.verify_hashes(folder, "encoder", "languages.csv", *texts)
        return cls(folder)

    @cached_property
    def record(self) -> dict:
        """01's ``run.json``."""
        return records.read(self.folder)

    @property
    def contents(self) -> dict[str, str]:
        """What identifies the prepared data: a hash a part."""
        return self.record["metrics"]["contents"]

    def inputs(self, phase: str, **of: Any) -> dict[str, str]:
        """What a run follows from, for its run.json: hashes by part, see `input_parts`."""
        parts = input_parts(phase, self.record["parameters"]["trained_layers"], **of)
        return {f"prepared/{part}": self.contents[part] for part in parts}

    def verify_run(self, folder: Path) -> dict[str, Any]:
        """A finished run's record; ValueError where it is damaged or its data are gone."""
        record = records.verify_hashes(folder)
        for name, sha256 in record["inputs"].items():
            part = name.removeprefix("prepared/")
            if part != name and self.contents.get(part) != sha256:
                now = f"{self.folder} holds now; run it again"
                raise ValueError(f"{folder} was trained on another {part!r} than {now}")
        return record

    def corpus(self, name: str) -> Corpus:
        """A corpus by name, as ``intermediate/sarcasm/train``; ValueError where it is damaged."""
        records.verify_hashes(self.folder, name, record=self.record)
        corpus = load_corpus(self.folder / name)
        return corpus if self.cached else replace(corpus, hidden=None)

    def uncached(self) -> Self:
        """The same folder for an encoder that needs other output of the lower layers than 01's."""
        return replace(self, cached=False)

    def for_arm(self, arm: str) -> Self:
        """The same folder as an arm reads it, some without the stored output of frozen layers."""
        return self if arm_spec(arm).cached else self.uncached()

    def text(self, arm: str, intermediate: str) -> Corpus | None:
        """The corpus that an arm's batches hold beside the labelled texts, None where it has none.

        ValueError where 01 was run without this arm.
        """
        name = arm_spec(arm).text
        if not name:
            return None
        name = f"intermediate/{intermediate}/{name}" if name == "translated" else name
        if not self.has(name):
            lacking = f"{self.folder} has no {name!r} for arm {arm!r}"
            raise ValueError(f"{lacking}: name the arm in the study, and run 01_prepare again")
        return self.corpus(name)

    def languages(self, target: str) -> list[str]:
        """Languages a target was prepared in."""
        return self.record["metrics"]["languages"][target]

    def has(self, name: str) -> bool:
        """Is there such a corpus?"""
        return (self.folder / name).exists()

    def candidates(self, target: str, language: str, kind: str = "") -> list[str]:
        """Corpora of candidates that queries of a language search; `kind`: "" or "dev-"."""
        name = f"target/{target}/{kind}candidates"
        if find_task(target, "target").candidates == "pooled":
            return [f"{name}-{code}" for code in self.languages(target)]
        return [name if self.has(name) else f"{name}-{language}"]

    def tasks(self, intermediate: str) -> list[str]:
        """The tasks it trains on: itself, or for a mixture all others of the study."""
        return mixture_parts(intermediate, self.record["parameters"]["intermediate"])

    def labels(self, task: str, role: str = "target") -> list[str]:
        """Names of a task's classes or tags."""
        return self.record["metrics"]["heads"][f"{role}/{task}"]["labels"]

    def head(self, task: str, role: str = "target") -> tuple[str, int]:
        """What a task's head is: the format, and the number of classes or tags."""
        head = self.record["metrics"]["heads"][f"{role}/{task}"]
        return head["format"], len(head["labels"])

    @property
    def unlabelled_languages(self) -> list[str]:
        """Languages of the discriminator's text, numbered by the labels of `unlabelled`."""
        return self.record["parameters"]["unlabelled_languages"]

    def encoder(self, checkpoint: str | Path | None = None) -> PreTrainedModel:
        """The trimmed encoder, or that of a checkpoint of this study.

        The word vectors, not trained, of a checkpoint older than some text of the study are 01's.
        """
        own = self.folder / "encoder"
        folder = Path(checkpoint or own)
        model = load_trimmed(folder)
        older, kept = (np.load(path / "kept_ids.npy").tolist() for path in (folder, own))
        if older == kept:
            return model
        words = load_trimmed(own).get_input_embeddings().weight.detach()
        number = {word: row for row, word in enumerate(kept)}
        moved = {row: number[word] for row, word in enumerate(older) if word in number}
        return with_words(model, words, moved)

    def trainable(self, model: PreTrainedModel) -> nn.Module:
        """The layers of `model` that the study trains (they share their weights with `model`).

        Called with the stored output of the layers below as inputs_embeds, else with input_ids.
        """
        frozen = self.frozen_layers(model)
        trained = top(model, frozen)
        return trained if self.cached or not frozen else Chain(prefix(model, frozen), trained)

    def frozen_layers(self, model: PreTrainedModel) -> int:
        """How many lower layers stay as they are; 0 = everything is trained, the embeddings too."""
        trained = self.record["parameters"]["trained_layers"]
        return frozen_layers(trained, model.config.num_hidden_layers)

    @property
    def special_ids(self) -> dict[str, Any]:
        """``mask_id`` (None without one) and ``special_ids``, in the trimmed vocabulary."""
        ids = self.record["metrics"]["special_ids"]
        return {"mask_id": ids["mask"], "special_ids": tuple(ids["all"])}

    def trained_layer(self, model: PreTrainedModel, layer: int, name: str = "layer") -> int:
        """A layer of the whole encoder as one of its trained part (0: what goes in); -1 stays.

        ValueError, with the parameter's name, where training never changes it.
        """
        if layer == -1:
            return layer
        frozen, layers = self.frozen_layers(model), model.config.num_hidden_layers
        if not frozen < layer <= layers:
            allowed = f"-1 (last), or {frozen + 1} to {layers}, which are trained"
            raise ValueError(f"{name}={layer}: allowed: {allowed}")
        return layer - frozen


def frozen_layers(trained: int, layers: int) -> int:
    """Lower layers that stay frozen when the top `trained` of `layers` are trained (-1: all);
    ValueError for more trained layers than there are, or none.
    """
    if trained != -1 and not 1 <= trained <= layers:
        given = f"trained_layers={trained}: the encoder has {layers} layers"
        raise ValueError(f"{given}; allowed: -1 (all) or 1 to {layers}")
    return 0 if trained == -1 else layers - trained
