"""One job as a user of another library would write it, in a process and an environment of its own:
``python -m benchmarks.peer_jobs transformers|pytorch-adapt FOLDER``.

FOLDER holds the same task as ours has it (`benchmarks.peers.hand_over`): token ids of the labelled
and other texts, and the encoder. Nothing of xgrl is imported. Both train the same upper layers for
the same number of steps of the same batch size, padded to the maximum length, in random order, with
the full vocabulary, lower layers frozen by ``requires_grad``, and look at the development set as
often.

* transformers: `AutoModelForSequenceClassification` under `Trainer`, its defaults.
* pytorch-adapt: `DANNHook` with its own `GradientReversal` and `Discriminator`, English labelled
  texts the source, unlabelled ones of all languages the target domain; AdamW at our rates.

Each prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path

from benchmarks.running import Stopwatch, peak_mb

watch = Stopwatch()
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402


def padded(folder: Path, name: str, length: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (n, length), mask (n, length) and labels (n,) of a set of texts."""
    with np.load(folder / f"{name}.npz") as file:
        ids, offsets, labels = (file[key].astype(np.int64) for key in ("ids", "offsets", "labels"))
    rows = np.full((len(labels), length), pad)
    mask = np.zeros_like(rows)
    for i, (start, end) in enumerate(pairwise(offsets)):
        rows[i, : end - start], mask[i, : end - start] = ids[start:end], 1
    return torch.from_numpy(rows), torch.from_numpy(mask), torch.from_numpy(labels)


def freeze(model: nn.Module, trained: int) -> nn.Module:
    """All but the upper `trained` layers of a BertModel."""
    for part in (model.embeddings, *model.encoder.layer[:-trained]):
        part.requires_grad_(False)
    return model


def by_transformers(folder: Path, about: dict) -> float:
    """Train; real labelled tokens that were seen."""
    from transformers import (
        AutoModelForSequenceClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    names, sets = ("input_ids", "attention_mask", "labels"), {}
    for name in ("train", "dev"):
        columns = padded(folder, name, about["max_length"], about["pad"])
        sets[name] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    model = AutoModelForSequenceClassification.from_pretrained(about["encoder"], num_labels=2)
    freeze(model.base_model, about["trained_layers"])
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output, max_steps=about["steps"], per_device_train_batch_size=about["batch"],
            per_device_eval_batch_size=64, seed=0, learning_rate=about["learning_rate"],
            use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=sets["train"], eval_dataset=sets["dev"])

        def accuracy() -> float:
            found = trainer.predict(sets["dev"])
            model.train()
            return 100 * float((found.predictions.argmax(-1) == found.label_ids).mean())

        class Look(TrainerCallback):
            def on_step_end(self, args, state, control, **_):
                if state.global_step % about["every"] == 0:
                    watch.look(state.global_step, accuracy)

        trainer.add_callback(Look())
        watch.look(0, lambda: 0.0)
        trainer.train()
    lengths = [int(row["attention_mask"].sum()) for row in sets["train"]]
    return float(np.mean(lengths)) * about["steps"] * about["batch"]


class Features(nn.Module):
    """The encoder's mean pool of texts that come as one tensor (B, 2, L): ids and mask."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, texts: Tensor) -> Tensor:
        ids, mask = texts.unbind(1)
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


def by_pytorch_adapt(folder: Path, about: dict) -> float:
    """Train; real labelled tokens that were seen."""
    from pytorch_adapt.hooks import DANNHook
    from pytorch_adapt.models.discriminator import Discriminator
    from transformers import AutoModel

    torch.manual_seed(0)
    sets = {}
    for name in ("train", "dev", "unlabelled"):
        ids, mask, labels = padded(folder, name, about["max_length"], about["pad"])
        sets[name] = torch.stack([ids, mask], 1), labels
    encoder = freeze(AutoModel.from_pretrained(about["encoder"]), about["trained_layers"])
    width = encoder.config.hidden_size
    models = {"G": Features(encoder), "C": nn.Sequential(nn.Dropout(0.1), nn.Linear(width, 2))}
    models |= {"D": Discriminator(width, 256)}
    rates = {"G": "learning_rate", "C": "head_learning_rate", "D": "discriminator_learning_rate"}
    optimizers = [
        torch.optim.AdamW([w for w in models[k].parameters() if w.requires_grad], lr=about[rate])
        for k, rate in rates.items()
    ]
    hook = DANNHook(optimizers, gradient_reversal_weight=about["lambda_max"])
    batch, seen, draws = about["batch"], 0, torch.Generator().manual_seed(0)

    def accuracy() -> float:
        for model in models.values():
            model.eval()
        with torch.inference_mode():
            scores = [models["C"](models["G"](texts)) for texts in sets["dev"][0].split(64)]
        for model in models.values():
            model.train()
        return 100 * (torch.cat(scores).argmax(-1) == sets["dev"][1]).double().mean().item()

    def drawn(name: str) -> Tensor:
        return torch.randint(len(sets[name][1]), (batch,), generator=draws)

    watch.look(0, lambda: 0.0)
    for model in models.values():
        model.train()
    for step in range(1, about["steps"] + 1):
        rows, others = drawn("train"), drawn("unlabelled")
        data = {"src_imgs": sets["train"][0][rows], "src_labels": sets["train"][1][rows]}
        data |= {"target_imgs": sets["unlabelled"][0][others]}
        data |= {"src_domain": torch.zeros(batch), "target_domain": torch.ones(batch)}
        hook({**models, **data})
        seen += int(data["src_imgs"][:, 1].sum())
        if step % about["every"] == 0:
            watch.look(step, accuracy)
    return float(seen)


PEERS = {"transformers": by_transformers, "pytorch-adapt": by_pytorch_adapt}


def main(peer: str, folder: str) -> dict:
    """Command line."""
    about = json.loads((Path(folder) / "about.json").read_bytes())
    torch.set_num_threads(about["threads"])
    tokens = PEERS[peer](Path(folder), about)
    return {"tokens": tokens, "points": watch.points, "mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
