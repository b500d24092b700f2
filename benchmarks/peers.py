"""Our job beside what a user would take instead: ``python -m benchmarks --peers``, or one of our
jobs, ``python -m benchmarks.peers ARM``.

The same encoder, rows, trained layers, steps and batch size, each side in a process of its own; our
jobs have one thread, as in a study, the peers two. Every 20 steps each looks at the English
development set, which does not count. Each peer has a virtual environment below
``outputs/peers/``, made once, that holds nothing but the peer: everything else is the project's, so
that both have one torch. What is compared: time from the process's start to the same English
development score, by the clock and of processors; real labelled tokens a second; memory.

``outputs/peers.json`` keeps the rounds, and ``outputs/peers.md`` the table that
`publish` puts into docs/speed.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.jobs import BATCH, RECIPE, STEPS, STUDY, TASK
from benchmarks.running import Stopwatch, machine, peak_mb, result, start

FOLDER, EVERY, ALLOWED = Path("outputs/peers"), 20, 1.0  # steps; points below the lower best score
MARKERS = ("<!-- peers:start -->", "<!-- peers:end -->")
# package and version, none from the index but these; torch and transformers are the project's
PEERS = {
    "transformers": (),
    "pytorch-adapt": ("pytorch-adapt==0.0.83", "pytorch-metric-learning==1.6.3",
                      "torchmetrics==0.9.3", "setuptools==80.9.0"),
}  # fmt: skip
PAIRS = {"transformers": "standard", "pytorch-adapt": "dann"}  # which of our arms does the same


def environment(peer: str) -> Path:
    """The Python of a peer's virtual environment, which is made where it is not there yet."""
    folder = FOLDER / "environments" / peer
    python, ready = folder / "bin/python", folder / "ready.txt"
    wanted = "\n".join([sys.executable, *PEERS[peer]])
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", "--clear", folder], check=True
        )
        here = next(Path(path) for path in sys.path if path.endswith("site-packages")).resolve()
        inside = next(folder.glob("lib/python*/site-packages"))
        (inside / "project.pth").write_text(f"{here}\n", encoding="utf-8")
        if PEERS[peer]:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
            pip += ["--python", str(python), "install", "--no-deps", *PEERS[peer]]
            subprocess.run(pip, check=True)
        ready.write_text(wanted, encoding="utf-8")
    return python


def hand_over(folder: Path) -> None:
    """Write the task as the peers read it: ids in the full vocabulary, and what about them."""
    import numpy as np

    from xgrl.models.encoder import embedded_folder
    from xgrl.prepare.folder import Prepared

    prepared = Prepared.of("outputs", STUDY)
    kept = np.load(prepared.folder / "encoder" / "kept_ids.npy")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "dev", "unlabelled"):
        own = name if name == "unlabelled" else f"intermediate/{TASK}/{name}"
        corpus = prepared.corpus(own)
        ids, offsets = kept[corpus.tokens.ids], corpus.tokens.offsets
        np.savez(folder / f"{name}.npz", ids=ids, offsets=offsets, labels=corpus.labels)
    parameters = prepared.record["parameters"]
    about = {key: parameters[key] for key in ("max_length", "trained_layers")} | RECIPE
    about |= {"encoder": str(embedded_folder()), "pad": 1, "steps": STEPS, "batch": BATCH}
    about |= {"every": EVERY, "threads": 2, "lambda_max": 0.05}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def ours(arm: str, watch: Stopwatch) -> dict:
    """One of our jobs as the study runs it, without the notebook around it."""
    import torch

    from benchmarks.jobs import job_of
    from xgrl.evaluation.readout import dev_accuracy
    from xgrl.prepare.folder import Prepared
    from xgrl.training.build import build_intermediate, labelled_corpora
    from xgrl.training.trainer import fit

    torch.set_num_threads(1)
    prepared, job = Prepared.of("outputs", STUDY), job_of(TASK, arm)
    run, dev = build_intermediate(job, prepared), labelled_corpora(prepared, TASK, "dev")[TASK]

    def accuracy() -> float:
        right, count, _ = dev_accuracy(run.model, dev, TASK)
        run.model.train()
        return 100 * right / count

    class Watched:
        """The run's batches; before each, that many steps are done."""

        items = run.stages["train"]

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, step: int) -> dict:
            if step and step % EVERY == 0:
                watch.look(step, accuracy)
            return self.items[step]

    watch.look(0, lambda: 0.0)
    fit(run.model, Watched(), job, run.streams["dropout"])
    watch.look(STEPS, accuracy)
    seen = Watched.items.seen()["labelled_tokens"]
    return {"tokens": seen, "points": watch.points, "mb": peak_mb()}


