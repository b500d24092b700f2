"""Training: one joint forward pass for labelled and unlabelled text, the arm's loss, and nothing
else of our own.

The loop, the schedule and the devices are `transformers.Trainer`'s. What is added to it:

* batches come ready-made (`xgrl.training.batches`), the same in all arms of a block, from
  generators of their own (`generators`);
* gradients of the arm's modules are clipped apart from those of the encoder and head: the
  discriminator must not shrink the encoder's step;
* at a few steps the gradients of task and arm are compared (`xgrl.training.diagnostics`);
* a batch too large for the memory goes through the encoder in parts (`TaskModel.states`), its loss
  is still that of the whole; if a GPU's memory does not hold it, once in halves;
* a long run writes checkpoints of its own and goes on from them (`xgrl.training.checkpoints`).
"""

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments

from xgrl.models.heads import HEADS
from xgrl.models.task_model import TaskModel, mixed_precision
from xgrl.runs import params, records
from xgrl.training.batches import JointBatches
from xgrl.training.checkpoints import Checkpoints, ToBeContinued, belonging
from xgrl.training.diagnostics import GRADIENTS, gradients

STREAMS = ("head", "order", "dropout", "unlabelled", "arm", "labels")
CURVES = (
    "step", "task_loss", "arm_loss", "domain_loss", "discriminator_accuracy", "lambda",
    "feature_norm", *GRADIENTS,
)  # fmt: skip
MEASURED = 8  # steps of a run at which the gradients of both losses are compared
SHOWN = 500  # times that a run's curves are shown while it runs, where a study wants that


def generators(master_seed: int, *stage: str, seed: int) -> dict[str, np.random.Generator]:
    """Independent random streams of one run, equal in all arms of a block and in no two blocks: for
    head initialisation, labelled order, dropout, unlabelled batches, the arm's own weights, labels
    of unlabelled text that are drawn.

    master_seed: the study's; stage: the intermediate task, and for the target stage the target too;
    seed: the block's.
    """
    key = [master_seed, *(crc32(name.encode()) for name in stage), seed]
    seeds = np.random.SeedSequence(key).spawn(len(STREAMS))
    return {name: np.random.default_rng(s) for name, s in zip(STREAMS, seeds, strict=True)}


