"""A complete fake `outputs/<study>/` tree with a known effect, for tests of the report, the figures and the analysis notebook.

Every probability of a right answer is set exactly: for a run of arm g in block b on language l of target t it is
base_t + language_l + shared_b + effect_g * [g is treatment] + own_{b,g}, in points. A right answer is
`sqrt(rho) item_e + sqrt(1 - rho) noise < quantile(p)` with standard normal item and noise, so that p holds
whatever the item variance rho, parallel languages share their items, and the true effect is known: `effect` points.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

# target: (languages without English, items, points right, parallel over languages, retrieval)
TARGETS = {
    "sentiment": (("es", "fr", "it", "ja"), 60, 62.0, True, False),
    "intent": (("cs", "de", "hu", "sv"), 60, 45.0, False, False),
    "emoji-names": (("ar", "de", "tr"), 80, 30.0, True, True),
}
VERSIONS = {"python": "3.11.0", "torch": "2.13.0", "xgrl": "0.1.0"}


def simulate(
    outputs: Path,
    study: str = "simulated",
    intermediates: tuple[str, ...] = ("sarcasm", "question-type"),
    arms: tuple[str, ...] = ("none", "standard", "control", "dann"),
    seeds: tuple[int, ...] = (1, 2, 3),
    targets: dict | None = None,
    effect: float = 3.0,
    seed_sd: float = 1.0,
    rho: float = 0.5,
    rng_seed: int = 0,
) -> Path:
    """Write the tree and return `outputs/study`; `effect` points go to arm dann in every language and target."""
    folder, targets = Path(outputs) / study, TARGETS if targets is None else targets
    _prepared(folder)
    for intermediate in intermediates:
        for seed in seeds:
            block = np.random.default_rng([rng_seed, zlib.crc32(intermediate.encode()), seed])
            shared = {target: block.normal(0, 2.0) for target in targets}
            for arm in (arm for arm in arms if arm != "none"):
                key = f"{intermediate}/{arm}/seed-{seed}"
                _intermediate(folder / "intermediate" / key, study, intermediate, arm, seed, block)
                _probe(folder / "probe" / key, study, intermediate, arm, seed, block)
                own = block.normal(0, seed_sd)
                for target, shape in targets.items():
                    shift = shared[target] + own + (effect if arm == "dann" else 0.0)
                    path = folder / "target" / target / f"{intermediate}.{arm}" / f"seed-{seed}"
                    _target(path, study, intermediate, arm, target, seed, shape, shift, rho, block, rng_seed)
    if "none" in arms:
        for seed in seeds:
            own = np.random.default_rng([rng_seed, 7, seed])
            _probe(folder / "probe" / f"none/none/seed-{seed}", study, "none", "none", seed, own)
            for target, shape in targets.items():
                path = folder / "target" / target / "none" / f"seed-{seed}"
                shift = -1.0 + own.normal(0, 1)
                _target(path, study, "none", "none", target, seed, shape, shift, rho, own, rng_seed)
    return folder


def write_run(folder: Path, study: str, phase: str, parameters: dict, metrics: dict, status: str = "finished") -> None:
    """One `run.json` as the notebooks leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "schema": 1, "study": study, "phase": phase, "status": status, "parameters": parameters, "versions": VERSIONS,
        "inputs": {}, "wall_seconds": 12.5, "peak_memory_mb": 900.0, "device": "cpu", "threads": 1, "metrics": metrics,
        "warnings": [],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record, indent=1))


def _prepared(folder: Path) -> None:
    """The unlabelled sentences of the probes: words of each language's own, so that a probe has something to find."""
    rng, rows = np.random.default_rng(5), []
    for language in ("de", "en", "fr", "ru"):
        words = [language + str(k) for k in range(20)]
        rows += [(f"{language}-{k}", " ".join(rng.choice(words, 8)), language) for k in range(40)]
    (folder / "prepared").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["id", "text", "language"]).to_parquet(folder / "prepared" / "probe_texts.parquet")


