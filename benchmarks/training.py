"""Our training beside what a user would pick instead, and beside what the processor can do."""

from __future__ import annotations

import statistics

from benchmarks.jobs import BATCH, STEPS
from benchmarks.running import median, spread, timed, together
from benchmarks.table import GOALS, entry

SIDES = {
    "ours": (1, "ours", "standard"),
    "trainer": (2, "trainer"),
    "dann": (1, "ours", "dann"),
    "uncached": (1, "uncached", "standard"),
}


JOINT = (
    "operations, counted: 2.14 times standard's (`flops` in run.json), so that fewer unlabelled "
    "texts alone would lower it"
)
LIMIT = (
    "what limits it (python -m benchmarks.steps profile 12 32): the small products of attention, "
    "which run far below the peak, and passes over activations and word vectors (copies, zeroing, "
    "AdamW, GELU)"
)


def jobs(rounds: int) -> dict[str, dict]:
    """A standard-arm job, the Trainer's and one with the adversary, in turn; once, one without
    stored frozen layers.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for turn in range(rounds):
        for name, (threads, *arguments) in SIDES.items():
            if name == "uncached" and turn:
                continue
            found[name].append(timed(threads, "-m", "benchmarks.jobs", *arguments))
    ours, trainer = found["ours"], found["trainer"]

    def rates(runs: list[dict[str, float]], key: str) -> list[float]:
        return [run["tokens"] / run[key] for run in runs]

    def ratio(key: str) -> float:
        return statistics.median(rates(ours, key)) / statistics.median(rates(trainer, key))

    accuracy = (
        f"dev accuracy {median(ours, 'dev_accuracy'):.1f} % against "
        f"{median(trainer, 'dev_accuracy'):.1f} %"
    )
    alone = [
        median(runs, "process_seconds") - median(runs, "train_seconds") for runs in (ours, trainer)
    ]
    walls = (
        f"{median(ours, 'process_seconds'):.1f} s against "
        f"{median(trainer, 'process_seconds'):.1f} s"
    )
    loops = (
        f"{median(ours, 'train_seconds'):.1f} s against {median(trainer, 'train_seconds'):.1f} s"
    )
    same = (
        f"top 2 of 12 layers, {STEPS} steps of {BATCH}, the same texts, 1 thread against 2; "
        f"{accuracy}"
    )
    outside = (
        f"starting, loading and the dev set take {alone[0]:.1f} s of ours and {alone[1]:.1f} s of "
        f"the Trainer's"
    )
    joint = [
        median(found[name], "train_seconds") / median(ours, "train_seconds")
        for name in ("dann", "uncached")
    ]
    return (
        entry(
            "speedup_vs_trainer",
            ratio("process_seconds"),
            f"{same}; {outside}; {rounds} rounds, medians",
        )
        | entry(
            "speedup_vs_trainer_wall",
            median(trainer, "process_seconds") / median(ours, "process_seconds"),
            walls,
        )
        | entry("speedup_vs_trainer_training", ratio("train_seconds"), f"{loops}, real tokens/s")
        | entry(
            "dann_over_standard",
            joint[0],
            f"joint batch, unlabelled texts one to one, 1 thread, {rounds} rounds; {JOINT}",
        )
        | entry("prefix_cache_speedup", joint[1], "10 of 12 layers frozen, 1 thread, one such run")
    )


def peak(rounds: int) -> dict[str, dict]:
    """The sgemm peak and the training of all layers, in turn, each in two processes of one thread
    at once.
    """
    peaks, found = [], []
    for _ in range(rounds):
        peaks.append(sum(run["flops"] for run in together(2, "-m", "benchmarks.steps", "peak")))
        found.append(together(2, "-m", "benchmarks.steps", "layers", "12", "32"))
    shares = [
        sum(run["flops"] for run in runs) / best for runs, best in zip(found, peaks, strict=True)
    ]
    every = [run for runs in found for run in runs]
    speed = statistics.median(sum(run["tokens"] for run in runs) for runs in found)
    cpu = [run["cpu"] / run["peak"] for run in every]
    note = (
        f"2 jobs x 1 thread, batch 32, {median(every, 'length'):.0f} tokens a text, real tokens "
        f"only (padding "
        f"{100 * (median(every, 'padding') - 1):.0f} %), optimiser and word vectors included; "
        f"{speed:.0f} tokens/s, peak "
        f"{statistics.median(peaks) / 1e9:.0f} GFLOP/s; {rounds} rounds, {spread(shares)}; by the "
        f"processor's time instead of the clock's {statistics.median(cpu):.2f}"
    )
    if statistics.median(shares) < GOALS["sgemm_share"].target:
        note += f"; {LIMIT}"
    return entry("sgemm_share", statistics.median(shares), note)


def vocabulary(rounds: int) -> dict[str, dict]:
    """A step with all word vectors and with the study's, embeddings trained, in turn."""
    found: dict[str, list[dict[str, float]]] = {"full": [], "trimmed": []}
    for _ in range(min(rounds, 2)):
        for kind, runs in found.items():
            runs.append(timed(1, "-m", "benchmarks.steps", "vocabulary", kind, "6"))
    full, trimmed = found["full"], found["trimmed"]
    value = median(full, "step_seconds") / median(trimmed, "step_seconds")
    costs = [
        f"{runs[0]['rows']:,} rows {median(runs, 'step_seconds'):.2f} s and "
        f"{median(runs, 'peak_mb') / 1024:.1f} GB"
        for runs in (full, trimmed)
    ]
    note = (
        f"all layers and word vectors trained, batch {BATCH}, 1 thread: {', '.join(costs)}; "
        f"{len(full)} rounds"
    )
    return entry("trimming_speedup", value, note)
