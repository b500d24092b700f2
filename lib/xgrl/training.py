"""Training: one joint forward pass for labelled and unlabelled text, the arm's loss, and nothing else of our own.

The loop, the schedule and the devices are `transformers.Trainer`'s. What is added to it:

* batches are made here, of similar lengths, from generators of their own (`generators`), so that both arms of a block see
  the same labelled batches in the same order;
* the unlabelled texts of a step are drawn near the length of its labelled ones and balanced over domains, so that neither
  length nor frequency tells the discriminator the language;
* gradients of the arm's modules are clipped apart from those of the encoder and head: the discriminator must not shrink
  the encoder's step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments

from xgrl.arms.base import Arm
from xgrl.models.heads import mean_pool
from xgrl.text import Corpus, batches, collate

STREAMS = ("head", "order", "dropout", "unlabelled", "arm")
CURVES = ("step", "task_loss", "domain_loss", "discriminator_accuracy", "lambda", "feature_norm")


def generators(master_seed: int, *stage: str, seed: int) -> dict[str, np.random.Generator]:
    """Independent random streams of one run, equal in all arms of a block and in no two blocks.

    Args:
        master_seed: the study's.
        stage: the intermediate task, and for the target stage the target too.
        seed: the block's seed.

    Returns:
        one generator each for head initialisation, labelled order, dropout, unlabelled batches, the arm's own weights.
    """
    key = [master_seed, *(crc32(name.encode()) for name in stage), seed]
    return {k: np.random.default_rng(s) for k, s in zip(STREAMS, np.random.SeedSequence(key).spawn(len(STREAMS)), strict=True)}


def torch_seed(generator: np.random.Generator) -> int:
    """A seed for torch drawn from a numpy generator."""
    return int(generator.integers(2**63 - 1))


def initialised(module: type[nn.Module], *args, generator: np.random.Generator, **kwargs) -> nn.Module:
    """A module whose initial weights come from `generator`; torch's global state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(generator))
        return module(*args, **kwargs)


