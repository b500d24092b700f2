"""What a study costs: ``python -m benchmarks.estimate [STUDY] [--tflops N]`` prints a Markdown
table.

A token's floating-point operations in n layers of width d, inner width f, in a sequence of L tokens
are

    forward = n (2 (4 d^2 + 2 d f) + 4 L d),        forward and backward = 3 forward,

linear layers and attention; embeddings, heads and discriminator are below 1 %. Tokens are steps x
batch size x sequences of an example x mean length; arms that see unlabelled text add as many again
as it has a share of the batch. Frozen lower layers run once for every text of a study, when it is
prepared; trained ones in every run. Mean lengths are rounded estimates: of the benchmarks from the
data sets' published statistics, at 1.3 pieces a word; of the packaged tasks counted in 200 rows a
language; of a user's own tasks counted in their words. Hours are operations over a throughput that
is assumed: on a GPU 125 TFLOP/s, 40 % of the bf16 peak of an A100; without one 0.1 TFLOP/s, what
two cores were measured to reach (docs/speed.md).
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

from transformers import AutoConfig

from xgrl.arms import arm_spec, method_of
from xgrl.execution.checks import check_study
from xgrl.execution.grid import seeds_of, shared_models, trains_nothing
from xgrl.prepare.folder import frozen_layers
from xgrl.runs.params import Study, of_task
from xgrl.runs.study_files import read_study
from xgrl.tasks import OWN, find_task, mixture_parts
from xgrl.tasks.formats import Task


class Size(NamedTuple):
    """An encoder: layers, width, inner width and parameters."""

    layers: int
    width: int
    inner: int
    parameters: float


ENCODERS = {
    "FacebookAI/xlm-roberta-large": Size(24, 1024, 4096, 560e6),
    "FacebookAI/xlm-roberta-base": Size(12, 768, 3072, 278e6),
    "embedded": Size(12, 384, 1536, 118e6),
    "tiny": Size(4, 32, 64, 0.6e6),
}
# Sequences of one training example (of retrieval: a pair's two texts), and tokens of one.
TRAINED = {
    "anli": (1, 45), "mnli": (1, 42), "qqp": (1, 32), "squad2": (1, 175), "squad": (1, 175),
    "hellaswag": (4, 90), "ccg": (1, 32), "cosmosqa": (4, 110), "commonsenseqa": (5, 24),
    "xnli": (1, 42), "xcopa": (2, 22), "siqa": (3, 40), "udpos": (1, 28), "panx": (1, 16),
    "xquad": (1, 175), "mlqa": (1, 175), "tydiqa": (1, 190), "lareqa": (2, 110), "mewslix": (2, 55),
    "pawsx": (1, 58), "sarcasm": (1, 17), "question-type": (1, 20), "nli": (1, 68), "qa": (1, 190),
    "boolq": (1, 154), "commonsense": (3.3, 28), "sentiment": (1, 27), "intent": (1, 8),
    "slots": (1, 8), "boundary": (1, 67), "next-sentence": (4, 68), "exams": (3.3, 28),
}  # fmt: skip
# Sequences that are predicted or embedded, over all languages, and tokens of one.
TESTED = {
    "xnli": (75_150, 50), "xcopa": (11_000, 25), "udpos": (75_000, 30), "panx": (350_000, 16),
    "xquad": (14_280, 210), "mlqa": (42_000, 210), "tydiqa": (5_100, 190), "tatoeba": (76_000, 14),
    "lareqa": (26_000, 150), "mewslix": (1_020_000, 55), "pawsx": (14_000, 62),
    "bucc2018": (2_300_000, 32), "sentiment": (50_000, 28), "intent": (68_000, 10),
    "emoji-names": (21_000, 6), "wikilingua": (2_700, 125), "slots": (62_000, 10),
    "boundary": (8_800, 70), "next-sentence": (64_000, 71), "bitext": (9_000, 28),
    "qa": (6_700, 191), "exams": (74_000, 38),
}  # fmt: skip


def size_of(encoder: str) -> Size:
    """An encoder's sizes; ValueError for one that is neither known nor a folder with a config."""
    if encoder in ENCODERS:
        return ENCODERS[encoder]
    try:
        config = AutoConfig.from_pretrained(encoder, local_files_only=True)
    except (OSError, ValueError):
        known = f"allowed: {', '.join(ENCODERS)}, or a folder with a config.json"
        raise ValueError(f"fixed.encoder={encoder!r}: its size is not known; {known}") from None
    layers, width, inner = (
        getattr(config, name) for name in ("num_hidden_layers", "hidden_size", "intermediate_size")
    )
    parameters = layers * (4 * width**2 + 2 * width * inner) + config.vocab_size * width
    return Size(layers, width, inner, parameters)


