"""A complete fake `outputs/<study>/` tree with a known effect, for tests of the report, the figures
and the analysis notebook.

Every probability of a right answer is set exactly: for a run of arm g in block b on language l of
target t it is base_t + language_l + shared_b + effect_g * [g is treatment] + own_{b,g}, in points.
A right answer is `sqrt(rho) item_e + sqrt(1 - rho) noise < quantile(p)` with standard normal item
and noise, so that p holds whatever the item variance rho, parallel languages share their items, and
the true effect is known: `effect` points, in proportion to lambda_max for variants of dann, nothing
for any other arm. Tags are simulated as sentences with counts.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from xgrl.arms import arm_spec, method_of
from xgrl.evaluation.metrics.official import f1_of
from xgrl.runs.records import COUNTS, PREDICTION_COLUMNS, SCHEMA, run_folder
from xgrl.stats import jackknife

# target: (languages without English, items, points right, parallel over languages, kind: accuracy,
# bitext or f1)
TARGETS = {
    "sentiment": (("es", "fr", "it", "ja"), 60, 62.0, True, "accuracy"),
    "intent": (("cs", "de", "hu", "sv"), 60, 45.0, False, "accuracy"),
    "emoji-names": (("ar", "de", "tr"), 80, 30.0, True, "bitext"),
}
MANY = (
    "none", "standard", "control", "dann", "dann-0.01", "dann-0.1", "dann-binary", "shuffled",
    "centring",
)  # fmt: skip
SEEN = ("en", "ar", "de", "es", "fr")  # languages of the discriminator
LAMBDA = 0.05  # of arm dann
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
    recorded: bool = True,
    distance_effect: float = 0.0,
) -> Path:
    """Write the tree and return `outputs/study`; `effect` points go to arm dann in every language
    and target.

    recorded: whether runs hold flops, gradients, calibration and exact intervals, and 01 a
    languages.csv. distance_effect: points that dann loses in the language farthest from English
    beside the nearest one.
    """
    folder, targets = Path(outputs) / study, TARGETS if targets is None else targets
    names = sorted({name for shape in targets.values() for name in shape[0]})
    slope = dict(zip(names, -distance_effect * np.linspace(0, 1, len(names)), strict=True))
    _prepared(folder, names if recorded else [])
    for intermediate in intermediates:
        for seed in seeds:
            block = np.random.default_rng([rng_seed, zlib.crc32(intermediate.encode()), seed])
            shared = {target: block.normal(0, 2.0) for target in targets}
            for arm in (arm for arm in arms if arm != "none"):
                gained = effect * dose(arm) / LAMBDA
                run = {"study": study, "intermediate": intermediate, "arm": arm, "seed": seed}
                if arm_spec(arm).trains:
                    _intermediate(folder, run, block, recorded)
                    _probe(folder, run, block)
                own = block.normal(0, seed_sd)
                for target, shape in targets.items():
                    if arm_spec(arm).vectors and shape[4] != "bitext":
                        continue
                    english = shared[target] + own + gained
                    shift = {name: english + slope[name] * (arm == "dann") for name in shape[0]}
                    cell = run | {"target": target}
                    shift["en"] = english
                    _target(folder, cell, shape, shift, rho, block, rng_seed, recorded)
    if "none" in arms:
        for seed in seeds:
            own = np.random.default_rng([rng_seed, 7, seed])
            run = {"study": study, "intermediate": "none", "arm": "none", "seed": seed}
            _probe(folder, run, own)
            for target, shape in targets.items():
                shift = dict.fromkeys(("en", *shape[0]), -1.0 + own.normal(0, 1))
                cell = run | {"target": target}
                _target(folder, cell, shape, shift, rho, own, rng_seed, recorded)
    return folder


def dose(arm: str) -> float:
    """lambda_max of an arm: the number behind dann, else that of dann; 0 for every other arm."""
    if method_of(arm) != "dann":
        return 0.0
    suffix = arm.removeprefix("dann").removeprefix("-")
    return float(suffix) if suffix.replace(".", "").isdigit() else LAMBDA


def write_run(
    folder: Path, study: str, phase: str, parameters: dict, metrics: dict, status: str = "finished"
) -> None:
    """One `run.json` as the notebooks leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "schema": SCHEMA, "study": study, "phase": phase, "status": status,
        "parameters": parameters, "versions": VERSIONS, "inputs": {}, "wall_seconds": 12.5,
        "peak_memory_mb": 900.0, "device": "cpu", "threads": 1, "metrics": metrics, "warnings": [],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record, indent=1))


