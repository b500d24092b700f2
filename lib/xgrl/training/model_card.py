"""Model cards: what a checkpoint is, in the Hub's format (``README.md`` with metadata), written
together with its weights.

Sources: Mitchell et al. 2019, "Model cards for model reporting" (arXiv 1810.03993); the Hub's
metadata, https://huggingface.co/docs/hub/model-cards.
A card holds nothing that differs between two runs of one job: no time, no folder of this machine.
"""

from __future__ import annotations

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
TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

A multilingual encoder from a study of domain-adversarial intermediate training and zero-shot cross-lingual transfer: {{ stages }}. Base encoder: {{ base }}{{ note }}

| study | intermediate task | arm | seed | target |
| --- | --- | --- | --- | --- |
| {{ run }} |

{% if diverged -%}
**This run diverged: {{ diverged }}.** It is kept because it is a result; do not use the weights.

{% endif -%}
## Measured

{{ measured }}

One run says little: the study compares arms over blocks of (intermediate task, seed), see its report.

## How to load

```python
from transformers import AutoModel

model = AutoModel.from_pretrained("FOLDER")  # the encoder alone, no head; FOLDER: where this file is
```

Its word embedding holds the {{ rows }} rows that the study's texts use; `kept_ids.npy` says which ids of the base encoder's
vocabulary they are. For other text take `xgrl.load_encoder`, which puts the full vocabulary back and finds the base
encoder's tokenizer:

```python
import xgrl

model, tokenizer = xgrl.load_encoder("FOLDER")
vectors = xgrl.embed(["Guten Morgen", "Good morning"], model, tokenizer)
```

## Trained on

{{ trained_on }}

## Intended use and limits

For research on cross-lingual transfer: features of sentences, a start for fine-tuning, probing. Not tested for use in production, on other domains than those named here, or for bias. English was the only language with labels. Licences of the texts above apply beside that of the base encoder.

## The command that made it

```sh
python -m xgrl.execution.execute notebooks/{{ notebook }}.ipynb {{ notebook }}.ipynb --json {{ command }}
```

in a folder in which the study's notebook 01 has run{{ before }}.

"""  # noqa: E501


def save(
    encoder: PreTrainedModel,
    folder: str | Path,
    job: Mapping[str, Any],
    metrics: Mapping[str, Any],
    prepared: Prepared,
    diverged: str | None = None,
) -> Path:
    """Write the encoder that a run of 02 or 03 has trained, with its card; see `card`."""
    kept = np.load(prepared.folder / "encoder" / "kept_ids.npy")
    base = prepared.record["parameters"]["encoder"]
    return save_checkpoint(encoder, folder, kept, base, card(job, metrics, prepared, diverged))


def card(
    job: Mapping[str, Any],
    metrics: Mapping[str, Any],
    prepared: Prepared,
    diverged: str | None = None,
) -> ModelCard:
    """The card of an encoder that a run of 02 or 03 has trained.

    Args:
        job: the run's complete parameters; those of 03 name a target.
        metrics: what the run has measured by now, as in its ``run.json``.
        prepared: what it was trained on.
        diverged: why the run diverged, if it did.
    """
    base, target = prepared.record["parameters"]["encoder"], job.get("target")
    task, arm, seed, study = job["intermediate"], job["arm"], job["seed"], job["study"]
    of_hub = base.count("/") == 1 and not base.startswith((".", "/"))
    hub = HUB_NAMES.get(base, base if of_hub else None)
    name = f"{study}: {task}.{arm}, seed {seed}" + (f", {target}" if target else "")
    tags = ["xgrl", "cross-lingual-transfer", "intermediate-task-training"]
    data = ModelCardData(
        language=["en", "multilingual"],
        license=LICENCES.get(base, "unknown"),
        base_model=hub,
        library_name="transformers",
        pipeline_tag="feature-extraction",
        tags=[*tags, f"arm-{arm}", f"task-{task}"],
        model_name=name,
        eval_results=_results(target, task, metrics) or None,
    )
    stages = f"English intermediate task *{task}*, arm *{arm}*"
    stages = "no intermediate task" if arm == "none" else stages
    if target:
        trained = metrics.get("dev_accuracy") is not None
        then = "fine-tuned in English" if trained else "tested without further training"
        stages += f", then {then} on *{target}*"
    parameters = {key: value for key, value in job.items() if key != "outputs"}
    return ModelCard.from_template(
        data,
        template_str=TEMPLATE,
        name=name,
        run=" | ".join(map(str, (study, task, arm, seed, target or "–"))),
        base=hub or base,
        note=NOTES.get(base, "."),
        stages=stages,
        diverged=diverged,
        measured=_measured(target, metrics),
        rows=f"{len(np.load(prepared.folder / 'encoder' / 'kept_ids.npy')):,}",
        trained_on=_trained_on(prepared, task, arm, target),
        notebook="03_target" if target else "02_intermediate",
        command=shlex.quote(json.dumps(parameters, ensure_ascii=False)),
        before=", and the run of notebook 02 before it" if target and arm != "none" else "",
    )


def _results(target: str | None, task: str, metrics: Mapping[str, Any]) -> list[EvalResult]:
    """The Hub's model index: English development accuracy, and of a target the score in every
    language; percent.
    """
    name, scores = target or task, metrics.get("scores", {})
    values = [("en", "accuracy", "dev", metrics.get("dev_accuracy"))]
    values += [(language, "score", "test", score) for language, score in scores.items()]
    return [
        EvalResult(
            task_type="feature-extraction",
            dataset_type=name,
            dataset_name=f"{name} ({language})",
            dataset_config=language,
            dataset_split=split,
            metric_type=metric,
            metric_value=round(value, 2),
        )
        for language, metric, split, value in values
        if value is not None
    ]


def _measured(target: str | None, metrics: Mapping[str, Any]) -> str:
    rows = {name: metrics.get(name) for name in INTERMEDIATE}
    if target:
        rows = {"English development accuracy": metrics.get("dev_accuracy")}
        rows["zero-shot macro"] = metrics["macro"]
        rows |= {f"test, {language}": score for language, score in metrics["scores"].items()}
    lines = ["| accuracies and scores in % | |", "| --- | ---: |"]
    for name, value in rows.items():
        if value is not None:
            lines.append(f"| {name} | {f'{value:.2f}' if isinstance(value, float) else value} |")
    return "\n".join(lines)


def _trained_on(prepared: Prepared, task: str, arm: str, target: str | None) -> str:
    """The lines of the study's data card that concern the run, and the languages of its text."""
    tasks = prepared.parts(task) if arm != "none" else []
    data_card = pd.read_csv(prepared.folder / "data_card.csv", keep_default_na=False)
    wanted = {("intermediate", name) for name in tasks} | {("target", target)}
    lines = ["Labelled English text:", ""]
    lines += ["| task | role | source | licence |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.task} | {row.role} | {row.source} | {row.licence} |"
        for row in data_card.itertuples()
        if (row.role, row.task) in wanted
    ]
    if arm not in ("none", "standard"):
        languages = ", ".join(prepared.unlabelled_languages)
        lines += ["", f"The study's arms may see unlabelled text in: {languages}."]
    return "\n".join(lines)