def forward(length: float, size: Size, layers: int | None = None) -> float:
    """Floating-point operations of one token's forward pass in a sequence of that length."""
    d, f = size.width, size.inner
    return (size.layers if layers is None else layers) * (
        2 * (4 * d * d + 2 * d * f) + 4 * length * d
    )


def sequences(study: Study, name: str, role: str) -> tuple[float, float]:
    """Sequences of one training example of a task, and tokens of one, cut at `max_length`."""
    task = find_task(name, role)
    number, length = TRAINED[name] if name in TRAINED else _counted(task, "train")
    return number, min(length, task.max_length, study.fixed.max_length)


def tested(study: Study, name: str) -> tuple[float, float]:
    """Sequences of a target's test sets that a run predicts or embeds, and tokens of one."""
    task = find_task(name, "target")
    total, length = TESTED[name] if name in TESTED else _counted(task, "test")
    languages = of_task(study.scientific.languages, name, "target") or task.languages
    shown = len(set(languages) & set(task.languages))
    retrieval = task.format == "retrieval"
    each = TRAINED.get(name, (1, 0))[0] if task.format == "multiple_choice" else 1
    rows = (
        study.fixed.retrieval_rows * 2
        if retrieval
        else of_task(study.fixed.test_rows, name, "target")
    )
    longest = min(task.max_length, study.fixed.max_length)
    cut = length > longest and task.format == "span_qa"  # a long context is read in windows
    windows = math.ceil(length / longest * 1.3) if cut else 1
    return min(total / len(task.languages), rows * each) * shown * windows, min(length, longest)


def _counted(task: Task, split: str) -> tuple[float, float]:
    """The same of a task of the user's own: its rows' words, at 1.3 pieces each; of test sets all
    sequences.
    """
    if task.name not in OWN:
        raise ValueError(f"task {task.name!r}: no lengths are known of it (benchmarks/estimate.py)")
    languages = ("en",) if split == "train" else task.languages
    splits = [
        s for s in task.splits if s == split or (split == "test" and s in ("queries", "candidates"))
    ]
    rows = [row for s in splits for code in languages for row in OWN[task.name].rows(s, code)]
    if not rows:
        return 0, 0
    texts = [
        str(value)
        for row in rows
        for key, value in row.items()
        if key not in ("id", "label", "gold")
    ]
    words = sum(len(text.split()) for text in texts) / len(rows)
    choices = len(rows[0]["choices"]) if "choices" in rows[0] else 1
    return (1 if split == "train" else len(rows)) * choices, 1.3 * words / choices


class Stage(NamedTuple):
    """A stage of a study: its name, runs, tokens and operations of all of them."""

    name: str
    runs: int
    tokens: float
    operations: float


