"""What a run of 02 or 03 consists of, everything up to `xgrl.training.trainer.fit`.

`build_intermediate` and `build_target` put a run together; the notebooks take the same steps one by
one. Each use of chance has a generator of its own (`xgrl.training.trainer.generators`), so that the
order of the steps does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_model
from torch import nn
from transformers import PreTrainedModel

from xgrl.arms import arm_class, arm_spec, checkpoint_of
from xgrl.arms.base import Arm, ArmSettings, Standard
from xgrl.models.task_model import TaskModel
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs import params, records
from xgrl.tasks import find_task
from xgrl.training.batches import ArmTexts, JointBatches, arm_labels, other_labels
from xgrl.training.erasure import fit_erasure
from xgrl.training.trainer import generators, initialised, new_head

MODEL = "model.safetensors"  # what a target run has trained, for other targets
Job = Mapping[str, Any]
Streams = Mapping[str, np.random.Generator]


@dataclass(frozen=True)
class Run:
    """A run before its first step.

    encoder: the whole one, its upper layers share their weights with the model's; model: what is
    trained; stages: the batches of each stage of training, in order, none where nothing is trained;
    streams: generators of the run, by use.
    """

    encoder: PreTrainedModel
    model: TaskModel
    stages: dict[str, JointBatches]
    streams: Streams


def build_intermediate(job: Job, prepared: Prepared) -> Run:
    """A run of intermediate training, from the complete parameters of 02_intermediate; ValueError
    where the arm cannot serve this task or this encoder, or 01 was run without its texts.
    """
    prepared = prepared.for_arm(job["arm"])
    encoder = prepared.encoder()
    streams = generators(job["master_seed"], job["intermediate"], seed=job["seed"])
    data = intermediate_batches(job, prepared, encoder, streams)
    model = intermediate_model(job, prepared, encoder, streams)
    return Run(encoder, model, {"train": data}, streams)


def labelled_corpora(prepared: Prepared, intermediate: str, split: str) -> dict[str, Corpus]:
    """The train or dev corpus of an intermediate task, or of each task of a mixture, by name."""
    tasks = prepared.tasks(intermediate)
    return {task: prepared.corpus(f"intermediate/{task}/{split}") for task in tasks}


def domain_of_languages(job: Job, prepared: Prepared) -> np.ndarray:
    """The domain of each language of the discriminator's text, integers (languages,): each its own,
    or with ``domains = "binary"`` English 0 and all others 1.
    """
    languages = prepared.unlabelled_languages
    if job["domains"] == "languages":
        return np.arange(len(languages))
    return np.array([int(language != "en") for language in languages])


def domain_count(job: Job, prepared: Prepared) -> int:
    """How many domains the arm's discriminator tells apart."""
    genre = arm_spec(job["arm"]).asks == "genre"
    return 2 if genre else len(set(domain_of_languages(job, prepared)))


def english_domain(job: Job, prepared: Prepared) -> int:
    """The domain of the discriminator's English text."""
    return int(domain_of_languages(job, prepared)[prepared.unlabelled_languages.index("en")])


def layers_read(job: Job, prepared: Prepared, encoder: PreTrainedModel) -> tuple[int, ...]:
    """The layers of the trained part that discriminators read, "all" of them or one."""
    name, layer = "discriminator_layer", job["discriminator_layer"]
    if layer != "all":
        return (prepared.trained_layer(encoder, layer, name),)
    frozen, layers = prepared.frozen_layers(encoder), encoder.config.num_hidden_layers
    return (*range(1, layers - frozen), -1)


def intermediate_batches(
    job: Job, prepared: Prepared, encoder: PreTrainedModel, streams: Streams
) -> JointBatches:
    """The batches of intermediate training: labelled texts, and those of the arm beside them."""
    spec, corpus = arm_spec(job["arm"]), prepared.text(job["arm"], job["intermediate"])
    texts = None
    if corpus is not None:
        labels = arm_labels(spec.text, corpus, domain_of_languages(job, prepared))
        english, lengths = english_domain(job, prepared), corpus.lengths
        labels, groups = other_labels(spec.asks, labels, english, lengths, streams["labels"])
        size, draw = job["unlabelled_batch_size"], streams["unlabelled"]
        texts = ArmTexts(corpus, labels, size, draw, spec.text == "translated", groups)
    labelled = labelled_corpora(prepared, job["intermediate"], "train")
    sizes = job["steps"], job["batch_size"]
    padding, cap = encoder.config.pad_token_id, job["mixture_cap"]
    return JointBatches(labelled, *sizes, streams["order"], texts, padding, cap)


