"""Predictions of one checkpoint on one target in every language, scored and ready to be written.

Classification: trained in English, applied as it is to every language (zero-shot). Retrieval: nothing is trained; texts
are embedded (mean pool, L2-normalised), and each query's nearest candidate is its prediction, in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from xgrl.metrics import score
from xgrl.prepared import Prepared
from xgrl.records import PREDICTION_COLUMNS
from xgrl.retrieval import nearest
from xgrl.text import Corpus, collate
from xgrl.training import TaskModel

BATCH = 64


@torch.inference_mode()
def features(model: TaskModel, corpus: Corpus) -> np.ndarray:
    """Pooled features (n, H) float32 of a corpus, in its order; computed in batches of similar length, dropout off."""
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(corpus.tokens.lengths, kind="stable")
    parts = []
    for first in range(0, len(order), BATCH):
        inputs = collate([(corpus, order[first : first + BATCH])], model.encoder.config.pad_token_id)
        parts.append(model.features(**{k: v.to(device) for k, v in inputs.items()}).float().cpu().numpy())
    found = np.concatenate(parts)
    result = np.empty_like(found)
    result[order] = found
    return result


@torch.inference_mode()
def classify(model: TaskModel, corpus: Corpus) -> np.ndarray:
    """Predicted class (n,) int64 of each text."""
    pooled = torch.from_numpy(features(model, corpus)).to(next(model.parameters()).device)
    return model.head(pooled).argmax(-1).cpu().numpy()


def predict_classification(model: TaskModel, prepared: Prepared, target: str) -> pd.DataFrame:
    """Predictions on the test set of every language: language, example_id, gold, prediction, score (100 right, 0 wrong)."""
    names = np.array(prepared.labels(target))
    frames = []
    for language in prepared.languages(target):
        corpus = prepared.corpus(f"target/{target}/test-{language}")
        frames.append(_rows(language, corpus.ids, names[corpus.labels], names[classify(model, corpus)]))
    return pd.concat(frames, ignore_index=True)


def predict_retrieval(model: TaskModel, prepared: Prepared, target: str) -> pd.DataFrame:
    """Nearest candidates in both directions, foreign to English ("xx-en") and English to foreign ("en-xx")."""
    frames, embedded = [], {}
    for language in prepared.languages(target):
        for name in (f"queries-{language}", candidates := prepared.candidates(target, language)):
            if name not in embedded:
                corpus = prepared.corpus(f"target/{target}/{name}")
                embedded[name] = np.asarray(corpus.ids), _normalised(features(model, corpus))
        (ids, vectors), (english_ids, english_vectors) = embedded[f"queries-{language}"], embedded[candidates]
        back = np.isin(english_ids, ids)
        for direction, query_ids, queries, candidate_ids, pool in (
            ("xx-en", ids, vectors, english_ids, english_vectors),
            ("en-xx", english_ids[back], english_vectors[back], ids, vectors),
        ):
            found = candidate_ids[nearest(queries, pool, k=1)[0][:, 0]]
            frames.append(_rows(language, [f"{i} {direction}" for i in query_ids], query_ids, found))
    return pd.concat(frames, ignore_index=True)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _rows(language: str, ids: Sequence[str], gold: np.ndarray, found: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"language": language, "example_id": list(ids), "gold": gold, "prediction": found, "score": 100.0 * (gold == found)}
    )


def complete(frame: pd.DataFrame, parameters: dict[str, Any]) -> pd.DataFrame:
    """The columns of ``predictions.parquet``, the run's names filled in."""
    named = {k: parameters[k] for k in ("study", "intermediate", "arm", "target", "seed")}
    return frame.assign(**named)[list(PREDICTION_COLUMNS)]


def summarise(frame: pd.DataFrame, target: str) -> dict[str, Any]:
    """Official scores per language in percent, their macro average over zero-shot languages, English apart."""
    groups = dict(list(frame.groupby("language", sort=False)))
    scores = {
        language: next(iter(score(target, list(g["prediction"]), list(g["gold"]), language=language).values()))
        for language, g in groups.items()
    }
    foreign = [value for language, value in scores.items() if language != "en"]
    if not foreign:
        raise ValueError(f"target {target!r} was predicted in English only; zero-shot transfer needs another language")
    return {
        "scores": scores,
        "macro": float(np.mean(foreign)),
        "english": scores.get("en"),
        "examples": {language: len(g) for language, g in groups.items()},
    }


def accuracy(model: TaskModel, corpus: Corpus) -> tuple[int, int]:
    """Right answers and number of texts of a labelled corpus."""
    return int((classify(model, corpus) == corpus.labels).sum()), len(corpus.ids)