def _prepared(folder: Path, names: list[str]) -> None:
    """The unlabelled sentences of the probes, words of each language's own, so that a probe has
    something to find; and what is known about the languages, distances rising in the order of the
    names.
    """
    rng, rows = np.random.default_rng(5), []
    for language in ("de", "en", "fr", "ru"):
        words = [language + str(k) for k in range(20)]
        rows += [(f"{language}-{k}", " ".join(rng.choice(words, 8)), language) for k in range(40)]
    (folder / "prepared").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["id", "text", "language"]).to_parquet(
        folder / "prepared" / "probe_texts.parquet"
    )
    if names:
        far, g = np.linspace(0.1, 0.9, len(names)), np.random.default_rng(6)
        table = pd.DataFrame(
            {"language": names, "seen": [name in SEEN for name in names], "syntactic": far}
        )
        for name in ("phonological", "inventory", "geographic", "genetic"):
            table[name] = np.clip(far + g.normal(0, 0.25, len(names)), 0, 1)
        table["pieces"] = 1 + g.random(len(names))
        english = {"language": "en", "seen": True, "pieces": 1.0}
        table = pd.concat(
            [pd.DataFrame([english]), table.assign(inventory=np.nan)], ignore_index=True
        )
        table.to_csv(folder / "prepared" / "languages.csv", index=False)


def _run_folder(folder: Path, phase: str, run: dict) -> Path:
    return run_folder(folder.parent, run["study"], phase, **_parameters(run))


def _intermediate(folder: Path, run: dict, rng, recorded: bool) -> None:
    """Learning curves and the manipulation-check numbers of one phase-2 run."""
    arm = run["arm"]
    steps, method = np.arange(1, 101), method_of(arm)
    opposed = method == "dann"
    accuracy = {"dann": 45.0, "control": 90.0, "shuffled": 24.0, "cdan": 50.0}.get(method)
    accuracy = 90.0 if opposed and not dose(arm) else accuracy
    columns = {
        "step": steps,
        "task_loss": 0.7 * np.exp(-steps / 40) + 0.1 + rng.normal(0, 0.02, 100),
        "domain_loss": np.nan
        if accuracy is None
        else np.linspace(1.4, 1.2 if opposed else 0.3, 100),
        "discriminator_accuracy": np.nan
        if accuracy is None
        else 25 + (accuracy - 25) * (1 - np.exp(-steps / 15)),
        "lambda": dose(arm) * (2 / (1 + np.exp(-steps / 10)) - 1)
        if opposed
        else (np.nan if accuracy is None else 0.0),
        "feature_norm": 8 + rng.normal(0, 0.05, 100),
    }
    correct = 360 + int(rng.integers(0, 10))
    metrics = {
        "dev_accuracy": correct / 4, "dev_n": 400, "dev_correct": correct,
        "majority_accuracy": 50.0,
        "dev_low": correct / 4 - 3.4, "dev_high": correct / 4 + 2.8, "learned": True,
        "discriminator_accuracy": accuracy, "discriminator_chance": 25.0,
        "feature_norm_first": 8.0, "feature_norm_last": 8.0,
        "labelled_examples": 1600, "labelled_tokens": 30000, "steps": 100,
        "unlabelled_tokens": 0 if accuracy is None else 30000,
    }  # fmt: skip
    parameters = _parameters(run) | {"lambda_max": dose(arm) or LAMBDA * (not opposed)}
    parameters |= {"domains": "binary" if arm.endswith("binary") else "languages"}
    if recorded:
        joint = method not in ("standard", "robust-adversarial", "robust-smoothing")
        metrics |= {
            "unlabelled_examples": 1600 * joint, "padded_tokens": 36000 * (1 + joint),
            "flops": 4.0e12 * (1 + joint),
            "train_seconds": 10.0 * (1 + 0.8 * joint) + rng.normal(0, 0.1),
            "effective_rank_first": 40.0,
            "effective_rank_last": 30.0 - 8 * opposed + rng.normal(0, 1),
            "task_gradient_norm": 1 + rng.normal(0, 0.05),
            "arm_gradient_norm": 0.3 + rng.normal(0, 0.02) if opposed else None,
            "gradient_cosine": rng.normal(-0.05, 0.02) if opposed else None,
        }  # fmt: skip
        parameters |= {"discriminator_features": "pooled", "discriminator_layer": -1}
        if accuracy is not None:
            metrics |= {"discriminator_low": accuracy - 3, "discriminator_high": accuracy + 3}
        columns |= {
            "arm_loss": columns["domain_loss"],
            "task_gradient_norm": np.nan,
            "arm_gradient_norm": np.nan,
        }
        columns |= {
            "gradient_cosine": np.where(steps % 25 == 0, -0.05 if opposed else np.nan, np.nan)
        }
    path = _run_folder(folder, "intermediate", run)
    write_run(path, run["study"], "intermediate", parameters, metrics)
    pd.DataFrame(columns).to_csv(path / "curves.csv", index=False)


def _parameters(run: dict) -> dict:
    return {key: value for key, value in run.items() if key != "study"}