def measure(rounds: int) -> dict[str, list[dict]]:
    """Every side in turn, so many times."""
    hand_over(FOLDER / "task")
    pythons = {peer: environment(peer) for peer in PEERS}
    found: dict[str, list[dict]] = {}
    for _ in range(rounds):
        for peer, arm in PAIRS.items():
            found.setdefault(arm, []).append(result(start(1, "-m", "benchmarks.peers", arm)))
            command = ("-m", "benchmarks.peer_jobs", peer, str(FOLDER / "task"))
            run = result(start(2, *command, python=str(pythons[peer])))
            found.setdefault(peer, []).append(run)
    return found


def reached(runs: list[dict], score: float) -> tuple[float, float]:
    """Medians of the seconds, by the clock and of processors, to a development score."""
    times = [next(p[1:3] for p in run["points"] if p[3] >= score) for run in runs]
    return tuple(map(statistics.median, zip(*times, strict=True)))


def compare(found: dict[str, list[dict]]) -> list[dict]:
    """A row a side: name, score, seconds to it, tokens a second, memory; and the ratios to ours."""
    rows = []
    for peer, arm in PAIRS.items():
        both = {arm: found[arm], peer: found[peer]}
        best = [max(p[3] for p in run["points"]) for runs in both.values() for run in runs]
        score = min(best) - ALLOWED
        times = {name: reached(runs, score) for name, runs in both.items()}
        for name, runs in both.items():
            ends = [run["points"][-1] for run in runs]
            loops = [end[1] - run["points"][0][1] for run, end in zip(runs, ends, strict=True)]
            speeds = [
                (run["tokens"] / loop, run["tokens"] / end[1], run["tokens"] / end[2])
                for run, loop, end in zip(runs, loops, ends, strict=True)
            ]
            loop, wall, processor = map(statistics.median, zip(*speeds, strict=True))
            row = {"side": name, "against": peer, "score": score, "best": max(p[3] for run in runs
                   for p in run["points"]), "clock": times[name][0], "processor": times[name][1],
                   "loop": loop, "tokens": wall, "tokens_processor": processor,
                   "mb": max(run["mb"] for run in runs)}  # fmt: skip
            rows.append(row)
    return rows


def markdown(rows: list[dict], rounds: int) -> str:
    """The table, and a sentence a peer."""
    versions = {name: f"{name} {version(name)}" for name in ("torch", "transformers")}
    names = {"transformers": versions["transformers"], "pytorch-adapt": PEERS["pytorch-adapt"][0]}
    lines = [
        "| job | threads | s to the same score | processor s to it | tokens/s, loop | "
        "tokens/s, end to end | tokens per processor s | MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        peer = row["side"] == row["against"]
        name = names[row["side"]].replace("==", " ") if peer else f"xgrl, {row['side']}"
        numbers = [f"{row['clock']:.1f}", f"{row['processor']:.1f}"]
        numbers += [f"{row[key]:.0f}" for key in ("loop", "tokens", "tokens_processor", "mb")]
        lines.append(f"| {name} | {1 + peer} | {' | '.join(numbers)} |")
    lines.append("")
    for own, other in zip(rows[::2], rows[1::2], strict=True):
        clock, core = (other[key] / own[key] for key in ("clock", "processor"))
        speeds = [own[key] / other[key] for key in ("loop", "tokens", "tokens_processor")]
        lines.append(
            f"{own['side']} against {other['side']}: {own['score']:.1f} % of the English "
            f"development set (best {own['best']:.1f} and {other['best']:.1f} %) in {clock:.2f} "
            f"times less time by the clock, {core:.2f} times less of processors; all {STEPS} steps "
            f"of {BATCH}: {speeds[0]:.2f} times the tokens/s in the loop, {speeds[1]:.2f} times "
            f"end to end, {speeds[2]:.2f} times a processor second."
        )
    lines.append(f"{rounds} round{'s' * (rounds > 1)}, medians. {machine()}")
    return "\n".join(lines) + "\n"


def side_by_side(rounds: int) -> None:
    """Measure, keep and print."""
    found = measure(rounds)
    FOLDER.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")
    text = markdown(compare(found), rounds)
    FOLDER.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    clock = Stopwatch()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    print(json.dumps(ours(sys.argv[1], clock)))
