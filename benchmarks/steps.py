"""Steps of training in a process of its own, one thread: ``python -m benchmarks.steps
peak|layers|profile|vocabulary|train|predict``.

* ``peak``: what the processor multiplies at best, FLOP/s of float32 matrices of 2048 x 2048.
* ``layers STEPS BATCH``: all 12 layers and the (trimmed) word vectors trained as in any study, in
  useful FLOP/s. A real token of a text of L tokens counts 3 n (2 (4 d² + 2 d f) + 4 L d)
  operations, padding none; n layers, width d, inner width f. The batches are the first of a run of
  100. ``cpu`` is the same by the process's own time, ``peak`` the sgemm peak by it, measured before
  and after: their ratio also holds where others use the cores.
* ``profile STEPS BATCH [torch]``: shares of such steps by kind of operation, in percent; "torch":
  with torch's own dropout.
* ``vocabulary full|trimmed STEPS``: seconds a step and peak memory where word vectors are trained.
* ``train|predict ROWS``: seconds for so many examples seen once, on the stored output of the frozen
  layers, and the memory that comes on top of the loaded model.

Each prints one line of JSON. The prepared folder of params/bench.yaml holds the data.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from benchmarks.jobs import BATCH, RECIPE, STUDY
from benchmarks.running import meet
from xgrl.arms.base import Standard
from xgrl.evaluation.readout import dev_accuracy
from xgrl.models import task_model
from xgrl.models.encoder import load_encoder
from xgrl.models.task_model import TaskModel
from xgrl.models.tokens import Tokens
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs.records import peak_memory_mb
from xgrl.training import batches, trainer

# 17 and 24 tokens a text in study bench
SHORT, LONGER = "intermediate/sarcasm", "target/sentiment"


def peak(seconds: float = 4.0, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """FLOP/s of the median product."""
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    out, taken = torch.empty(2048, 2048), []
    torch.mm(a, b, out=out)
    meet()
    end = clock() + seconds
    while clock() < end:
        before = clock()
        torch.mm(a, b, out=out)
        taken.append(clock() - before)
    return {"flops": 2 * 2048**3 / float(np.median(taken))}


def operations(lengths: np.ndarray, layers: int, width: int, inner: int) -> float:
    """Operations, forward and backward, for the real tokens of texts of these lengths."""
    return float(
        (
            3 * layers * lengths * (2 * (4 * width**2 + 2 * width * inner) + 4 * lengths * width)
        ).sum()
    )


def setting(
    prepared: Prepared, encoder: nn.Module, trained: nn.Module, task: str = SHORT
) -> tuple[TaskModel, dict]:
    """A model over `trained` for a task "role/name", without an arm, and its random streams."""
    streams, width = trainer.generators(2005, task, seed=0), encoder.config.hidden_size
    head = trainer.new_head(width, {"": prepared.head(*task.split("/")[::-1])}, streams["head"])
    return TaskModel(trained, head, Standard()), streams


def fitted(
    model: TaskModel, corpus: Corpus, steps: int, batch: int, streams: dict, pad: int
) -> tuple[float, dict]:
    """Seconds of so many steps of a run of at least 100, after two that do not count; what was
    seen.
    """
    warm = batches.JointBatches(corpus, 2, batch, np.random.default_rng(0), pad_id=pad)
    trainer.fit(model, warm, RECIPE, np.random.default_rng(0))
    data = batches.JointBatches(corpus, max(steps, 100), batch, streams["order"], pad_id=pad)
    del data.rows[steps:], data.tasks[steps:]
    meet()
    before = time.process_time()
    seconds = trainer.fit(model, data, RECIPE, streams["dropout"]).seconds
    lengths = np.concatenate([corpus.lengths[rows] for rows in data.rows])
    return seconds, data.seen() | {"lengths": lengths, "cpu": time.process_time() - before}


def layers(steps: int, batch: int) -> dict[str, float]:
    """Useful FLOP/s, real tokens/s and padding where the whole encoder is trained."""
    prepared = Prepared.of("outputs", STUDY).uncached()
    encoder = prepared.encoder()
    model, streams = setting(prepared, encoder, encoder, LONGER)
    corpus, c = prepared.corpus(f"{LONGER}/train"), encoder.config
    best = [peak(1.0, time.process_time)["flops"]]
    seconds, seen = fitted(model, corpus, steps, batch, streams, c.pad_token_id)
    best.append(peak(1.0, time.process_time)["flops"])
    done = operations(seen["lengths"], c.num_hidden_layers, c.hidden_size, c.intermediate_size)
    tokens = seen["labelled_tokens"]
    found = {
        "flops": done / seconds,
        "cpu": done / seen["cpu"],
        "peak": sum(best) / 2,
        "tokens": tokens / seconds,
        "padding": seen["padded_tokens"] / tokens,
    }
    return found | {"length": float(seen["lengths"].mean())}


def profiled(steps: int, batch: int, dropout: str = "") -> dict[str, float]:
    """Percent of the steps' time by operation, those above half a percent; the two steps before
    are in it.
    """
    prepared = Prepared.of("outputs", STUDY).uncached()
    encoder = prepared.encoder()
    model, streams = setting(prepared, encoder, encoder, LONGER)
    corpus, pad = prepared.corpus(f"{LONGER}/train"), encoder.config.pad_token_id
    if dropout:
        task_model.CheapDropout = nullcontext
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        fitted(model, corpus, steps, batch, streams, pad)
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    shares = {name: round(100 * took / sum(times.values()), 1) for name, took in times.items()}
    return dict(sorted(((k, v) for k, v in shares.items() if v > 0.5), key=lambda pair: -pair[1]))


def vocabulary(kind: str, steps: int) -> dict[str, float]:
    """Seconds a step and peak memory, the whole encoder trained; "full": with all of its word
    vectors.
    """
    prepared = Prepared.of("outputs", STUDY).uncached()
    corpus = prepared.corpus(f"{SHORT}/train")
    encoder, pad = prepared.encoder(), prepared.encoder().config.pad_token_id
    if kind == "full":
        kept = np.load(prepared.folder / "encoder" / "kept_ids.npy")
        encoder = load_encoder("embedded")[0]
        corpus, pad = (
            replace(corpus, tokens=Tokens(kept[corpus.tokens.ids], corpus.tokens.offsets)),
            int(kept[pad]),
        )
    model, streams = setting(prepared, encoder, encoder)
    seconds, _ = fitted(model, corpus, steps, BATCH, streams, pad)
    rows = encoder.get_input_embeddings().weight.shape[0]
    return {"step_seconds": seconds / steps, "peak_mb": peak_memory_mb(), "rows": rows}


def first_rows(corpus: Corpus, rows: int) -> Corpus:
    """The corpus's first examples, over and over where it has fewer."""
    index = np.resize(np.arange(len(corpus.tokens)), rows)
    spans = np.concatenate(
        [np.arange(corpus.tokens.offsets[i], corpus.tokens.offsets[i + 1]) for i in index]
    )
    offsets = np.concatenate([[0], np.cumsum(corpus.tokens.lengths[index])])
    found = replace(corpus, ids=[str(i) for i in range(rows)], labels=corpus.labels[index])
    return replace(
        found, tokens=Tokens(corpus.tokens.ids[spans], offsets), hidden=corpus.hidden[spans]
    )