def initialised(module: Callable, *args, generator: np.random.Generator, **kwargs) -> Any:
    """What `module` makes, with initial weights from `generator`; torch's state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63 - 1)))
        return module(*args, **kwargs)


def new_head(
    features: int, heads: Mapping[str, tuple[str, int]], generator: np.random.Generator
) -> nn.Module:
    """A fresh head on features of a size, or for a mixture a `ModuleDict` of them.

    heads: format and number of classes or tags by the head's name, "" for that of a single task;
    generator: of the initial weights.
    """
    made = {
        name: initialised(HEADS[kind], features, outputs, generator=generator)
        for name, (kind, outputs) in heads.items()
    }
    return made[""] if "" in made else nn.ModuleDict(made)


class Diverged(RuntimeError):
    """The loss stopped being finite."""


class JointTrainer(Trainer):
    """`transformers.Trainer` on ready-made batches from `start` on; keeps curves, stops at infinite
    loss, and tries a step that finds no memory once more, in parts of half the size.
    """

    start, memory = 0, ""

    def __init__(self, *args, clip: float, learning_rates: dict[str, float], **kwargs):
        super().__init__(*args, **kwargs)
        self.clip, self.learning_rates, self.curves = clip, learning_rates, []
        self.weights, steps = self.model.groups(), self.args.max_steps
        measured = np.linspace(0, steps, MEASURED, endpoint=False, dtype=int) + steps // 16
        self.measured = set(measured)

    def get_train_dataloader(self) -> DataLoader:
        rest = range(self.start, len(self.train_dataset))
        return DataLoader(self.train_dataset, batch_size=None, sampler=rest)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        groups = []
        for name, rate in self.learning_rates.items():
            for dims, decay in ((range(2), 0.0), (range(2, 9), self.args.weight_decay)):
                # vectors are biases and weights of normalisation
                if own := [weight for weight in self.weights[name] if weight.ndim in dims]:
                    groups.append({"params": own, "lr": rate, "weight_decay": decay, "name": name})
        self.optimizer = torch.optim.AdamW(groups, eps=1e-8, fused=True)
        self.adamw, self.model.arm.descend = self.optimizer, self.descend
        return self.optimizer

    def descend(self, loss: Tensor) -> None:
        """A step of the arm's modules alone, with their own moments and the rate of this step. It
        comes between forward and backward pass, where no other weight has a gradient.
        """
        loss.backward()
        self.clipped(self.weights["arm"])
        self.adamw.step()
        for weight in self.weights["arm"]:
            weight.grad = None

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_
    ) -> Tensor:
        step, seen = self.state.global_step, []
        for weight in self.model.arm.renew(step):
            self.adamw.state.pop(weight, None)
        watching = self.model.arm.register_forward_pre_hook(lambda _, given: seen.extend(given))
        with mixed_precision(self.args.device), watching:
            task_loss, term, curves = model(progress=step / self.state.max_steps, **inputs)
        loss = task_loss + term
        if isinstance(term, Tensor) and step in self.measured:
            curves |= gradients(task_loss, term, self.weights["encoder"], seen[0].read[0])
        self.curves.append({"step": step} | curves)
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {loss.item()} at step {step}")
        return loss

    def training_step(self, model: nn.Module, inputs: dict[str, Tensor], *args) -> Tensor:
        loss, step = None, self.state.global_step
        while loss is None:  # again only after the error, which holds the activations, is gone
            try:
                loss = super().training_step(model, inputs, *args)
            except torch.OutOfMemoryError as error:
                self._halve(len(inputs["attention_mask"]), error)
                del self.curves[step:]
                model.zero_grad()
        for weights in (self.weights["encoder"] + self.weights["head"], self.weights["arm"]):
            self.clipped(weights)
        return loss

    def _halve(self, whole: int, error: torch.OutOfMemoryError) -> None:
        """Take the parts of a batch of so many sequences half as large; `error` the second time."""
        step, size = self.state.global_step, min(self.model.micro_batch_size or whole, whole)
        if self.memory or size < 2:
            tried = self.memory or "no less is possible"
            said = f"step {step} with micro_batch_size={size} ({tried}): {error}"
            raise torch.OutOfMemoryError(said) from None
        self.model.micro_batch_size = half = -(-size // 2)
        parts = f"micro_batch_size {half} instead of {size} from there on"
        self.memory = f"out of memory at step {step}: {parts}"
        print(self.memory)

    def clipped(self, weights: list[nn.Parameter]) -> None:
        """Clip the gradient of some weights, together."""
        norm = nn.utils.clip_grad_norm_(weights, self.clip)
        # before the optimiser's step, so that the weights stay numbers
        if not torch.isfinite(norm):
            step = self.state.global_step
            raise Diverged(f"the gradient's norm is {norm.item()} at step {step}")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Show also what the last step's curves say, all rates, steps a second, time left."""
        done = self.state.global_step - self.start
        if start_time and done:
            groups = self.optimizer.param_groups
            logs |= {f"learning_rate_{group['name']}": group["lr"] for group in groups}
            logs |= {k: v for k, v in self.curves[-1].items() if k != "step" and math.isfinite(v)}
            speed = done / (time.time() - start_time)
            logs["steps_per_second"] = speed
            logs["minutes_left"] = (self.state.max_steps - self.state.global_step) / speed / 60
        super().log(logs, start_time)


@dataclass(frozen=True)
class Fit:
    """Curves (one row a step, columns `CURVES`), why training stopped early, its seconds, and what
    was made smaller for want of memory ("" for nothing).
    """

    curves: pd.DataFrame
    diverged: str | None
    seconds: float
    memory: str = ""


