"""Model cards: what a checkpoint is, in the Hub's format (``README.md`` with metadata), written
together with its weights.

Sources: Mitchell et al. 2019, "Model cards for model reporting" (arXiv 1810.03993); the Hub's
metadata, https://huggingface.co/docs/hub/model-cards.
A card holds nothing that differs between two runs of one job: no time, no folder of this machine.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedModel

from xgrl.models.encoder import save_checkpoint
from xgrl.prepare.folder import Prepared

HUB_NAMES = {"embedded": "intfloat/multilingual-e5-small"}
LICENCES = {"embedded": "mit", "tiny": "mit"}  # of another base: unknown here
NOTES = {  # by base
    "embedded": " (a 4-bit release of it, dequantised).",
    "tiny": ". Random weights and synthetic text: for trying the code, for nothing else.",
}
INTERMEDIATE = (
    "dev_accuracy", "dev_low", "dev_high", "majority_accuracy", "learned",
    "discriminator_accuracy", "discriminator_chance", "steps", "labelled_examples",
)  # fmt: skip
Values = Mapping[str, Any]
TEMPLATE = Path(__file__).with_name("model_card_template.md")


def save(
    encoder: PreTrainedModel, folder: str | Path, job: Values, metrics: Values, prepared: Prepared,
    diverged: str | None = None,
) -> Path:  # fmt: skip
    """Write the encoder that a run of 02 or 03 has trained, with its card; see `card`."""
    kept = np.load(prepared.folder / "encoder" / "kept_ids.npy")
    base = prepared.record["parameters"]["encoder"]
    return save_checkpoint(encoder, folder, kept, base, card(job, metrics, prepared, diverged))


def card(
    job: Values, metrics: Values, prepared: Prepared, diverged: str | None = None
) -> ModelCard:
    """The card of an encoder that a run of 02 or 03 has trained.

    job: the run's complete parameters, those of 03 name a target; metrics: what the run has
    measured by now, as in its ``run.json``; prepared: its data; diverged: why it did, if so.
    """
    base, target = prepared.record["parameters"]["encoder"], job.get("target")
    source = job.get("train_from", "")  # and tested as that one was trained, or trained on its rows
    shared = source and not prepared.has(f"target/{target}/train")
    before = ", and the run of notebook 02 before it" if target and job["arm"] != "none" else ""
    before += f", and that of notebook 03 on {source}" if shared else ""
    task, arm, seed, study = job["intermediate"], job["arm"], job["seed"], job["study"]
    of_hub = base.count("/") == 1 and not base.startswith((".", "/"))
    hub = HUB_NAMES.get(base, base if of_hub else None)
    name = f"{study}: {task}.{arm}, seed {seed}" + (f", {target}" if target else "")
    tags = ["xgrl", "cross-lingual-transfer", "intermediate-task-training"]
    data = ModelCardData(
        language=["en", "multilingual"], license=LICENCES.get(base, "unknown"), base_model=hub,
        library_name="transformers", pipeline_tag="feature-extraction", model_name=name,
        tags=[*tags, f"arm-{arm}", f"task-{task}"],
        eval_results=_results(target, task, metrics) or None,
    )  # fmt: skip
    stages = f"English intermediate task *{task}*, arm *{arm}*"
    stages = "no intermediate task" if arm == "none" else stages
    if target:
        trained = metrics.get("dev_accuracy") is not None
        then = "fine-tuned in English" if trained else "tested without further training"
        if shared:
            stages += f", then {then} on *{source}* and tested on *{target}*"
        else:
            stages += f", then {then} on *{target}*"
            stages += f" (question and answer pairs of {source})" if source else ""
    parameters = {key: value for key, value in job.items() if key != "outputs"}
    return ModelCard.from_template(
        data, template_path=str(TEMPLATE), name=name, base=hub or base, note=NOTES.get(base, "."),
        run=" | ".join(map(str, (study, task, arm, seed, target or "–"))), stages=stages,
        diverged=diverged, measured=_measured(target, metrics),
        rows=f"{len(np.load(prepared.folder / 'encoder' / 'kept_ids.npy')):,}",
        trained_on=_trained_on(prepared, task, arm, source or target),
        notebook="03_target" if target else "02_intermediate",
        command=shlex.quote(json.dumps(parameters, ensure_ascii=False)),
        before=before,
    )  # fmt: skip


def _results(target: str | None, task: str, metrics: Values) -> list[EvalResult]:
    """The Hub's model index: English dev accuracy, and a target's scores by language."""
    name, scores = target or task, metrics.get("scores", {})
    values = [("en", "accuracy", "dev", metrics.get("dev_accuracy"))]
    values += [(language, "score", "test", score) for language, score in scores.items()]
    return [
        EvalResult(dataset_name=f"{name} ({language})", dataset_config=language,
                   dataset_split=split, metric_type=metric, metric_value=round(value, 2),
                   dataset_type=name, task_type="feature-extraction")
        for language, metric, split, value in values if value is not None
    ]  # fmt: skip


def _measured(target: str | None, metrics: Values) -> str:
    rows = {name: metrics.get(name) for name in INTERMEDIATE}
    if target:
        rows = {"English development accuracy": metrics.get("dev_accuracy")}
        rows["zero-shot macro"] = metrics["macro"]
        rows |= {f"test, {language}": score for language, score in metrics["scores"].items()}
    rows = {name: value for name, value in rows.items() if value is not None}
    text = {k: f"{v:.2f}" if isinstance(v, float) else str(v) for k, v in rows.items()}
    table = pd.Series(text, name="").rename_axis("accuracies and scores in %")
    return table.to_markdown(disable_numparse=True)


def _trained_on(prepared: Prepared, task: str, arm: str, target: str | None) -> str:
    """The lines of the study's data card that concern the run, and the languages of its text."""
    tasks = prepared.tasks(task) if arm != "none" else []
    card = pd.read_csv(prepared.folder / "data_card.csv", keep_default_na=False)
    wanted = [("intermediate", name) for name in tasks] + [("target", target)]
    mine = pd.MultiIndex.from_frame(card[["role", "task"]]).isin(wanted)
    table = card.loc[mine, ["task", "role", "source", "licence"]].to_markdown(index=False)
    languages = ", ".join(prepared.unlabelled_languages)
    beside = f"\n\nThe study's arms may see unlabelled text in: {languages}."
    return f"Labelled English text:\n\n{table}" + ("" if arm in ("none", "standard") else beside)
