"""Predictions of one checkpoint on one target in every language, scored and ready to be written.

Everything but retrieval is trained in English and applied as it is to every language (zero-shot).
In retrieval a text's vector (mean pool, L2-normalised) searches the candidates. What an example
contributes is in `score`, in points: its own score where the metric is a mean over examples; where
it is an F1 over all of them, the jackknife pseudo-value, whose mean is the jackknife's estimate of
the metric, with the counts behind it in further columns.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xgrl.evaluation.metrics.official import f1_of
from xgrl.evaluation.readout import Change, read_out, unit_features
from xgrl.evaluation.retrieval import best_threshold, mine, nearest
from xgrl.evaluation.scoring import contributions, headline, score
from xgrl.models.task_model import TaskModel
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs.progress import watch
from xgrl.runs.records import COUNTS, PREDICTION_COLUMNS
from xgrl.stats import jackknife
from xgrl.tasks import find_task

RANKED = 20  # candidates that are ranked for each query

# ids, predictions and references of one language, in the metric's own form
Examples = tuple[list[str], list, list]


def predict(
    model: TaskModel, prepared: Prepared, target: str, layer: int = -1, change: Change | None = None
) -> tuple[pd.DataFrame, dict[str, dict], dict[str, float]]:
    """Predictions of a target's test sets, or of its queries, in every language.

    model: encoder and head; retrieval needs no head. prepared: the study's data. target: a target
    task that was prepared. For retrieval layer: as in `xgrl.evaluation.readout.features`; change:
    what is done to the pooled vectors (n, H) of a language's queries or candidates.

    Returns language, example_id, gold, prediction (names, numbers, ids, spans: never text), score
    and, for an F1 over all examples, the counts `records.COUNTS`; the official scores by language,
    in percent; and the calibration error by language, where there are classes or choices.
    """
    task = find_task(target, "target")
    search = Search(model, prepared, target, layer, change)
    frames, scores, errors = [], {}, {}
    for language in watch(prepared.languages(target), "language"):
        if task.format == "retrieval":
            (ids, predictions, references), spans = SEARCHES[task.metric](search, language), None
        else:
            corpus = prepared.corpus(f"target/{target}/test-{language}")
            *sides, confidence, spans = read_out(model, corpus)
            ids, names = corpus.ids, np.array(prepared.labels(target))
            if len(names):  # classes, or arrays of tags
                sides = [[names[value].tolist() for value in side] for side in sides]
            predictions, references = sides
            if len(confidence):
                right = np.array(predictions) == np.array(references)
                errors[language] = calibration_error(right, confidence)
        scores[language] = score(target, predictions, references, language=language)
        frame = _frame(task.metric, language, ids, predictions, references, spans)
        frames.append(frame)
        # the benchmark's own number is one direction, ours the mean of both
        if task.metric == "retrieval_accuracy":
            directions = frame.groupby(frame["example_id"].str[-5:], sort=False)["score"].mean()
            scores[language] |= directions.add_prefix("accuracy ").to_dict()
    return pd.concat(frames, ignore_index=True), scores, errors


def calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in percent: mean of |accuracy - confidence| over bins by size.

    right: (n,) bool. confidence: (n,) probability of what was predicted. bins: of equal width.
    Source: Guo et al. 2017, "On calibration of modern neural networks" (ICML), equation 3.
    """
    own_bin = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(own_bin, weights=right.astype(float) - confidence, minlength=bins)
    return 100 * float(np.abs(gaps).sum() / len(right))