def intermediate_model(
    job: Job, prepared: Prepared, encoder: PreTrainedModel, streams: Streams
) -> TaskModel:
    """Encoder, fresh head and arm of intermediate training."""
    tasks, size = prepared.tasks(job["intermediate"]), encoder.config.hidden_size
    # tasks with one label set share a head
    shared = {task: find_task(task, "intermediate").head or task for task in tasks}
    heads = {shared[task]: prepared.head(task, "intermediate") for task in tasks}
    fields = params.JOBS["02_intermediate"].model_fields
    given = {key: job.get(key, fields[key].default) for key in params.ADVERSARY}
    adversary = {key.removeprefix("discriminator_"): value for key, value in given.items()}
    settings = ArmSettings(
        features=size, domains=domain_count(job, prepared), lambda_max=job["lambda_max"],
        tokens=job["discriminator_features"] == "tokens",
        layers=layers_read(job, prepared, encoder),
        english=0 if arm_spec(job["arm"]).asks == "genre" else english_domain(job, prepared),
        classes=heads[shared[tasks[0]]][1], **prepared.special_ids, **adversary,
    )  # fmt: skip
    head = new_head(size, heads, streams["head"])

    def attached() -> tuple[Arm, nn.Module]:
        arm = arm_class(job["arm"])(settings)
        return arm, arm.attach(encoder, prepared.trainable(encoder))  # adapters draw weights too

    arm, upper = initialised(attached, generator=streams["arm"])
    return TaskModel(upper, head, arm, shared)


def build_target(job: Job, prepared: Prepared) -> Run:
    """A run of the target stage, from the complete parameters of 03_target; for plain retrieval it
    has no stage of training. ValueError where the checkpoint is missing or of other prepared data.
    """
    prepared, checkpoint = starting_point(job, prepared)
    encoder = prepared.encoder(checkpoint)
    streams = generators(job["master_seed"], job["intermediate"], job["target"], seed=job["seed"])
    stages = target_batches(job, prepared, encoder, streams)
    source = fine_tuned(job, prepared)
    model = target_model(job, prepared, encoder, streams, trained=bool(stages), source=source)
    return Run(encoder, model, stages, streams)


def starting_point(job: Job, prepared: Prepared) -> tuple[Prepared, Path | None]:
    """The checkpoint that a target run starts from (None: the public encoder), and the prepared
    folder as it reads it: without the stored output of frozen layers that an arm has changed.
    """
    if job["arm"] == "none":
        return prepared, None
    names = {"intermediate": job["intermediate"], "seed": job["seed"]}
    names["arm"] = checkpoint_of(job["arm"])
    run = records.run_folder(job["outputs"], job["study"], "intermediate", **names)
    changed = prepared.verify_run(run)["metrics"]["lower_layers_changed"]
    return prepared.uncached() if changed else prepared, run / "checkpoint"


def fine_tuned(job: Job, prepared: Prepared) -> Path | None:
    """The finished run of another target (``train_from``) with whose model this one is tested, None
    where it is trained itself. ValueError where that run is not there, or of other prepared data.
    """
    source, target = job.get("train_from", ""), job["target"]
    asked = prepared.record["parameters"].get("train_from", {}).get(target, "")
    if source != asked:
        prepared_with = f"01 has prepared {target!r} with train_from={asked!r}; run it again"
        raise ValueError(f"train_from={source!r}: {prepared_with}")
    if not source or prepared.has(f"target/{target}/train"):
        return None
    names = {name: job[name] for name in ("intermediate", "arm", "seed")}
    run = records.run_folder(job["outputs"], job["study"], "target", **names, target=source)
    prepared.verify_run(run)
    if not (run / MODEL).exists():
        raise ValueError(f"{run}: no {MODEL}; run 03_target for {source!r} with keep_model = True")
    return run


def target_batches(
    job: Job, prepared: Prepared, encoder: PreTrainedModel, streams: Streams
) -> dict[str, JointBatches]:
    """The batches of each stage: a task that is trained first, if any, and the target."""
    steps = {"first": job["first_steps"], "train": job["steps"]}
    names = {stage: f"target/{job['target']}/{stage}" for stage in steps}
    size, order, pad_id = job["batch_size"], streams["order"], encoder.config.pad_token_id
    there = {s: prepared.corpus(k) for s, k in names.items() if steps[s] and prepared.has(k)}
    given = {"pad_id": pad_id}
    return {s: JointBatches(c, steps[s], size, order, stage=s, **given) for s, c in there.items()}


def target_model(
    job: Job, prepared: Prepared, encoder: PreTrainedModel, streams: Streams, trained: bool = True,
    source: Path | None = None,
) -> TaskModel:  # fmt: skip
    """Encoder and a fresh head for a target, no head where it is not `trained`; with the weights of
    the run `source` (`fine_tuned`) where there is one, whose encoder shares them. Of an arm that
    erases language the map for this head lies between them, fitted on `encoder` as it is given.
    """
    head, erasure = nn.Identity(), nn.Identity()
    if trained or source:
        heads = {"": prepared.head(job["target"])}
        head = new_head(encoder.config.hidden_size, heads, streams["head"])
        if arm_spec(job["arm"]).erases:
            encoder.to(job["device"])
            erasure = fit_erasure(prepared, encoder, tokens=not head.pooled)
    model = TaskModel(prepared.trainable(encoder), head, Standard())
    model.erasure = erasure
    if source:
        load_model(model.eval(), source / MODEL)
    return model
