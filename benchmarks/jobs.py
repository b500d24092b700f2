"""One timed job in a process of its own, one line of JSON: ``python -m benchmarks.jobs
ours|uncached ARM``, or ``trainer``.

`ours` is a 02_intermediate job without the notebook around it: prepared tokens, trimmed vocabulary,
cached frozen layers, length buckets, fused AdamW, one thread. `uncached` runs the frozen layers at
every step instead. `trainer` is what a user would write instead, after the Transformers example
scripts: `AutoModelForSequenceClassification` under a plain `Trainer`, padded to the maximum length,
random order, full vocabulary, its default optimiser, two threads, lower layers frozen by
`requires_grad`. All train the same layers of the same encoder for the same number of steps of the
same batch size on the same texts, and end with the development set.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

STARTED = time.perf_counter()

STEPS, BATCH, STUDY, TASK = 120, 16, "bench", "sarcasm"
RECIPE = {
    "learning_rate": 5e-4,
    "head_learning_rate": 5e-3,
    "discriminator_learning_rate": 5e-3,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "max_grad_norm": 1.0,
}


def ours(arm: str, cached: bool) -> dict[str, float]:
    """Seconds, real labelled tokens and development accuracy of one job of the study."""
    import torch

    from xgrl.evaluation.readout import dev_accuracy
    from xgrl.prepare.folder import Prepared
    from xgrl.training.build import build_intermediate, labelled_corpora
    from xgrl.training.trainer import fit

    torch.set_num_threads(1)
    prepared = Prepared.of("outputs", STUDY)
    prepared = prepared if cached else prepared.uncached()
    job = job_of(TASK, arm)
    run, dev = build_intermediate(job, prepared), labelled_corpora(prepared, TASK, "dev")[TASK]
    data = run.stages["train"]
    before = time.perf_counter()
    fit(run.model, data, job, run.streams["dropout"])
    seconds = time.perf_counter() - before
    right, count, _ = dev_accuracy(run.model, dev, TASK)
    return {
        "train_seconds": seconds,
        "tokens": data.seen()["labelled_tokens"],
        "dev_accuracy": 100 * right / count,
    }


def job_of(task: str, arm: str) -> dict:
    """The complete parameters of a job of 02 as it is timed here."""
    from xgrl.runs import params

    values = {"study": STUDY, "intermediate": task, "arm": arm, "seed": 0, "steps": STEPS}
    values |= {"batch_size": BATCH, "unlabelled_batch_size": BATCH, "lambda_max": 0.05}
    return params.validate("02_intermediate", values | RECIPE)


def trainer() -> dict[str, float]:
    """The same for a plain Hugging Face Trainer configuration."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
    )

    from xgrl import load_task
    from xgrl.models.encoder import embedded_folder
    from xgrl.prepare.folder import Prepared

    torch.set_num_threads(2)
    prepared = Prepared.of("outputs", STUDY)
    parameters = prepared.record["parameters"]
    folder, length = embedded_folder(), parameters["max_length"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sets = {}
    for split in ("train", "dev"):
        rows = load_task(TASK, "en", split)
        wanted = set(prepared.corpus(f"intermediate/{TASK}/{split}").ids)
        rows = rows.select([i for i, name in enumerate(rows["id"]) if name in wanted])
        if len(rows) != len(wanted):
            raise SystemExit(
                f"{split}: {len(rows)} of the {len(wanted)} prepared rows are in the task; not "
                f"the same data"
            )
        sets[split] = rows.map(
            lambda r: tokenizer(
                r["text"], padding="max_length", truncation=True, max_length=length
            ),
            batched=True,
        )
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    frozen = model.config.num_hidden_layers - parameters["trained_layers"]
    for part in (model.bert.embeddings, *model.bert.encoder.layer[:frozen]):
        part.requires_grad_(False)
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            max_steps=STEPS,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            seed=0,
            learning_rate=5e-4,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        run = Trainer(model, arguments, train_dataset=sets["train"], eval_dataset=sets["dev"])
        before = time.perf_counter()
        run.train()
        seconds = time.perf_counter() - before
        predictions = run.predict(sets["dev"]).predictions.argmax(-1)
    real = np.mean([sum(mask) for mask in sets["train"]["attention_mask"]]) * STEPS * BATCH
    accuracy = float((predictions == np.array(sets["dev"]["label"])).mean())
    return {"train_seconds": seconds, "tokens": real, "dev_accuracy": 100 * accuracy}


if __name__ == "__main__":
    result = (
        trainer() if sys.argv[1] == "trainer" else ours(sys.argv[2], cached=sys.argv[1] == "ours")
    )
    print(json.dumps(result | {"wall_seconds": time.perf_counter() - STARTED}))
