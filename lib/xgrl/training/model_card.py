"""Model cards: what a checkpoint is, in the Hub's format (``README.md`` with metadata), written
together with its weights.

Sources: Mitchell et al. 2019, "Model cards for model reporting" (arXiv 1810.03993); the Hub's
metadata, https://huggingface.co/docs/hub/model-cards.
A card holds nothing that differs between two runs of one job: no time, no folder of this machine.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData

if TYPE_CHECKING:
    from xgrl.prepare.folder import Prepared

HUB_NAMES = {"embedded": "intfloat/multilingual-e5-small"}
LICENCES = {"embedded": "mit", "tiny": "mit"}  # of another base: unknown here
INTERMEDIATE = ("dev_accuracy", "dev_low", "dev_high", "majority_accuracy", "learned", "discriminator_accuracy",
                "discriminator_chance", "steps", "labelled_examples")  # fmt: skip
LOAD = """```python
from transformers import AutoModel

model = AutoModel.from_pretrained("FOLDER")  # the encoder alone, no head; FOLDER: where this file is
```

Its word embedding holds the {rows:,} rows that the study's texts use; `kept_ids.npy` says which ids of the base encoder's
vocabulary they are. For other text take `xgrl.load_encoder`, which puts the full vocabulary back and finds the base
encoder's tokenizer:

```python
import xgrl

model, tokenizer = xgrl.load_encoder("FOLDER")
vectors = xgrl.embed(["Guten Morgen", "Good morning"], model, tokenizer)
```"""


def card(
    job: dict[str, Any], metrics: dict[str, Any], prepared: Prepared, diverged: str | None = None
) -> ModelCard:
    """The card of an encoder that a run of 02 or 03 has trained.

    Args:
        job: the run's complete parameters; those of 03 name a target.
        metrics: what the run has measured by now, as in its ``run.json``.
        prepared: what it was trained on.
        diverged: why the run diverged, if it did.
    """
    base, target = prepared.record["parameters"]["encoder"], job.get("target")
    hub = HUB_NAMES.get(
        base, base if base.count("/") == 1 and not base.startswith((".", "/")) else None
    )
    task, arm, seed, study = job["intermediate"], job["arm"], job["seed"], job["study"]
    name = f"{study}: {task}.{arm}, seed {seed}" + (f", {target}" if target else "")
    data = ModelCardData(
        language=["en", "multilingual"],
        license=LICENCES.get(base, "unknown"),
        base_model=hub,
        library_name="transformers",
        pipeline_tag="feature-extraction",
        tags=[
            "xgrl",
            "cross-lingual-transfer",
            "intermediate-task-training",
            f"arm-{arm}",
            f"task-{task}",
        ],
        model_name=name,
        eval_results=_results(target, task, metrics) or None,
    )
    notebook = "03_target" if target else "02_intermediate"
    command = json.dumps(
        {key: value for key, value in job.items() if key != "outputs"}, ensure_ascii=False
    )
    then = (
        "fine-tuned in English"
        if metrics.get("dev_accuracy") is not None
        else "tested without further training"
    )
    stages = (
        f"English intermediate task *{task}*, arm *{arm}*"
        if arm != "none"
        else "no intermediate task"
    )
    text = [
        f"# {name}",
        "A multilingual encoder from a study of domain-adversarial intermediate training and "
        "zero-shot cross-lingual transfer: "
        + stages
        + (f", then {then} on *{target}*." if target else ".")
        + f" Base encoder: {hub or base}"
        + (" (a 4-bit release of it, dequantised)." if base == "embedded" else ".")
        + (
            " Random weights and synthetic text: for trying the code, for nothing else."
            if base == "tiny"
            else ""
        ),
        f"| study | intermediate task | arm | seed | target |\n| --- | --- | --- | --- | --- |\n"
        f"| {study} | {task} | {arm} | {seed} | {target or '–'} |",
        *(
            [
                f"**This run diverged: {diverged}.** It is kept because it is a result; do not "
                f"use the weights."
            ]
            if diverged
            else []
        ),
        "## Measured",
        _measured(target, metrics),
        "One run says little: the study compares arms over blocks of (intermediate task, seed), "
        "see its report.",
        "## How to load",
        LOAD.format(rows=len(np.load(prepared.folder / "encoder" / "kept_ids.npy"))),
        "## Trained on",
        _trained_on(prepared, task, arm, target),
        "## Intended use and limits",
        "For research on cross-lingual transfer: features of sentences, a start for fine-tuning, "
        "probing. Not tested for use "
        "in production, on other domains than those named here, or for bias. English was the "
        "only language with labels. "
        "Licences of the texts above apply beside that of the base encoder.",
        "## The command that made it",
        f"```sh\npython -m xgrl.execution.execute notebooks/{notebook}.ipynb {notebook}.ipynb --json "
        f"{shlex.quote(command)}\n```",
        "in a folder in which the study's notebook 01 has run"
        + (", and the run of notebook 02 before it." if target and arm != "none" else "."),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(text) + "\n")


def _results(target: str | None, task: str, metrics: dict[str, Any]) -> list[EvalResult]:
    """The Hub's model index: English development accuracy, and of a target the score in every
    language; percent.
    """
    name = target or task
    values = {("en", "accuracy", "dev"): metrics.get("dev_accuracy")}
    values |= {
        (language, "score", "test"): score for language, score in metrics.get("scores", {}).items()
    }
    kind = {"task_type": "feature-extraction", "dataset_type": name}
    return [
        EvalResult(dataset_name=f"{name} ({language})", dataset_config=language, dataset_split=split,
                   metric_type=metric, metric_value=round(value, 2), **kind)
        for (language, metric, split), value in values.items() if value is not None
    ]  # fmt: skip


def _measured(target: str | None, metrics: dict[str, Any]) -> str:
    rows = {name: metrics[name] for name in INTERMEDIATE if metrics.get(name) is not None}
    if target:
        rows = {
            "English development accuracy": metrics.get("dev_accuracy"),
            "zero-shot macro": metrics["macro"],
        }
        rows |= {f"test, {language}": score for language, score in metrics["scores"].items()}
    lines = ["| accuracies and scores in % | |", "| --- | ---: |"]
    for name, value in rows.items():
        if value is not None:
            lines.append(f"| {name} | {f'{value:.2f}' if isinstance(value, float) else value} |")
    return "\n".join(lines)


def _trained_on(prepared: Prepared, task: str, arm: str, target: str | None) -> str:
    """The lines of the study's data card that concern the run, and the languages of unlabelled
    text.
    """
    tasks = prepared.parts(task) if arm != "none" else []
    path = prepared.folder / "data_card.csv"
    lines = ["Labelled English text:"]
    if path.exists():
        found = pd.read_csv(path)
        wanted = {("intermediate", name) for name in tasks} | {("target", target)}
        rows = [row for row in found.itertuples() if (row.role, row.task) in wanted]
        lines += ["", "| task | role | source | licence |", "| --- | --- | --- | --- |"]
        lines += [f"| {row.task} | {row.role} | {row.source} | {row.licence} |" for row in rows]
    else:
        lines[0] += f" {', '.join([*tasks, *([target] if target else [])])}."
    languages = ", ".join(prepared.unlabelled_languages)
    beside = (
        ""
        if arm in ("none", "standard")
        else f"\n\nThe study's arms may see unlabelled text in: {languages}."
    )
    return "\n".join(lines) + beside
