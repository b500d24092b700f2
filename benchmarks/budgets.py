"""The smallest budget at which a task is learned: ``python -m benchmarks.budgets TASK --layers 4
--steps 60 120``.

The standard arm is trained with the embedded encoder for each number of steps in turn, through
notebooks 01 and 02 as in any study, until English development accuracy lies above the majority
class with its exact 95 % interval. Prints a line a run.
"""

from __future__ import annotations

import argparse

from xgrl.execution.execute import run
from xgrl.runs.records import read


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.budgets", description=__doc__.split("\n")[0]
    )
    parser.add_argument("task")
    parser.add_argument(
        "--layers", type=int, default=4, help="top layers that are trained; -1 = all"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[60, 120, 240, 480])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--train-rows", type=int, default=4000)
    parser.add_argument("--dev-rows", type=int, default=500)
    parser.add_argument("--sources", nargs="+", default=["packages"])
    parser.add_argument("--outputs", default="outputs/budgets")
    a = parser.parse_args()
    study = f"{a.task}-{a.layers if a.layers > 0 else 'all'}"
    place = {"study": study, "outputs": a.outputs}
    rows = {
        "train_rows": a.train_rows,
        "dev_rows": a.dev_rows,
        "test_rows": 20,
        "retrieval_rows": 20,
        "unlabelled_rows": 20,
    }
    prepare = (
        place
        | rows
        | {
            "encoder": "embedded",
            "sources": a.sources,
            "intermediate": [a.task],
            "probe_rows": 10,
        }
    )
    prepare |= {
        "targets": ["emoji-names"],
        "languages": ["de"],
        "trained_layers": a.layers,
        "max_length": a.max_length,
    }
    run("notebooks/01_prepare.ipynb", f"{a.outputs}/{study}/01.ipynb", prepare, warm=False)
    for steps in a.steps:
        train = place | {
            "intermediate": a.task,
            "arm": "standard",
            "seed": 0,
            "steps": steps,
            "batch_size": a.batch_size,
        }
        train |= {"learning_rate": a.learning_rate, "head_learning_rate": 10 * a.learning_rate}
        record = run(
            "notebooks/02_intermediate.ipynb",
            f"{a.outputs}/{study}/{steps}.ipynb",
            train,
            warm=False,
        )
        found = read(record.parent)
        m = found["metrics"]
        interval = f"[{m['dev_low']:.1f}, {m['dev_high']:.1f}]"
        print(
            f"{a.task}: {a.layers} layers, {steps} steps of {a.batch_size}, rate "
            f"{a.learning_rate}: {m['dev_accuracy']:.1f} % "
            f"{interval}, majority {m['majority_accuracy']:.1f} %, learned: {m['learned']}, "
            f"{found['wall_seconds']:.0f} s",
            flush=True,
        )
        if m["learned"]:
            break


if __name__ == "__main__":
    main()