def stages(study: Study) -> list[Stage]:
    """The stages of a study; where lower layers are frozen, the first is their one pass."""
    s, f = study.scientific, study.fixed
    size = size_of(f.encoder)
    frozen = frozen_layers(f.trained_layers, size.layers)
    top = size.layers - frozen
    seeds = {arm: len(seeds_of(study, arm)) for arm in s.arms}
    trained = [arm for arm in s.arms if arm_spec(arm).trains]
    checkpoints = sum(seeds[arm] for arm in s.arms if arm != "none") * len(s.intermediate)
    found, once = [], []  # once: (tokens, length) of what frozen layers read

    def training(name: str, role: str, steps: int, batch: int) -> tuple[float, float]:
        number, length = sequences(study, name, role)
        rows = min(of_task(f.train_rows, name, role), steps * batch * max(seeds.values()))
        once.append((rows * number * length, length))
        return (tokens := steps * batch * number * length), 3 * tokens * forward(length, size, top)

    for task in s.intermediate:
        settings = study.nuisance.intermediate.flat(task)
        parts = mixture_parts(task, s.intermediate)
        each = [
            training(part, "intermediate", settings["steps"], settings["batch_size"])
            for part in parts
        ]
        tokens, operations = (sum(values) / len(parts) for values in zip(*each, strict=True))
        more = study.nuisance.unlabelled_batch_size / settings["batch_size"]
        own = {
            arm: study.nuisance.intermediate.steps_of(task, arm, method_of(arm)) for arm in trained
        }
        longer = {arm: seeds[arm] * own[arm] / settings["steps"] for arm in trained}
        weight = sum((1 + more * bool(arm_spec(arm).text)) * longer[arm] for arm in trained)
        runs = sum(seeds[arm] for arm in trained)
        found.append(Stage(f"intermediate {task}", runs, tokens * weight, operations * weight))
    for name in s.targets:
        task, settings = find_task(name, "target"), study.nuisance.target.flat(name)
        tokens = operations = 0.0
        if not trains_nothing(task) and name not in shared_models(study):
            given = [(name, "target", settings["steps"])]
            given += [(task.first, "intermediate", settings["first_steps"])] if task.first else []
            each = [training(*one, settings["batch_size"]) for one in given]
            tokens, operations = (sum(values) for values in zip(*each, strict=True))
        count, length = tested(study, name)
        once.append((count * length, length))
        times = 1 + len(f.further_retrieval_layers) * trains_nothing(task)
        tokens += times * count * length
        operations += times * count * length * forward(length, size, top)
        alone = seeds.get("none", 0)
        runs = checkpoints + (min(1, alone) if trains_nothing(task) else alone)
        found.append(Stage(f"target {name}", runs, tokens * runs, operations * runs))
    if frozen:
        tokens = sum(tokens for tokens, _ in once)
        operations = sum(tokens * forward(length, size, frozen) for tokens, length in once)
        found.insert(0, Stage("frozen layers", 1, tokens, operations))
    return found


def table(name: str, tflops: float | None = None) -> str:
    """The Markdown table of a study file.

    Args:
        name: of a file in params/.
        tflops: assumed throughput; of one GPU, or of two cores.
    """
    study = check_study(read_study("params/base.yaml", f"params/{name}.yaml"))
    gpu = study.fixed.device == "cuda"
    tflops = tflops or (125.0 if gpu else 0.1)
    found = stages(study)
    whole = Stage("**all**", *(sum(stage[i] for stage in found) for i in (1, 2, 3)))
    scale, unit = (1e18, "EFLOP") if gpu else (1e15, "PFLOP")
    lines = [
        f"| stage | runs | tokens, millions | {unit} | {'GPU' if gpu else 'two-core'} hours |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for stage in [*found, whole]:
        hours = stage.operations / tflops / 1e12 / 3600
        lines.append(
            f"| {stage.name} | {stage.runs:,} | {stage.tokens / 1e6:,.1f} | "
            f"{stage.operations / scale:,.1f} | {hours:,.1f} |"
        )
    checkpoints = sum(stage.runs for stage in found if stage.name.startswith("intermediate"))
    each = size_of(study.fixed.encoder).parameters * 4 / 1e9
    lines += [
        "",
        f"Disk: {checkpoints} checkpoints of at most {each:.1f} GB in float32, "
        f"{checkpoints * each:,.0f} GB in all.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("study", nargs="?", default="paper")
    parser.add_argument("--tflops", type=float, help="assumed throughput")
    arguments = parser.parse_args()
    try:
        print(table(arguments.study, arguments.tflops))
    except (ValueError, OSError) as error:
        raise SystemExit(f"refused: {error}") from None


if __name__ == "__main__":
    main()