def unlabelled_rows(
    lengths: np.ndarray,
    domains: np.ndarray,
    wanted: Iterator[float],
    batch_size: int,
    rng: np.random.Generator,
    window: int = 40,
) -> Iterator[np.ndarray]:
    """Rows of unlabelled text for each step: balanced over domains, near the length of the step's labelled texts.

    Args:
        lengths: (n,) tokens of each unlabelled text.
        domains: (n,) its domain as an integer 0..K-1.
        wanted: for each step the length to come near.
        batch_size: texts a step.
        rng: its own stream.
        window: the draw is among so many texts of the domain that are nearest in length.
    """
    pools = [np.flatnonzero(domains == d) for d in range(int(domains.max()) + 1)]
    pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    if min(map(len, pools)) == 0:
        raise ValueError("a domain has no unlabelled text")
    cycle = np.empty(0, dtype=int)
    for length in wanted:
        while len(cycle) < batch_size:
            cycle = np.concatenate([cycle, rng.permutation(len(pools))])
        chosen, cycle = cycle[:batch_size], cycle[batch_size:]
        rows = []
        for domain, count in zip(*np.unique(chosen, return_counts=True), strict=True):
            pool = pools[domain]
            size = min(len(pool), max(window, int(count)))
            first = int(np.clip(np.searchsorted(lengths[pool], length) - size // 2, 0, len(pool) - size))
            rows.append(rng.choice(pool[first : first + size], int(count), replace=bool(count > size)))
        yield np.concatenate(rows)


class JointBatches(Dataset):
    """All batches of a run, in order: labelled rows first, then unlabelled ones, padded together.

    Args:
        labelled: the task's training corpus.
        steps: number of optimiser steps.
        batch_size: labelled texts a step.
        order: generator of the labelled order.
        unlabelled: the discriminator's corpus, its labels being languages; None for arms that need none.
        domains: (n,) domain of each unlabelled text.
        unlabelled_batch_size: unlabelled texts a step.
        draw: generator of the unlabelled draws.
        pad_id: what fills up ``input_ids``.
    """

    def __init__(
        self,
        labelled: Corpus,
        steps: int,
        batch_size: int,
        order: np.random.Generator,
        unlabelled: Corpus | None = None,
        domains: np.ndarray | None = None,
        unlabelled_batch_size: int = 0,
        draw: np.random.Generator | None = None,
        pad_id: int = 0,
    ):
        self.labelled, self.unlabelled, self.domains, self.pad_id = labelled, unlabelled, domains, pad_id
        self.rows = list(batches(labelled.tokens.lengths, batch_size, steps, order))
        self.drawn: list[np.ndarray] = []
        if unlabelled is not None:
            wanted = (labelled.tokens.lengths[rows].mean() for rows in self.rows)
            self.drawn = list(unlabelled_rows(unlabelled.tokens.lengths, domains, wanted, unlabelled_batch_size, draw))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        parts = [(self.labelled, self.rows[step])]
        if self.unlabelled is None:
            domains = torch.empty(0, dtype=torch.long)
        else:
            parts.append((self.unlabelled, self.drawn[step]))
            domains = torch.from_numpy(self.domains[self.drawn[step]].astype(np.int64))
        labels = torch.from_numpy(self.labelled.labels[self.rows[step]])
        return collate(parts, self.pad_id) | {"labels": labels, "domains": domains}

    def seen(self) -> dict[str, int]:
        """What a run sees: labelled examples and tokens, unlabelled tokens (padding not counted)."""
        labelled = sum(int(self.labelled.tokens.lengths[r].sum()) for r in self.rows)
        unlabelled = sum(int(self.unlabelled.tokens.lengths[r].sum()) for r in self.drawn)
        examples = sum(map(len, self.rows))
        return {"labelled_examples": examples, "labelled_tokens": labelled, "unlabelled_tokens": unlabelled}


class TaskModel(nn.Module):
    """Encoder, head and arm together, as the trainer sees them.

    Args:
        encoder: the trainable part; called with ``inputs_embeds`` (B, T, H) or ``input_ids`` (B, T) and ``attention_mask``.
        head: features (B, H) -> logits.
        arm: adds a term to the loss; `Standard` at the target stage.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, arm: Arm):
        super().__init__()
        self.encoder, self.head, self.arm = encoder, head, arm

    def features(self, **inputs: Tensor) -> Tensor:
        """Pooled features (B, H) of a padded batch."""
        return mean_pool(self.encoder(**inputs).last_hidden_state, inputs["attention_mask"])

    def forward(self, labels: Tensor, domains: Tensor, progress: float, **inputs: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss and the step's curves."""
        features = self.features(**inputs)
        labelled, unlabelled = features[: len(labels)], features[len(labels) :]
        task_loss = nn.functional.cross_entropy(self.head(labelled), labels)
        term, curves = self.arm(unlabelled, domains, progress)
        norm = labelled.detach().norm(dim=-1).mean().item()
        return task_loss + term, {"task_loss": task_loss.item(), "feature_norm": norm} | curves


class Diverged(RuntimeError):
    """The loss stopped being finite."""


class JointTrainer(Trainer):
    """`transformers.Trainer` on ready-made batches; keeps the curves, stops when the loss is not finite."""

    def __init__(self, *args, clip: float, learning_rates: dict[str, float], **kwargs):
        super().__init__(*args, **kwargs)
        self.clip, self.learning_rates, self.curves = clip, learning_rates, []

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        groups = [
            {"params": list(getattr(self.model, name).parameters()), "lr": lr} for name, lr in self.learning_rates.items()
        ]
        groups = [group for group in groups if group["params"]]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.args.weight_decay, eps=1e-8, fused=True)
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_) -> Tensor:
        step = self.state.global_step
        loss, curves = model(progress=step / self.state.max_steps, **inputs)
        self.curves.append({"step": step} | curves)
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {loss.item()} at step {step}")
        return loss

    def training_step(self, *args, **kwargs) -> Tensor:
        loss = super().training_step(*args, **kwargs)
        for part in ((self.model.encoder, self.model.head), (self.model.arm,)):
            nn.utils.clip_grad_norm_([p for module in part for p in module.parameters()], self.clip)
        return loss


