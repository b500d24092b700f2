"""Predictions of one checkpoint on one target in every language, scored and ready to be written.

Everything but retrieval is trained in English and applied as it is to every language (zero-shot).
In retrieval a text's vector (mean pool, L2-normalised) searches the candidates. What an example
contributes is in `score`, in points: its own score where the metric is a mean over examples; where
it is an F1 over all of them, the jackknife pseudo-value, whose mean is the jackknife's estimate of
the metric, with the counts behind it in further columns.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from xgrl.evaluation.metrics import contributions, from_counts, headline, score
from xgrl.evaluation.retrieval import best_threshold, mine, nearest
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import TaskModel, mixed_precision
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.folder import Prepared
from xgrl.runs.progress import watch
from xgrl.runs.records import COUNTS, PREDICTION_COLUMNS
from xgrl.stats import jackknife
from xgrl.tasks import find_task
from xgrl.training.batches import collate

BATCH = 64
RANKED = 20  # candidates that are ranked for each query
BEST = 20  # first and last tokens that are looked at for an answer
LONGEST_ANSWER = 30  # tokens

NOTHING = np.empty(0, np.float32)
Change = Callable[[np.ndarray], np.ndarray]
# ids, predictions and references of one language, in the metric's own form
Found = tuple[list[str], list, list]


@torch.inference_mode()
def _read(
    model: TaskModel, corpus: Corpus, layer: int = -1
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Hidden states of a corpus in batches of similar length, dropout off: sequences (B,), states
    (B, L, H), mask (B, L).
    """
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(corpus.tokens.lengths, kind="stable")
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        inputs = {
            k: v.to(device)
            for k, v in collate([(corpus, rows)], model.encoder.config.pad_token_id).items()
        }
        with mixed_precision(device):
            hidden = model.hidden(layer, **inputs)
        yield rows, hidden.float(), inputs["attention_mask"]


@torch.inference_mode()
def features(model: TaskModel, corpus: Corpus, layer: int = -1) -> np.ndarray:
    """Pooled features (m, H) float32 of a corpus's sequences, in its order.

    Args:
        model: in evaluation mode afterwards.
        corpus: m sequences.
        layer: the trainable part's layer whose output is pooled; 0 is what goes in, -1 the last.
    """
    result = np.empty((len(corpus.tokens), model.encoder.config.hidden_size), np.float32)
    for rows, hidden, mask in _read(model, corpus, layer):
        result[rows] = mean_pool(hidden, mask).float().cpu().numpy()
    return result


def _vectors(
    model: TaskModel, corpus: Corpus, layer: int, change: Change | None = None
) -> np.ndarray:
    found = features(model, corpus, layer)
    found = found if change is None else change(found)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@torch.inference_mode()