def _intermediate(folder: Path, study: str, task: str, arm: str, seed: int, rng: np.random.Generator) -> None:
    """Learning curves and the manipulation-check numbers of one phase-2 run."""
    steps = np.arange(1, 101)
    opposed = arm == "dann"
    accuracy = {"dann": 45.0, "control": 90.0}.get(arm)
    columns = {
        "step": steps,
        "task_loss": 0.7 * np.exp(-steps / 40) + 0.1 + rng.normal(0, 0.02, 100),
        "domain_loss": np.nan if accuracy is None else np.linspace(1.4, 1.2 if opposed else 0.3, 100),
        "discriminator_accuracy": np.nan if accuracy is None else 25 + (accuracy - 25) * (1 - np.exp(-steps / 15)),
        "lambda": 0.05 * (2 / (1 + np.exp(-steps / 10)) - 1) if opposed else (np.nan if accuracy is None else 0.0),
        "feature_norm": 8 + rng.normal(0, 0.05, 100),
    }
    correct = 360 + int(rng.integers(0, 10))
    metrics = {
        "dev_accuracy": correct / 4, "dev_n": 400, "dev_correct": correct, "majority_accuracy": 50.0,
        "dev_low": correct / 4 - 3.4, "dev_high": correct / 4 + 2.8, "learned": True,
        "discriminator_accuracy": accuracy, "discriminator_chance": 25.0,
        "feature_norm_first": 8.0, "feature_norm_last": 8.0,
        "labelled_examples": 1600, "labelled_tokens": 30000, "steps": 100,
        "unlabelled_tokens": 0 if accuracy is None else 30000,
    }  # fmt: skip
    write_run(folder, study, "intermediate", {"intermediate": task, "arm": arm, "seed": seed}, metrics)
    pd.DataFrame(columns).to_csv(folder / "curves.csv", index=False)


def _target(folder, study, intermediate, arm, target, seed, shape, shift, rho, rng, rng_seed) -> None:
    """Predictions of one run on every language of a target; items are the same in all runs."""
    languages, items, base, parallel, retrieval = shape
    rows, scores = [], {}
    for position, language in enumerate(languages if retrieval else ("en", *languages)):
        name = f"{target}" if parallel else f"{target}-{language}"
        item = np.random.default_rng([rng_seed, zlib.crc32(name.encode())]).normal(size=items)
        points = np.clip(base + (20 if language == "en" else 3 * position) + shift, 1, 99)
        latent = np.sqrt(rho) * item + np.sqrt(1 - rho) * rng.normal(size=items)
        right = latent < norm.ppf(points / 100)
        scores[language] = 100 * right.mean()
        ids = [f"{name}-{k}" for k in range(items)]
        if retrieval:
            ids = [f"{name}-{k // 2} {('xx-en', 'en-xx')[k % 2]}" for k in range(items)]
        for k, (example, ok) in enumerate(zip(ids, right, strict=True)):
            gold = example.split()[0] if retrieval else "abcd"[k % 4]
            rows.append((study, intermediate, arm, target, seed, language, example, gold, gold if ok else "wrong", 100.0 * ok))
    columns = ["study", "intermediate", "arm", "target", "seed", "language", "example_id", "gold", "prediction", "score"]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).astype({"seed": "int64", "score": "float64"}).to_parquet(folder / "predictions.parquet")
    metrics = {
        "scores": scores, "macro": float(np.mean([scores[language] for language in languages])),
        "english": scores.get("en"), "dev_accuracy": None if retrieval else 80.0,
        "examples": dict.fromkeys(scores, items),
    }  # fmt: skip
    parameters = {"intermediate": intermediate, "arm": arm, "target": target, "seed": seed}
    write_run(folder, study, "target", parameters, metrics)


def _probe(folder: Path, study: str, intermediate: str, arm: str, seed: int, rng: np.random.Generator) -> None:
    """Language probes by layer and a map, as 04_probe writes them."""
    layers = np.arange(13)
    accuracy = np.clip(95 - (4.0 if arm == "dann" else 0.8) * layers + rng.normal(0, 1, 13), 30, 100)
    table = {
        "layer": layers, "accuracy": accuracy, "low": accuracy - 4, "high": np.minimum(accuracy + 3.5, 100), "chance": 25.0,
        "control": 25.0, "selectivity": accuracy - 25, "n_test": 80, "a_distance": np.clip(accuracy / 50 - 0.1, 0, 2),
        "language_share": accuracy / 4, "cka": np.linspace(1, 0.6, 13),
    }  # fmt: skip
    write_run(folder, study, "probe", {"intermediate": intermediate, "arm": arm, "seed": seed}, {"last_layer": accuracy[-1]})
    pd.DataFrame(table).to_csv(folder / "layers.csv", index=False)
    points = rng.normal(size=(40, 2)) + np.repeat(np.eye(4, 2) * (1 if arm == "dann" else 4), 10, axis=0)
    frame = {"id": [f"s{k}" for k in range(40)], "language": np.repeat(["de", "en", "fr", "ru"], 10)}
    pd.DataFrame(frame | {"x": points[:, 0], "y": points[:, 1]}).to_csv(folder / "map.csv", index=False)