def _target(folder: Path, run: dict, shape, shift, rho, rng, rng_seed, recorded) -> None:
    """Predictions of one run on every language of a target; items are the same in all runs. shift:
    points by language.
    """
    languages, items, base, parallel, kind = shape
    frames, scores = [], {}
    for position, language in enumerate(languages if kind == "bitext" else ("en", *languages)):
        name = run["target"] if parallel else f"{run['target']}-{language}"
        item = np.random.default_rng([rng_seed, zlib.crc32(name.encode())]).normal(size=items)
        points = np.clip(base + (20 if language == "en" else 3 * position) + shift[language], 1, 99)
        latent = np.sqrt(rho) * item + np.sqrt(1 - rho) * rng.normal(size=items)
        right = latent < norm.ppf(points / 100)
        gold = np.array(
            [f"{name}-{k // 2}" if kind == "bitext" else "abcd"[k % 4] for k in range(items)]
        )
        ids = [
            f"{g} {('xx-en', 'en-xx')[k % 2]}" if kind == "bitext" else f"{name}-{k}"
            for k, g in enumerate(gold)
        ]
        frame = {
            "language": language,
            "example_id": ids,
            "gold": gold,
            "prediction": np.where(right, gold, "wrong"),
        }
        frames.append(pd.DataFrame(frame | {"score": 100.0 * right}))
        if kind == "f1":
            counts = np.column_stack([2 * right, np.full(items, 2), 2 + np.arange(items) % 2])
            frames[-1] = frames[-1].assign(
                score=jackknife(f1_of, counts), **dict(zip(COUNTS, counts.T, strict=True))
            )
        scores[language] = float(f1_of(counts.sum(0))) if kind == "f1" else 100 * right.mean()
    path = _run_folder(folder, "target", run)
    path.mkdir(parents=True, exist_ok=True)
    frame = pd.concat(frames, ignore_index=True).assign(**run)
    columns = [*PREDICTION_COLUMNS, *(name for name in COUNTS if name in frame)]
    frame[columns].to_parquet(path / "predictions.parquet")
    metrics = {
        "metric": {"f1": "f1", "bitext": "accuracy"}.get(kind, kind), "scores": scores,
        "macro": float(np.mean([scores[language] for language in languages])),
        "english": scores.get("en"), "dev_accuracy": None if kind == "bitext" else 80.0,
        "examples": dict.fromkeys(scores, items),
    }  # fmt: skip
    if recorded:
        errors = {name: 10.0 + rng.normal() for name in scores} if kind == "accuracy" else None
        metrics["calibration"] = errors
    write_run(path, run["study"], "target", _parameters(run), metrics)


def _probe(folder: Path, run: dict, rng: np.random.Generator) -> None:
    """Language probes by layer and a map, as 04_probe writes them."""
    path, layers = _run_folder(folder, "probe", run), np.arange(13)
    lost = 4.0 if method_of(run["arm"]) == "dann" else 0.8
    accuracy = np.clip(95 - lost * layers + rng.normal(0, 1, 13), 30, 100)
    table = pd.DataFrame({
        "layer": layers, "accuracy": accuracy, "low": accuracy - 4,
        "high": np.minimum(accuracy + 3.5, 100), "chance": 25.0, "control": 25.0,
        "selectivity": accuracy - 25, "n_test": 80,
        "a_distance": np.clip(accuracy / 50 - 0.1, 0, 2), "language_share": accuracy / 4,
        "cka": np.linspace(1, 0.6, 13),
    })  # fmt: skip
    last = {"accuracy": accuracy[-1], "mlp": accuracy[-1], "chance": 25.0}
    write_run(path, run["study"], "probe", _parameters(run), last)
    if run["seed"] == 0:
        # after a target language is plain again
        tuned = table.assign(stage="fine-tuned", accuracy=97.0)
        table = pd.concat([table.assign(stage="intermediate"), tuned])
        rows = [
            (stage, layer, name, 0.3 - 0.1 * (stage == "intermediate"), name in SEEN)
            for stage in ("public", "intermediate")
            for layer in layers
            for name in ("de", "fr", "ru")
        ]
        frame = pd.DataFrame(rows, columns=["stage", "layer", "language", "gap", "seen"])
        frame.to_csv(path / "parallel.csv", index=False)
    table.to_csv(path / "layers.csv", index=False)
    spread = np.eye(4, 2) * (1 if run["arm"] == "dann" else 4)
    points = rng.normal(size=(40, 2)) + np.repeat(spread, 10, axis=0)
    frame = {
        "id": [f"s{k}" for k in range(40)],
        "language": np.repeat(["de", "en", "fr", "ru"], 10),
    }
    frame |= {"x": points[:, 0], "y": points[:, 1], "share": 40.0}
    pd.DataFrame(frame).to_csv(path / "map.csv", index=False)