@dataclass
class Search:
    """Queries and candidates of one target as vectors; shared candidates are embedded once."""

    model: TaskModel
    prepared: Prepared
    target: str
    layer: int
    change: Change | None
    last: tuple[list[str], np.ndarray, np.ndarray] = ([], np.empty(0), np.empty(0))

    def queries(self, language: str, kind: str = "") -> tuple[Corpus, np.ndarray]:
        """The corpus of a language's n queries and their vectors (n, H)."""
        corpus = self.prepared.corpus(f"target/{self.target}/{kind}queries-{language}")
        return corpus, unit_features(self.model, corpus, self.layer, self.change)

    def candidates(self, language: str, kind: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Ids (m,) and vectors (m, H) of all candidates that queries of a language search."""
        names = self.prepared.candidates(self.target, language, kind)
        if names != self.last[0]:
            corpora = [self.prepared.corpus(name) for name in names]
            vectors = [unit_features(self.model, c, self.layer, self.change) for c in corpora]
            ids = np.array([name for corpus in corpora for name in corpus.ids])
            self.last = names, ids, vectors[0] if len(vectors) == 1 else np.concatenate(vectors)
        return self.last[1:]

    def groups(self, language: str, kind: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Position of the first query, (n,), and candidate, (m,), with the same text as each."""
        queries = [f"target/{self.target}/{kind}queries-{language}"]
        sides = [queries, self.prepared.candidates(self.target, language, kind)]
        groups = [[self.prepared.corpus(name).column("group") for name in side] for side in sides]
        return tuple(map(np.concatenate, groups))


def _bitext(search: Search, language: str) -> Examples:
    """Nearest candidates, foreign to English ("xx-en") and back ("en-xx"); any right one does."""
    corpus, vectors = search.queries(language)
    english_ids, english_vectors = search.candidates(language)
    ids, golds = np.array(corpus.ids), corpus.column("gold")
    asking: dict[str, list[str]] = {}  # queries that a candidate answers
    for query, answers in zip(corpus.ids, golds, strict=True):
        for answer in answers:
            asking.setdefault(answer, []).append(query)
    back = np.isin(english_ids, list(asking))
    to_english = english_ids[nearest(vectors, english_vectors, k=1)[0][:, 0]]
    from_english = ids[nearest(english_vectors[back], vectors, k=1)[0][:, 0]]
    names = [f"{i} xx-en" for i in ids] + [f"{i} en-xx" for i in english_ids[back]]
    predictions = [*to_english.tolist(), *from_english.tolist()]
    right = [*golds, *(asking[i] for i in english_ids[back])]
    pairs = zip(predictions, right, strict=True)
    return names, predictions, [found if found in each else each[0] for found, each in pairs]


def _ranked(search: Search, language: str) -> Examples:
    (corpus, queries), (ids, vectors) = search.queries(language), search.candidates(language)
    index, _ = nearest(queries, vectors, k=min(RANKED, len(ids)))
    return corpus.ids, ids[index].tolist(), corpus.column("gold")


def _mined(search: Search, language: str) -> Examples:
    """Pairs "source<tab>target" with a margin above the threshold that is best on dev."""
    tuned, known, _ = mined_pairs(search, language, "dev-")
    threshold = best_threshold(tuned, known)
    mined, _, golds = mined_pairs(search, language)
    kept = {pair.partition("\t")[0]: pair for pair, margin in mined.items() if margin >= threshold}
    references = [f"{source}\t{t}" for source, targets in golds.items() for t in targets or [""]]
    return list(golds), [kept.get(source, f"{source}\t") for source in golds], references


def mined_pairs(search: Search, language: str, kind="") -> tuple[dict[str, float], set, dict]:
    """Mined pairs with their margins, all right pairs, and the right partners of each source."""
    corpus, queries = search.queries(language, kind)
    ids, candidates = search.candidates(language, kind)
    groups = search.groups(language, kind)
    # equal texts are searched once ...
    once = [np.flatnonzero(group == np.arange(len(group))) for group in groups]
    # ... and are in no result
    alone = [np.bincount(group)[rows] == 1 for group, rows in zip(groups, once, strict=True)]
    query, candidate, margin = mine(queries[once[0]], candidates[once[1]])
    usable = alone[0][query] & alone[1][candidate]
    sources = np.array(corpus.ids)[once[0]][query[usable]]
    targets = ids[once[1]][candidate[usable]]
    pairs = (f"{source}\t{target}" for source, target in zip(sources, targets, strict=True))
    golds = dict(zip(corpus.ids, corpus.column("gold"), strict=True))
    right = {f"{source}\t{target}" for source, targets in golds.items() for target in targets}
    return dict(zip(pairs, margin[usable].tolist(), strict=True)), right, golds


SEARCHES: dict[str, Callable[[Search, str], Examples]] = {  # by metric
    "retrieval_accuracy": _bitext, "map": _ranked, "mrr": _ranked, "mined_f1": _mined,
}  # fmt: skip


def _frame(metric: str, language: str, ids: list, predictions: list, references: list, spans=None):
    counts = contributions(metric, predictions, references, language=language)
    if metric == "mined_f1":  # a row a source sentence
        golds: dict[str, list[str]] = {name: [] for name in ids}
        for source, _, target in (pair.partition("\t") for pair in references):
            golds[source].append(target)
        predictions = [pair.partition("\t")[2] for pair in predictions]
        references = list(golds.values())
    predictions, references = spans or (predictions, references)  # what is recorded
    columns = {"language": language, "example_id": list(ids), "gold": list(map(_text, references))}
    frame = pd.DataFrame(columns | {"prediction": list(map(_text, predictions))})
    if counts.shape[1] == 1:
        return frame.assign(score=counts[:, 0])
    points = jackknife(f1_of, counts) if len(counts) > 1 else f1_of(counts)
    return frame.assign(score=points, **dict(zip(COUNTS, counts.T, strict=True)))


def _text(value: Any) -> str:
    """One cell of the table: tags and ids joined by blanks, several answers as JSON."""
    if isinstance(value, list | tuple):
        blanks = any(" " in str(part) or not part for part in value)
        return json.dumps(list(value), ensure_ascii=False) if blanks else " ".join(map(str, value))
    return str(value)


def complete(frame: pd.DataFrame, parameters: dict[str, Any]) -> pd.DataFrame:
    """The columns of ``predictions.parquet``, the run's names filled in."""
    names = {k: parameters[k] for k in ("study", "intermediate", "arm", "target", "seed")}
    counts = [column for column in COUNTS if column in frame]
    return frame.assign(**names)[[*PREDICTION_COLUMNS, *counts]]


def summarise(frame: pd.DataFrame, scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A percentage a language, their zero-shot macro average, English, all official scores."""
    main = {language: headline(official) for language, official in scores.items()}
    foreign = [value for language, value in main.items() if language != "en"]
    if not foreign:
        raise ValueError(f"{list(scores)}: English only; zero-shot transfer needs another language")
    names = next(iter(scores.values()))
    return {
        "metric": "(exact_match + f1) / 2" if "exact_match" in names else next(iter(names)),
        "scores": main, "official": scores, "macro": float(np.mean(foreign)),
        "english": main.get("en"),
        "examples": frame.groupby("language", sort=False).size().to_dict(),
    }  # fmt: skip