def classify(model: TaskModel, corpus: Corpus, task: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Predicted class, or choice, (n,) int64 of each example, and its probability (n,) float32."""
    head = model.head_of(task)
    scores = head(torch.from_numpy(features(model, corpus)).to(next(model.parameters()).device))
    several = corpus.format == "multiple_choice"
    parts = scores.split(np.diff(corpus.first).tolist()) if several else [scores]
    best = [(part.argmax(-1), part.softmax(-1).amax(-1)) for part in parts]
    found, sure = (
        np.concatenate([np.atleast_1d(v.cpu().numpy()) for v in column])
        for column in zip(*best, strict=True)
    )
    return found, sure


def calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in percent: mean over bins of |accuracy - confidence|, weighted by
    their sizes.

    Args:
        right: (n,) bool. confidence: (n,) probability of what was predicted. bins: of equal width.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (ICML), equation 3.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=right.astype(float) - confidence, minlength=bins)
    return 100 * float(np.abs(gaps).sum() / len(right))


@torch.inference_mode()
def token_scores(
    model: TaskModel, corpus: Corpus, read: Callable[[Tensor], Tensor], task: str = ""
) -> np.ndarray:
    """What `read` makes of the head's scores (B, L, outputs) of every token, in the corpus's order:
    (T, ...).
    """
    result = None
    for rows, hidden, _ in _read(model, corpus):
        found = read(model.head_of(task)(hidden).float()).cpu().numpy()
        if result is None:
            result = np.empty((len(corpus.tokens.ids), *found.shape[2:]), found.dtype)
        for row, values in zip(rows, found, strict=True):
            start, end = corpus.tokens.offsets[row : row + 2]
            result[start:end] = values[: end - start]
    return result


def tag(model: TaskModel, corpus: Corpus, task: str = "") -> list[np.ndarray]:
    """Predicted tag (words,) int64 of every word of each example."""
    tags = token_scores(model, corpus, lambda scores: scores.argmax(-1), task)
    borders = corpus.tokens.offsets[corpus.first]
    return [tags[a:b][corpus.origin[a:b] >= 0] for a, b in itertools.pairwise(borders)]


def answer(
    model: TaskModel, corpus: Corpus, task: str = "", may_be_empty: bool = False
) -> list[str]:
    """Predicted answer to each question: the best span over all windows of its context.

    Args:
        model, corpus: a span QA head and corpus.
        task: name of the head in a mixture.
        may_be_empty: "" where no span scores above <s> in any window (SQuAD v2.0; Devlin et al.
            2019, section 4.3).
    """
    scores = token_scores(model, corpus, lambda found: found, task)
    texts = []
    for context, start, end in zip(
        corpus.column("context"), corpus.first[:-1], corpus.first[1:], strict=True
    ):
        best, text, null = -np.inf, "", np.inf
        for window in range(start, end):
            a, b = corpus.tokens.offsets[window : window + 2]
            null = min(null, float(scores[a].sum()))
            value, span = _best_span(scores[a:b], corpus.origin[a:b])
            if value > best:
                best, text = value, context[span[0] : span[1]].strip()
        texts.append("" if may_be_empty and null > best else text)
    return texts


def _best_span(scores: np.ndarray, origin: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Score and characters of a window's best span inside the context: scores (L, 2), origin (L,
    2).
    """
    inside = np.flatnonzero(origin[:, 0] >= 0)
    if not len(inside):
        return -np.inf, (0, 0)
    starts, ends = (
        inside[np.argsort(-scores[inside, side], kind="stable")[:BEST]] for side in (0, 1)
    )
    total = scores[starts, 0][:, None] + scores[ends, 1][None]
    length = ends[None] - starts[:, None]
    total[(length < 0) | (length >= LONGEST_ANSWER)] = -np.inf
    i, j = np.unravel_index(total.argmax(), total.shape)
    return float(total[i, j]), (int(origin[starts[i], 0]), int(origin[ends[j], 1]))


def predict(
    model: TaskModel, prepared: Prepared, target: str, layer: int = -1, change: Change | None = None
) -> tuple[pd.DataFrame, dict[str, dict], dict[str, float]]:
    """Predictions of a target's test sets, or of its queries, in every language.

    Args:
        model: encoder and head; retrieval needs no head.
        prepared: the study's data.
        target: a target task that was prepared.
        layer: as in `features`, for retrieval.
        change: what is done to the pooled vectors (n, H) of a language's queries or candidates, for
            retrieval.

    Returns:
        language, example_id, gold, prediction, score and, for an F1 over all examples, the counts
        `records.COUNTS`; the official scores by language, in percent; and the calibration error by
        language, where there are classes or choices.
    """
    task = find_task(target, "target")
    find, search = SEARCH.get(task.metric), _Search(model, prepared, target, layer, change)
    frames, scores, calibration = [], {}, {}
    for language in watch(prepared.languages(target), "language"):
        if task.format == "retrieval":
            ids, predictions, references = find(search, language)
        else:
            ids, predictions, references, sure = _labelled(model, prepared, target, language)
            if len(sure):
                right = np.array(predictions) == np.array(references)
                calibration[language] = calibration_error(right, sure)
        scores[language] = score(target, predictions, references, language=language)
        frames.append(_frame(task.metric, language, ids, predictions, references))
        # the benchmark's own number is one direction, ours the mean of both
        if task.metric == "retrieval_accuracy":
            found = (
                frames[-1].groupby(frames[-1]["example_id"].str[-5:], sort=False)["score"].mean()
            )
            scores[language] |= {
                f"accuracy {direction}": value for direction, value in found.items()
            }
    return pd.concat(frames, ignore_index=True), scores, calibration


def _labelled(
    model: TaskModel, prepared: Prepared, target: str, language: str
) -> tuple[*Found, np.ndarray]:
    """As `Found`, and the probability of each prediction where the format has one."""
    corpus = prepared.corpus(f"target/{target}/test-{language}")
    if corpus.format == "span_qa":
        return (
            corpus.ids,
            answer(model, corpus),
            [found["text"] for found in corpus.column("answers")],
            NOTHING,
        )
    if corpus.format == "tagging":
        names = np.array(prepared.labels(target))
        gold = [names[tags].tolist() for tags in corpus.column("tags")]
        return corpus.ids, [names[tags].tolist() for tags in tag(model, corpus)], gold, NOTHING
    found, sure = classify(model, corpus)
    if corpus.format == "multiple_choice":
        return corpus.ids, found.tolist(), corpus.labels.tolist(), sure
    names = np.array(prepared.labels(target))
    return corpus.ids, names[found].tolist(), names[corpus.labels].tolist(), sure


class _Search:
    """Queries and candidates of one target as vectors; candidates that all languages share are
    embedded once.
    """

    def __init__(
        self, model: TaskModel, prepared: Prepared, target: str, layer: int, change: Change | None
    ):
        self.model, self.prepared, self.target, self.layer, self.change = (
            model,
            prepared,
            target,
            layer,
            change,
        )
        self.last: tuple[list[str], np.ndarray, np.ndarray] = ([], np.empty(0), np.empty(0))

    def queries(self, language: str, kind: str = "") -> tuple[Corpus, np.ndarray]:
        """The corpus of a language's n queries and their vectors (n, H)."""
        corpus = self.prepared.corpus(f"target/{self.target}/{kind}queries-{language}")
        return corpus, _vectors(self.model, corpus, self.layer, self.change)

    def candidates(self, language: str, kind: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Ids (m,) and vectors (m, H) of all candidates that queries of a language search."""
        names = self.prepared.candidates(self.target, language, kind)
        if names != self.last[0]:
            corpora = [self.prepared.corpus(name) for name in names]
            vectors = [_vectors(self.model, corpus, self.layer, self.change) for corpus in corpora]
            ids = np.array([name for corpus in corpora for name in corpus.ids])
            self.last = names, ids, vectors[0] if len(vectors) == 1 else np.concatenate(vectors)
        return self.last[1:]

    def groups(self, language: str, kind: str = "") -> tuple[np.ndarray, np.ndarray]:
        """For each query and each candidate the position of the first one with the same text, (n,)
        and (m,).
        """
        names = (
            [f"target/{self.target}/{kind}queries-{language}"],
            self.prepared.candidates(self.target, language, kind),
        )
        return tuple(
            np.concatenate([self.prepared.corpus(name).column("group") for name in side])
            for side in names
        )


def _bitext(search: _Search, language: str) -> Found:
    """Nearest candidates in both directions, foreign to English ("xx-en") and English to foreign
    ("en-xx").
    """
    (corpus, vectors), (english_ids, english_vectors) = (
        search.queries(language),
        search.candidates(language),
    )
    ids = np.array(corpus.ids)
    back = np.isin(english_ids, ids)
    forth = english_ids[nearest(vectors, english_vectors, k=1)[0][:, 0]]
    found = ids[nearest(english_vectors[back], vectors, k=1)[0][:, 0]]
    names = [f"{i} xx-en" for i in ids] + [f"{i} en-xx" for i in english_ids[back]]
    return names, [*forth.tolist(), *found.tolist()], [*ids.tolist(), *english_ids[back].tolist()]


def _rank(search: _Search, language: str) -> Found:
    (corpus, queries), (ids, vectors) = search.queries(language), search.candidates(language)
    found = nearest(queries, vectors, k=min(RANKED, len(ids)))[0]
    return corpus.ids, ids[found].tolist(), corpus.column("gold")


def _mined(search: _Search, language: str) -> Found:
    """Pairs with a margin above the threshold that is best on the development set; pairs are
    "source<tab>target".
    """
    tuned, known, _ = _pairs(search, language, "dev-")
    threshold, _ = best_threshold(tuned, known)
    mined, _, golds = _pairs(search, language)
    kept = {pair.partition("\t")[0]: pair for pair, margin in mined.items() if margin >= threshold}
    references = [f"{source}\t{gold}" for source, found in golds.items() for gold in found or [""]]
    return list(golds), [kept.get(source, f"{source}\t") for source in golds], references


def _pairs(
    search: _Search, language: str, kind: str = ""
) -> tuple[dict[str, float], set[str], dict[str, list[str]]]:
    """Mined pairs with their margins, all right pairs, and the right partners of every source
    sentence.
    """
    (corpus, queries), (ids, candidates) = (
        search.queries(language, kind),
        search.candidates(language, kind),
    )
    groups = search.groups(language, kind)
    # equal texts are searched once ...
    once = [np.flatnonzero(group == np.arange(len(group))) for group in groups]
    # ... and are in no result
    alone = [np.bincount(group)[rows] == 1 for group, rows in zip(groups, once, strict=True)]
    found = mine(queries[once[0]], candidates[once[1]])
    usable = alone[0][found.query] & alone[1][found.candidate]
    sources, targets = (
        np.array(corpus.ids)[once[0]][found.query[usable]],
        ids[once[1]][found.candidate[usable]],
    )
    mined = {
        f"{s}\t{t}": float(m) for s, t, m in zip(sources, targets, found.score[usable], strict=True)
    }
    golds = dict(zip(corpus.ids, corpus.column("gold"), strict=True))
    return mined, {f"{s}\t{t}" for s, of in golds.items() for t in of}, golds


SEARCH = {"retrieval_accuracy": _bitext, "map": _rank, "mrr": _rank, "mined_f1": _mined}


def _frame(
    metric: str, language: str, ids: Sequence[str], predictions: list, references: list
) -> pd.DataFrame:
    counts = contributions(metric, predictions, references, language=language)
    if metric == "mined_f1":
        golds: dict[str, list[str]] = {name: [] for name in ids}
        for pair in references:
            golds[pair.partition("\t")[0]].append(pair.partition("\t")[2])
        predictions, references = (
            [pair.partition("\t")[2] for pair in predictions],
            list(golds.values()),
        )
    frame = pd.DataFrame(
        {"language": language, "example_id": list(ids), "gold": list(map(_text, references))}
    )
    frame["prediction"] = list(map(_text, predictions))
    if counts.shape[1] == 1:
        return frame.assign(score=counts[:, 0])
    values = (
        jackknife(lambda sums: from_counts(metric, sums), counts)
        if len(counts) > 1
        else from_counts(metric, counts)
    )
    return frame.assign(score=values, **dict(zip(COUNTS, counts.T, strict=True)))


def _text(value: Any) -> str:
    """One cell of the table: tags and ids joined by blanks, several answers as JSON."""
    if isinstance(value, list | tuple):
        blanks = any(" " in str(part) or not part for part in value)
        return json.dumps(list(value), ensure_ascii=False) if blanks else " ".join(map(str, value))
    return str(value)


def complete(frame: pd.DataFrame, parameters: dict[str, Any]) -> pd.DataFrame:
    """The columns of ``predictions.parquet``, the run's names filled in."""
    named = {k: parameters[k] for k in ("study", "intermediate", "arm", "target", "seed")}
    return frame.assign(**named)[
        [*PREDICTION_COLUMNS, *(column for column in COUNTS if column in frame)]
    ]


def summarise(frame: pd.DataFrame, scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    """One number a language in percent, its macro average over zero-shot languages, English apart,
    and all official scores.
    """
    main = {language: headline(found) for language, found in scores.items()}
    foreign = [value for language, value in main.items() if language != "en"]
    if not foreign:
        raise ValueError(
            f"{list(scores)}: predicted in English only; zero-shot transfer needs another language"
        )
    names = next(iter(scores.values()))
    return {
        "metric": "(exact_match + f1) / 2" if "exact_match" in names else next(iter(names)),
        "scores": main,
        "official": scores,
        "macro": float(np.mean(foreign)),
        "english": main.get("en"),
        "examples": frame.groupby("language", sort=False).size().to_dict(),
    }


def check(model: TaskModel, corpus: Corpus, task: str = "") -> tuple[int, int, float]:
    """Was it learned? Right answers, their number, and the share that is right without looking, in
    percent.

    Counted are examples; in tagging words, in span QA exact answers, in pairs queries that find
    their candidate among all of the corpus. Without looking: always the most frequent class, place,
    tag or answer (perhaps none); one of all candidates.
    """
    if corpus.format == "pairs":
        vectors = _vectors(model, corpus, -1)
        found = corpus.labels[nearest(vectors[0::2], vectors[1::2], k=1)[0][:, 0]]
        return (
            int((found == corpus.labels).sum()),
            len(found),
            100 * float(np.bincount(corpus.labels).max()) / len(found),
        )
    if corpus.format == "tagging":
        found, gold = (
            np.concatenate(tag(model, corpus, task)),
            np.concatenate(corpus.column("tags")),
        )
    elif corpus.format == "span_qa":
        golds = [answers["text"] or [""] for answers in corpus.column("answers")]
        texts = answer(model, corpus, task, may_be_empty=any(gold == [""] for gold in golds))
        exact = contributions("squad", texts, golds)[:, 0] == 100
        return (
            int(exact.sum()),
            len(golds),
            100 * Counter(gold[0] for gold in golds).most_common(1)[0][1] / len(golds),
        )
    else:
        found, gold = classify(model, corpus, task)[0], corpus.labels
    return int((found == gold).sum()), len(gold), 100 * float(np.bincount(gold).max()) / len(gold)
