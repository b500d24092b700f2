"""Checkpoints inside a run: killed at any step it goes on, on a CPU with an undisturbed run's bits.

A checkpoint holds all that the next step depends on: the weights that are trained, an arm's running
means, the states of optimiser and schedule, the random states (torch's, Python's, numpy's and those
of an arm's own generators) and the curves so far. Batches are decided before the first step
(`xgrl.training.batches`): a step's number is its place in them. Each stage of a run has its own.

    <run>/.checkpoints/<stage>-<step>.safetensors     all of this, and what it belongs to
    <run>/.checkpoints/<stage>-<step>.sha256          written last

One that is damaged, or of other code, data or parameters, is said and not used. Those of
`transformers.Trainer` are pickles, hold what is frozen as well, are not written at once, and their
reader cannot skip batches that come ready-made.
"""

import hashlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

from xgrl.runs import records
from xgrl.runs.code import code_of
from xgrl.runs.differences import NO_RESULT
from xgrl.training.batches import JointBatches

KEPT = 2  # the last ones of a stage
SHARE = 0.03  # of the time, at most, goes into writing them
SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)  # each: write one, and end


class ToBeContinued(RuntimeError):
    """Training was asked to stop; shown in a notebook without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [str(self)]


def belonging(
    model: nn.Module, data: JointBatches, job: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """What a checkpoint belongs to: parameters, code, versions, and hashes of data and weights at
    the start; equal for two stages of training if they take the same steps.
    """
    texts = [data.arm_texts.corpus] if data.arm_texts else []
    arrays = [
        array
        for c in [*data.labelled.values(), *texts]
        for array in (c.tokens.ids, c.tokens.offsets, c.labels, c.targets, c.first)
    ]
    return {
        "parameters": {k: v for k, v in job.items() if k not in NO_RESULT} | {"dropout": seed},
        "code": code_of("target" if "target" in job else "intermediate"),
        "versions": {m.__name__: m.__version__ for m in (np, torch, transformers)},
        "data": _digest([*arrays, *data.rows, *data.arm_rows, np.array(data.tasks)]),
        "first weights": _digest([w.detach().cpu().numpy() for w in model.parameters()]),
    }


def _digest(arrays: Sequence[np.ndarray | None]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


class Checkpoints(TrainerCallback):
    """Writes the checkpoints of one stage, and goes on from the last one that is its own.

    folder: of the checkpoints. stage: its name. minutes: between two of them; more, where writing
    would take over 3 % of the time. belongs: what `belonging` returns. curves: the trainer's, to
    which those of a checkpoint are added. Afterwards `step` and `seconds` are where and when
    training goes on, 0 without a checkpoint, and `asked` is the signal that ended it, "" if none.
    """

    def __init__(
        self, folder: Path, stage: str, minutes: float, belongs: dict[str, Any], curves: list[dict]
    ):
        self.folder, self.stage, self.minutes, self.curves = folder, stage, minutes, curves
        self.belongs = json.loads(json.dumps(belongs))  # as it will be read
        self.started = self.saved = time.monotonic()
        self.cost, self.asked = 0.0, ""
        self.tensors, self.rest = self._last()
        self.step, self.seconds = self.rest.get("step", 0), self.rest.get("seconds", 0.0)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.stage}-*.safetensors"))

    def _last(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The last checkpoint that can be used; the others are said and removed."""
        refused = False
        for path in reversed(self._files()):
            step, mark = int(path.stem.rpartition("-")[2]), path.with_suffix(".sha256")
            if not mark.exists() or mark.read_bytes() != records.hash_file(path).encode():
                reason = "damaged or half written"
            else:
                with safe_open(path, "pt") as file:
                    rest = json.loads(file.metadata()["rest"])
                if not (reason := _other(rest["belongs"], self.belongs)):
                    print(f"goes on from the checkpoint of step {step}")
                    self.curves.extend(rest.pop("curves"))
                    # in memory of their own: the file will go
                    return {k: v.clone() for k, v in load_file(path).items()}, rest
            refused = True
            print(f"checkpoint of step {step} not used, it is {reason}: {path}")
            _remove(path)
        if refused:
            print("no checkpoint left to go on from: the run starts anew")
        return {}, {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, the signals ask for a checkpoint and an end after the step at hand."""

        def ask(number: int, _frame: Any) -> None:
            self.asked = signal.Signals(number).name

        here = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, ask) for number in SIGNALS if here}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_begin(self, args, state, control, model, optimizer, lr_scheduler, **_) -> None:
        if not self.step:
            return
        state.global_step = self.step
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.requires_grad:
                    weight.copy_(self.tensors[f"model/{name}"])
            for name, buffer in model.arm.named_buffers():
                buffer.copy_(self.tensors[f"arm/{name}"])
        saved, moments = optimizer.state_dict(), {}
        for name, tensor in self.tensors.items():
            kind, *key = name.split("/")
            if kind == "optimizer":
                moments.setdefault(int(key[0]), {})[key[1]] = tensor
        for group, rate in zip(saved["param_groups"], self.rest["rates"], strict=True):
            group["lr"] = rate
        optimizer.load_state_dict(saved | {"state": moments})
        lr_scheduler.load_state_dict(self.rest["schedule"])

    def on_step_begin(self, args, state, control, model, **_) -> None:
        if not self.tensors:
            return
        # not before: a loader that starts draws a number, which is drawn in the checkpoint
        for name, generator in _generators(model).items():
            generator.set_state(self.tensors[f"random/{name}"])
        torch.set_rng_state(self.tensors["random/torch"])
        if args.device.type == "cuda":
            torch.cuda.set_rng_state(self.tensors["random/cuda"])
        version, internal, gauss = self.rest["python"]
        random.setstate((version, tuple(internal), gauss))
        np.random.set_state(self.rest["numpy"])  # noqa: NPY002
        self.tensors = {}

    def on_step_end(self, args, state, control, **parts) -> None:
        waited = time.monotonic() - self.saved
        if self.asked or waited >= max(60 * self.minutes, self.cost / SHARE):
            self._write(state.global_step, args.device.type, **parts)
        control.should_training_stop |= bool(self.asked)

    def _write(self, step: int, device: str, model, optimizer, lr_scheduler, **_) -> None:
        started = time.monotonic()
        weights = {n: w.detach() for n, w in model.named_parameters() if w.requires_grad}
        tensors = {f"model/{name}": weight for name, weight in weights.items()}
        tensors |= {f"arm/{name}": buffer for name, buffer in model.arm.named_buffers()}
        for number, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": value for name, value in moments.items()}
        states = {name: generator.get_state() for name, generator in _generators(model).items()}
        states |= {"torch": torch.get_rng_state()}
        states |= {"cuda": torch.cuda.get_rng_state()} if device == "cuda" else {}
        tensors |= {f"random/{name}": state for name, state in states.items()}
        rest = {
            "belongs": self.belongs, "step": step, "curves": self.curves,
            "seconds": self.seconds + started - self.started, "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
            "rates": [group["lr"] for group in optimizer.param_groups],
            "schedule": lr_scheduler.state_dict(),
        }  # fmt: skip
        path = self.folder / f"{self.stage}-{step:08d}.safetensors"
        try:
            text = json.dumps(rest, default=np.ndarray.tolist)
            records.write(path, lambda p: save_file(tensors, p, metadata={"rest": text}))
            records.write_bytes(path.with_suffix(".sha256"), records.hash_file(path).encode())
        except Exception as error:  # a full disk, in whatever words: training loses nothing by it
            print(f"no checkpoint of step {step}, training goes on: {error}")
            _remove(path)
        else:
            for old in self._files()[:-KEPT]:
                _remove(old)
        self.saved = time.monotonic()
        self.cost = self.saved - started


def _generators(model: nn.Module) -> dict[str, torch.Generator]:
    """The generators that modules of a model have of their own."""
    return {
        f"{name}.{key}": value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, torch.Generator)
    }


def _other(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """In what a checkpoint belongs elsewhere, "" where it does not."""
    others = []
    for what, value in wanted.items():
        if (given := found.get(what)) != value:
            keys = sorted({*given, *value}) if isinstance(value, dict) else []
            differing = [key for key in keys if given.get(key) != value.get(key)]
            others.append(f"{what} ({', '.join(differing)})" if differing else what)
    return f"of other {', '.join(others)}" if others else ""


def _remove(path: Path) -> None:
    path.with_suffix(".sha256").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