@dataclass(frozen=True)
class Fit:
    """What training left: the curves (one row a step, columns `CURVES`) and why it stopped early, if it did."""

    curves: pd.DataFrame
    diverged: str | None


def fit(
    model: TaskModel,
    data: JointBatches,
    *,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
    warmup: float,
    max_grad_norm: float,
    dropout: np.random.Generator,
    discriminator_learning_rate: float = 1e-3,
    device: str = "cpu",
) -> Fit:
    """Train `model` in place on all batches of `data`: fused AdamW, linear warm-up and decay.

    Args:
        model: see `TaskModel`.
        data: one item a step.
        learning_rate, head_learning_rate, discriminator_learning_rate: peak rates of encoder, head, and the arm's modules.
        weight_decay: of AdamW, on all parameters.
        warmup: share of the steps with rising rate.
        max_grad_norm: clipping of encoder and head together, and of the arm's modules.
        dropout: generator that seeds torch for the whole run.
        device: "cpu" or "cuda".
    """
    rates = {"encoder": learning_rate, "head": head_learning_rate, "arm": discriminator_learning_rate}
    with tempfile.TemporaryDirectory() as folder:
        seed = torch_seed(dropout) % 2**32
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=len(data),
            weight_decay=weight_decay,
            warmup_steps=round(warmup * len(data)),
            lr_scheduler_type="linear",
            max_grad_norm=0.0,
            seed=seed,
            use_cpu=device == "cpu",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=device != "cpu",
        )
        trainer = JointTrainer(model=model, args=arguments, train_dataset=data, clip=max_grad_norm, learning_rates=rates)
        trainer.remove_callback(PrinterCallback)
        torch.manual_seed(seed)
        diverged = None
        try:
            trainer.train()
        except Diverged as error:
            diverged = str(error)
    model.eval()
    return Fit(pd.DataFrame(trainer.curves).reindex(columns=CURVES), diverged)


def diagnose(curves: pd.DataFrame, chance: float, unlabelled_batch_size: int) -> tuple[dict[str, float | None], list[str]]:
    """What the curves say at the end of training, and what a reader must be warned of.

    Args:
        curves: of `fit`.
        chance: accuracy of guessing the domain, in percent.
        unlabelled_batch_size: texts behind each step's discriminator accuracy.

    Returns:
        ``discriminator_accuracy`` over the last fifth of the steps (None without a discriminator), its chance level, the
        first and last feature norm; and warnings: a discriminator significantly below chance was out-run by the encoder
        rather than confused (one-sided exact binomial test at .01), a feature norm that fell below half has collapsed.
    """
    last = curves.tail(max(1, len(curves) // 5))
    accuracy = last["discriminator_accuracy"].mean()
    first_norm, last_norm = (float(curves["feature_norm"].iloc[i]) for i in (0, -1))
    warnings = []
    if np.isfinite(accuracy):
        texts = len(last) * unlabelled_batch_size
        right = round(accuracy / 100 * texts)
        if binomtest(right, texts, chance / 100, alternative="less").pvalue < 0.01:
            warnings.append(
                f"discriminator accuracy {accuracy:.1f} % lies below chance ({chance:.1f} %): the encoder out-ran it, "
                "which is not the same as hiding the language"
            )
    if last_norm < first_norm / 2:
        warnings.append(f"feature norm fell from {first_norm:.2f} to {last_norm:.2f}: the features may have collapsed")
    return {
        "discriminator_accuracy": float(accuracy) if np.isfinite(accuracy) else None,
        "discriminator_chance": chance,
        "feature_norm_first": first_norm,
        "feature_norm_last": last_norm,
    }, warnings
