"""What a study at full size costs: ``python -m benchmarks.estimate [STUDY] [--tflops 125]`` prints
a Markdown table.

A token's floating-point operations in an encoder of n layers, width d, inner width f, in a sequence
of L tokens are

    forward  = n (2 (4 d^2 + 2 d f) + 4 L d),        forward and backward = 3 forward,

linear layers and attention; embeddings, heads and discriminator are below 1 %. Tokens are steps x
batch size x sequences of an example x mean length; arms that see unlabelled text double the
intermediate stage's. Mean lengths below are rounded estimates from the data sets' published
statistics, at 1.3 pieces a word. GPU hours are operations over a throughput that is assumed, not
measured: 125 TFLOP/s is 40 % of the bf16 peak of an A100.
"""

from __future__ import annotations

import argparse

from xgrl.arms import arm_spec
from xgrl.execution.execute import check_study
from xgrl.execution.grid import seeds_of, shared_models
from xgrl.runs.params import Study
from xgrl.runs.study_files import read_study
from xgrl.tasks import find_task, mixture_parts

LARGE = {"layers": 24, "width": 1024, "inner": 4096, "parameters": 560e6}  # XLM-R Large
# Sequences of one example, and tokens of one sequence.
TRAINED = {
    "anli": (1, 45), "mnli": (1, 42), "qqp": (1, 32), "squad2": (1, 175), "squad": (1, 175),
    "hellaswag": (4, 90), "ccg": (1, 32), "cosmosqa": (4, 110), "commonsenseqa": (5, 24),
    "xnli": (1, 42), "xcopa": (2, 22), "siqa": (3, 40), "udpos": (1, 28), "panx": (1, 16),
    "xquad": (1, 175), "mlqa": (1, 175), "tydiqa": (1, 190), "lareqa": (2, 110), "mewslix": (2, 55),
    "pawsx": (1, 58),
}  # fmt: skip
# Sequences that are predicted or embedded, over all languages, and tokens of one.
TESTED = {
    "xnli": (75_150, 50), "xcopa": (11_000, 25), "udpos": (75_000, 30), "panx": (350_000, 16),
    "xquad": (14_280, 210), "mlqa": (42_000, 210), "tydiqa": (5_100, 190), "tatoeba": (76_000, 14),
    "lareqa": (26_000, 150), "mewslix": (1_020_000, 55), "pawsx": (14_000, 62),
    "bucc2018": (2_300_000, 32),
}  # fmt: skip


def forward(length: float, size: dict[str, float]) -> float:
    """Floating-point operations of one token's forward pass in a sequence of that length."""
    d, f = size["width"], size["inner"]
    return size["layers"] * (2 * (4 * d * d + 2 * d * f) + 4 * length * d)


def training(task: str, steps: int, batch: int) -> tuple[float, float]:
    """Tokens and operations of training on one task."""
    sequences, length = TRAINED[task]
    tokens = steps * batch * sequences * length
    return tokens, 3 * tokens * forward(length, LARGE)


def intermediate(study: Study, task: str) -> tuple[float, float]:
    """Tokens and operations of one standard intermediate run."""
    settings = study.nuisance.intermediate.flat(task)
    parts = mixture_parts(task, study.scientific.intermediate)
    found = [training(part, settings["steps"], settings["batch_size"]) for part in parts]
    # a mixture: about equal shares of the steps
    return tuple(sum(values) / len(parts) for values in zip(*found, strict=True))


def target(study: Study, task: str) -> tuple[float, float]:
    """Tokens and operations of one target run: fine-tuning, and every language's test set."""
    settings, line = study.nuisance.target.flat(task), find_task(task, "target")
    shared = task in shared_models(study)  # tested with what another target has trained
    trained = task in TRAINED and not shared
    tokens, operations = (
        training(task, settings["steps"], settings["batch_size"]) if trained else (0.0, 0.0)
    )
    if line.first and not shared:
        more = training(line.first, settings["first_steps"], settings["batch_size"])
        tokens, operations = tokens + more[0], operations + more[1]
    sequences, length = TESTED[task]
    return tokens + sequences * length, operations + sequences * length * forward(length, LARGE)


def rows(study: Study) -> list[tuple[str, int, float, float]]:
    """Stage, runs, tokens of all runs, operations of all runs."""
    s = study.scientific
    runs_of = {arm: len(seeds_of(study, arm)) for arm in s.arms}
    trained = [arm for arm in s.arms if arm != "none"]
    each = sum(runs_of[arm] for arm in trained)
    found = []
    for task in s.intermediate:
        tokens, operations = intermediate(study, task)
        weight = sum((2 if arm_spec(arm).text else 1) * runs_of[arm] for arm in trained)
        found.append((f"intermediate {task}", each, tokens * weight, operations * weight))
    for task in s.targets:
        tokens, operations = target(study, task)
        line = find_task(task, "target")
        alone = runs_of.get("none", 0)
        alone = min(1, alone) if line.format == "retrieval" and not line.trained else alone
        runs = len(s.intermediate) * each + alone
        found.append((f"target {task}", runs, tokens * runs, operations * runs))
    return found


def table(name: str, tflops: float = 125.0) -> str:
    """The Markdown table of a study file.

    Args:
        name: of a file in params/.
        tflops: assumed throughput of one GPU.
    """
    found = rows(check_study(read_study("params/base.yaml", f"params/{name}.yaml")))
    lines = [
        "| stage | runs | tokens, billions | EFLOP | GPU hours |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for stage, runs, tokens, operations in [
        *found,
        ("**all**", *(sum(row[i] for row in found) for i in (1, 2, 3))),
    ]:
        hours = operations / tflops / 1e12 / 3600
        lines.append(
            f"| {stage} | {runs:,} | {tokens / 1e9:,.1f} | {operations / 1e18:,.1f} | "
            f"{hours:,.0f} |"
        )
    checkpoints = sum(runs for stage, runs, _, _ in found if stage.startswith("intermediate"))
    each = LARGE["parameters"] * 4 / 1e9
    lines += [
        "",
        f"Disk: {checkpoints} checkpoints of {each:.1f} GB in float32, {checkpoints * each:,.0f} "
        f"GB in all.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("study", nargs="?", default="paper")
    parser.add_argument("--tflops", type=float, default=125.0, help="assumed throughput of one GPU")
    arguments = parser.parse_args()
    print(table(arguments.study, arguments.tflops))


if __name__ == "__main__":
    main()