def fit(
    model: TaskModel, data: JointBatches, job: Mapping[str, Any], dropout: np.random.Generator
) -> Fit:
    """Train `model` in place on all batches of `data`: fused AdamW, linear warm-up and decay.

    `dropout` seeds torch for the whole run. Of the parameters of 02 or 03 these count:
    ``learning_rate``, ``head_learning_rate``, ``discriminator_learning_rate`` (peak rates of
    encoder, head, and the arm's modules), ``weight_decay`` (of AdamW, on matrices only: none on
    biases and on what layer normalisation learns), ``warmup`` (share of the steps with rising
    rate), ``max_grad_norm`` (clipping of encoder and head together, and of the arm's modules),
    ``device`` ("cpu", the default, or "cuda", there with bfloat16 where that loses nothing) and
    ``micro_batch_size`` (see `TaskModel.states`; 0, the default, for all; halved once where the
    memory of a GPU is too small). Where it is the job of a run (``outputs``), also
    ``checkpoint_minutes`` and ``report_to``. Raises `ToBeContinued` after a signal that asked for a
    checkpoint and an end.
    """
    device = job.get("device", "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda': torch sees no GPU here; allowed: cpu")
    model.micro_batch_size = job.get("micro_batch_size", 0)
    rates = {"encoder": job["learning_rate"], "head": job["head_learning_rate"]}
    rates["arm"] = job.get("discriminator_learning_rate", 0.0)
    stage = getattr(data, "items", data).stage  # also of batches that are watched
    reports = _shown(job, stage)
    with tempfile.TemporaryDirectory() as folder:
        seed = int(dropout.integers(2**63 - 1)) % 2**32
        arguments = TrainingArguments(  # `JointTrainer` clips
            output_dir=folder, max_steps=len(data), weight_decay=job["weight_decay"], seed=seed,
            warmup_steps=round(job["warmup"] * len(data)), lr_scheduler_type="linear",
            max_grad_norm=0.0, use_cpu=device == "cpu", dataloader_pin_memory=device != "cpu",
            save_strategy="no", disable_tqdm=True, remove_unused_columns=False, **reports,
        )  # fmt: skip
        limits = {"clip": job["max_grad_norm"], "learning_rates": rates}
        trainer = JointTrainer(model=model, args=arguments, train_dataset=data, **limits)
        trainer.remove_callback(PrinterCallback)
        # one GPU a job: a batch is one, not to be split over several
        trainer.args._n_gpu = min(1, trainer.args.n_gpu)
        torch.manual_seed(seed)
        diverged, earlier, started = None, 0.0, time.perf_counter()
        minutes, kept = job.get("checkpoint_minutes", params.MINUTES), None
        if minutes and "outputs" in job:
            belongs = belonging(model, getattr(data, "items", data), job, seed)
            folder = _folder(job) / records.CHECKPOINTS
            kept = Checkpoints(folder, stage, minutes, belongs, trainer.curves)
            trainer.start, earlier = kept.step, kept.seconds
            trainer.add_callback(kept)
        try:
            with kept.listening() if kept else nullcontext():
                trainer.train()
        except Diverged as error:
            diverged = str(error)
    model.eval()
    vars(model.arm).pop("descend", None)
    if kept and kept.asked and not diverged:
        after = f"{kept.asked} came, training ended after step {len(trainer.curves)} of {len(data)}"
        raise ToBeContinued(f"to be continued: {after}; run it again to go on from there")
    seconds = earlier + time.perf_counter() - started
    curves = pd.DataFrame(trainer.curves).reindex(columns=CURVES)
    return Fit(curves, diverged, seconds, trainer.memory)


def _folder(job: Mapping[str, Any]) -> Path:
    """The folder of the run that a job of 02 or 03 is."""
    keys = {key: job[key] for key in ("intermediate", "arm", "seed", "target") if key in job}
    phase = "target" if "target" in job else "intermediate"
    return records.run_folder(job["outputs"], job["study"], phase, **keys)


def _shown(job: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Arguments that have a stage's curves shown where the study wants them, in
    ``outputs/<study>/tensorboard`` or by the run's name.
    """
    if not job.get("report_to"):
        return {"report_to": "none", "logging_strategy": "no"}
    root = Path(job["outputs"], job["study"])
    name = (_folder(job) / stage).relative_to(root)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(root / "tensorboard" / name)
    for project in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.setdefault(project, job["study"])
    every = max(1, job["steps"] // SHOWN)
    about = {"run_name": str(name), "logging_steps": every, "logging_first_step": True}
    return about | {"report_to": job["report_to"], "logging_strategy": "steps"}