def examples(kind: str, rows: int) -> dict[str, float]:
    """Seconds and megabytes for so many examples, trained on or predicted once."""
    prepared = Prepared.of("outputs", STUDY)
    encoder = prepared.encoder()
    model, streams = setting(prepared, encoder, prepared.trainable(encoder))
    corpus, pad = prepared.corpus(f"{SHORT}/train"), encoder.config.pad_token_id
    fitted(model, first_rows(corpus, 256), 2, BATCH, trainer.generators(1, SHORT, seed=0), pad)
    dev_accuracy(model, first_rows(corpus, 256))
    corpus, loaded = first_rows(corpus, rows), peak_memory_mb()
    before = time.perf_counter()
    if kind == "train":
        data = batches.JointBatches(corpus, rows // BATCH, BATCH, streams["order"], pad_id=pad)
        trainer.fit(model, data, RECIPE, streams["dropout"])
    else:
        dev_accuracy(model, corpus)
    return {"seconds": time.perf_counter() - before, "mb": peak_memory_mb() - loaded}


def main(command: str, *options: str) -> dict[str, float]:
    """Command line."""
    torch.set_num_threads(1)
    if command in ("train", "predict"):
        return examples(command, int(options[0]))
    if command == "profile":
        return profiled(int(options[0]), int(options[1]), *options[2:])
    if command == "vocabulary":
        return vocabulary(options[0], int(options[1]))
    return peak() if command == "peak" else layers(*map(int, options))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
