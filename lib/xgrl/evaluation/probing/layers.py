"""Every layer of an encoder at every stage of training: its features, and 04_probe's tables.

A stage is the encoder as it was at one point: "public", "intermediate" (after the intermediate
task), "fine-tuned" (after the target's English fine-tuning). Layer 0 is the embedding layer. What
training left alone is computed once: the frozen lower layers run on every text once for all stages,
and a layer whose features are the same bits as an earlier stage's takes over its numbers.

layers.csv, one row a (stage, layer); accuracies, shares and their intervals in percent:

===================================================== ============================================
accuracy low high chance control selectivity n_test   fresh linear probe (`probing.probes`)
mlp_accuracy mlp_low .. mlp_selectivity mlp_converged the same with the retrained discriminator
a_distance                                            English from the rest, 0 to 2
language_share                                        variance between the languages' means
norm norm_low norm_high                               mean length of a sentence's feature vector
rank rank_low rank_high                               effective rank of the features
cka cka_low cka_high                                  similarity to the first stage, 1 = unmoved
===================================================== ============================================

A layer that collapsed, where all texts have one vector, is a result: its rank is 0, its probes are
at chance, its language_share and cka not estimable: NaN.

parallel.csv, one row a (stage, layer, language): cosine low high random gap gap_low gap_high n
(`probing.similarity.translation_similarity` with English), cka of English and foreign features of
the same sentences, and seen: is it one of the languages that discriminators were trained on?
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from xgrl.arms import arm_spec, checkpoint_of
from xgrl.evaluation.probing.geometry import jackknife_interval, mean_geometry
from xgrl.evaluation.probing.probes import a_distance, language_probe
from xgrl.evaluation.probing.similarity import Translation, cka, translation_similarity
from xgrl.models.encoder import load_encoder
from xgrl.models.heads import HEADS, mean_pool
from xgrl.models.split import top
from xgrl.models.tokens import tokenise
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs import records
from xgrl.runs.progress import watch
from xgrl.training.batches import collate
from xgrl.training.build import starting_point
from xgrl.training.diagnostics import effective_rank, rounding
from xgrl.training.erasure import fit_erasure

LONGEST = 128  # subword tokens of a text
TRANSLATION = [field.name for field in fields(Translation)]
PARALLEL = ("stage", "layer", "language", *TRANSLATION, "cka", "seen")


def stage_folders(
    prepared: Prepared, outputs: str, study: str, target: str, **run: str | int
) -> dict[str, Path]:
    """The encoders of one checkpoint by stage, the oldest first.

    target: after whose fine-tuning the encoder is measured as well, "" for none. run: intermediate,
    arm, seed; for arm "none" the public encoder itself counts as the intermediate stage. Raises
    ValueError where they stem from other prepared data, or one is not there.
    """
    folders = {"intermediate" if run["arm"] == "none" else "public": prepared.folder / "encoder"}
    if run["arm"] != "none":
        trained = run | {"arm": checkpoint_of(run["arm"])}
        origin = records.run_folder(outputs, study, "intermediate", **trained)
        folders["intermediate"] = origin / "checkpoint"
    if target:
        origin = records.run_folder(outputs, study, "target", target=target, **run)
        folders["fine-tuned"] = origin / "encoder"
    for folder in list(folders.values())[1:]:
        prepared.verify_run(folder.parent)
        if not folder.exists():
            remedy = "run 03_target with keep_encoder = True, or set probe_target = ''"
            raise ValueError(f"{folder} is not there: {remedy}")
    return folders


def load_features(
    texts: Sequence[str], folders: Mapping[str, Path], prepared: Prepared
) -> tuple[dict[str, np.ndarray], int]:
    """`stage_features` of the encoders in these folders, and how many lower layers they share: none
    where the arm has changed frozen ones.
    """
    (first, *others) = folders
    public, tokenizer = load_encoder(prepared.folder / "encoder")
    frozen, stages = prepared.frozen_layers(public), {first: public}
    runs = [records.read(folders[stage].parent)["metrics"] for stage in others]
    if any(metrics.get("lower_layers_changed") for metrics in runs):
        frozen = 0
    for stage in others:  # upper layers need no vocabulary
        whole = prepared.encoder(folders[stage]) if frozen else load_encoder(folders[stage])[0]
        stages[stage] = top(whole, frozen)
    return stage_features(texts, stages, tokenizer, frozen), frozen


def erased(
    features: Mapping[str, np.ndarray], job: Mapping[str, Any], prepared: Prepared
) -> Mapping[str, np.ndarray]:
    """Features (layers + 1, n, d) by stage as the arm hands them on: with leace language is erased
    from the last layer, before fine-tuning as for retrieval, after it by the fixed map that lay
    between encoder and head. Changed in place. job: the complete parameters of 04.
    """
    if arm_spec(job["arm"]).erases:
        start, checkpoint = starting_point(job, prepared)
        fit = cache(partial(fit_erasure, start, start.encoder(checkpoint), -1))  # once for both
        pooled = {"intermediate": True}
        if target := job["probe_target"]:
            pooled["fine-tuned"] = HEADS[prepared.head(target)[0]].pooled
        for stage, means in pooled.items():
            features[stage][-1] = fit(not means).vectors(features[stage][-1])
    return features


@torch.inference_mode()
def stage_features(
    texts: Sequence[str], stages: Mapping[str, PreTrainedModel], tokenizer, frozen=0, batch_size=32
) -> dict[str, np.ndarray]:
    """Mean-pooled hidden states of every layer at every stage, in the order of the texts.

    texts: n strings. stages: by name, the first a whole encoder, the others what
    `xgrl.models.split.top` gives of theirs above the `frozen` lowest layers, which they share with
    the first (0: whole encoders too); put in evaluation mode (no dropout). tokenizer: of all of
    them; texts of more than `LONGEST` tokens, or than it takes, are cut. frozen: lower layers that
    all stages have in common. batch_size: texts a forward pass.

    Returns a stage's features (layers + 1, n, d) float32; index 0 is the embedding layer. The mean
    runs over all real tokens, special ones included, and is not normalised in length. A layer whose
    features are the same but for rounding (collapsed) has their mean for all texts: rounding goes
    with a text's length, and lengths with languages. Raises ValueError for no texts.
    """
    if not len(texts):
        raise ValueError("stage_features: no texts")
    (first, *others), features = stages, {}
    whole = stages[first].eval()
    device, pad_id = whole.device, whole.config.pad_token_id or 0
    longest = min(LONGEST, tokenizer.model_max_length)
    corpus = Corpus([], None, tokenise(list(texts), tokenizer, longest))
    order = np.argsort(corpus.tokens.lengths, kind="stable")
    for start in watch(range(0, len(order), batch_size), "batch of sentences"):
        rows = order[start : start + batch_size]
        batch = {k: v.to(device) for k, v in collate([(corpus, rows)], pad_id).items()}
        mask = batch["attention_mask"]
        # layers + 1 of (b, length, d)
        states = {first: whole(**batch, output_hidden_states=True).hidden_states}
        lower, above = states[first][:frozen], batch
        if frozen:
            above = {"inputs_embeds": states[first][frozen], "attention_mask": mask}
        for stage in others:
            upper = stages[stage].eval()(**above, output_hidden_states=True).hidden_states
            states[stage] = lower + upper
        for stage, layers in states.items():
            pooled = torch.stack([mean_pool(layer, mask) for layer in layers]).float().cpu().numpy()
            if stage not in features:
                shape = (len(pooled), len(texts), pooled.shape[2])
                features[stage] = np.empty(shape, dtype=np.float32)
            features[stage][:, rows] = pooled
    for x in (x for layers in features.values() for x in layers):  # (n, d)
        mean = x.mean(0, dtype=np.float64)
        if np.linalg.norm(x - mean) <= rounding(x):
            x[:] = mean
    return features


def measure_layers(
    features: Mapping[str, np.ndarray], languages: Sequence[str], seed: int = 0,
    documents: Sequence | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Every measure of one representation, for each stage and layer: the table of layers.csv.

    features: a stage's features (layers + 1, n, d), as `stage_features` returns them; the first
    stage is what the others are compared with. languages: (n,) language code of each text, "en"
    among them, four texts or more each. seed: of the probes. documents: (n,) of each text, which
    no probe has in both halves; None: each its own.
    """
    english = np.asarray(languages, dtype=str) == "en"
    if (sides := documents) is not None:
        documents = np.asarray(documents)
        sides = np.concatenate([documents[english], documents[~english]])
    n, reference, rows = len(english), next(iter(features)), []
    for stage, layers in features.items():
        for layer, x in enumerate(watch(layers, f"{stage}: layer")):
            key = {"stage": stage, "layer": layer}
            same = (row for row in rows if row["layer"] == layer)
            same = (row for row in same if np.array_equal(features[row["stage"]][layer], x))
            if unmoved := next(same, None):
                rows.append(unmoved | key)
                continue
            linear = asdict(language_probe(x, languages, seed, "linear", documents))
            mlp = asdict(language_probe(x, languages, seed, "mlp", documents))
            row = key | {k: v for k, v in linear.items() if k != "converged"}
            row |= {f"mlp_{k}": v for k, v in mlp.items() if k not in ("chance", "n_test")}
            row["a_distance"] = a_distance(x[english], x[~english], seed, sides)
            _, row["language_share"] = mean_geometry(x, languages)
            lengths, before = np.linalg.norm(x, axis=1), features[reference][layer]
            for name, statistic in {
                "norm": lambda index, lengths=lengths: lengths[index].mean(),
                "rank": lambda index, x=x: effective_rank(x[index]),
                "cka": lambda index, x=x, before=before: cka(x[index], before[index]),
            }.items():
                names = (name, f"{name}_low", f"{name}_high")
                row |= dict(zip(names, jackknife_interval(statistic, n), strict=True))
            rows.append(row)
    return pd.DataFrame(rows)


def measure_translations(
    features: Mapping[str, np.ndarray], texts: pd.DataFrame, seen: Collection[str]
) -> pd.DataFrame:
    """How near translations are, by stage, layer and foreign language: the table of parallel.csv.

    features: a stage's features (layers + 1, n, d) of the texts. texts: (n rows) id and language;
    translations of a sentence share its id, English ("en") is among them. seen: languages that
    discriminators were trained on, which come first, then by name. A language that shares fewer
    than 4 sentences with English is left out: no interval could be given. Without any texts the
    table is empty. Raises ValueError for no English sentences, a sentence twice, or no language
    that shares 4 sentences with English.
    """
    if texts.empty:
        return pd.DataFrame(columns=PARALLEL)
    if texts.duplicated(["id", "language"]).any():
        raise ValueError("parallel texts name a sentence twice in one language")
    groups = texts.reset_index(drop=True).groupby("language")
    positions = {language: pd.Series(own.index, own.id) for language, own in groups}
    if "en" not in positions:
        raise ValueError(f"parallel texts have no English, found {', '.join(positions)}")
    english, rows = positions.pop("en"), []
    for language in sorted(positions, key=lambda name: (name not in seen, name)):
        shared = english.index.intersection(positions[language].index)
        if len(shared) < 4:
            continue
        ours, theirs = english[shared].to_numpy(), positions[language][shared].to_numpy()
        for stage, layers in features.items():
            for layer, x in enumerate(layers):
                row = {"stage": stage, "layer": layer, "language": language}
                row |= asdict(translation_similarity(x[ours], x[theirs]))
                rows.append(row | {"cka": cka(x[ours], x[theirs]), "seen": language in seen})
    if not rows:
        names = ", ".join(positions) or "no language"
        raise ValueError(f"parallel texts: none of {names} shares 4 sentences with English")
    return pd.DataFrame(rows, columns=PARALLEL)


def collapsed(table: pd.DataFrame, parallel: pd.DataFrame) -> list[str]:
    """A warning for each stage and layer where features collapsed: what is not estimable there.

    table: of `measure_layers`. parallel: of `measure_translations`, or empty.
    """
    warnings, lost = [], parallel[parallel.cka.isna()].groupby(["stage", "layer"]).language
    lost = lost.agg(", ".join).to_dict()
    for row in table.to_dict("records"):
        place = row["stage"], row["layer"]
        names = [name for name in ("language_share", "cka") if np.isnan(row[name])]
        if not row["language_share"] < 100 - 1e-9:  # texts of a language share a vector
            names.append("distances of languages")
        if place in lost:
            names.append(f"cka of translations ({lost[place]})")
        if names or row["rank"] == 0:
            found = "{}, layer {}: collapsed features, effective rank".format(*place)
            lacks = ", ".join(names) or "nothing"
            warnings.append(f"{found} {row['rank']:.1f}; not estimable: {lacks}")
    return warnings
