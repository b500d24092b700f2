"""What a trained model says about a prepared corpus: features, classes, tags, answers.

`READERS` has one function a format; what is predicted of a test set (`xgrl.evaluation.predict`) and
what is counted on English development data (`dev_accuracy`) both come from it.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xgrl.evaluation.retrieval import nearest
from xgrl.evaluation.scoring import contributions
from xgrl.evaluation.spans import span_of, text_at
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import TaskModel
from xgrl.prepare.corpus import Corpus
from xgrl.stats import exact_binomial
from xgrl.training.batches import hidden_batches

BEST = 20  # first and last tokens that are looked at for an answer
LONGEST_ANSWER = 30  # tokens

Change = Callable[[np.ndarray], np.ndarray]  # of vectors (n, H)


class Readout(NamedTuple):
    """Predictions for the n examples of a corpus, beside what is right, in its order.

    predictions, references: class or choice numbers; arrays of tag numbers; answers and lists of
    gold answers. confidence: (n,) probability of each prediction, empty where there is none.
    spans: in span QA predictions and references once more, as spans of their contexts.
    """

    predictions: list
    references: list
    confidence: np.ndarray = np.empty(0, np.float32)
    spans: tuple[list[str], list[list[str]]] | None = None


@torch.inference_mode()
def features(model: TaskModel, corpus: Corpus, layer: int = -1) -> np.ndarray:
    """Pooled features (m, H) float32 of a corpus's m sequences, in its order.

    model: in evaluation mode afterwards. layer: the trainable part's layer whose output is pooled;
    0 is what goes in, -1 the last.
    """
    pooled = np.empty((len(corpus.tokens), model.encoder.config.hidden_size), np.float32)
    for rows, hidden, mask in hidden_batches(model, corpus, layer):
        pooled[rows] = mean_pool(hidden, mask).float().cpu().numpy()
    return pooled


def unit_features(model: TaskModel, corpus: Corpus, layer=-1, change: Change | None = None):
    """`features` (m, H), if need be as `change` makes them, scaled to length 1."""
    vectors = features(model, corpus, layer)
    vectors = vectors if change is None else change(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(lengths.dtype).tiny)  # collapsed ones may be 0


@torch.inference_mode()
def token_scores(
    model: TaskModel, corpus: Corpus, read: Callable[[Tensor], Tensor], task: str = ""
) -> np.ndarray:
    """What `read` makes of each token's scores (B, L, outputs), in the corpus's order: (T, ...)."""
    result = None
    for rows, hidden, _ in hidden_batches(model, corpus):
        batch = read(model.head_of(task)(hidden).float()).cpu().numpy()
        if result is None:
            result = np.empty((len(corpus.tokens.ids), *batch.shape[2:]), batch.dtype)
        for row, values in zip(rows, batch, strict=True):
            start, end = corpus.tokens.offsets[row : row + 2]
            result[start:end] = values[: end - start]
    return result


def answer(model: TaskModel, corpus: Corpus, task: str = "", may_be_empty=False) -> list[str]:
    """Span of the predicted answer to each question: the best over all windows of its context.

    task: name of the head in a mixture. may_be_empty: "" where no span scores above <s> in any
    window (SQuAD v2.0; Devlin et al. 2019, section 4.3).
    """
    scores = token_scores(model, corpus, lambda scores: scores, task)
    spans = []
    windows = itertools.pairwise(corpus.first)
    for context, (start, end) in zip(corpus.column("context"), windows, strict=True):
        best, answered, null = -np.inf, "", np.inf
        for window in range(start, end):
            a, b = corpus.tokens.offsets[window : window + 2]
            null = min(null, float(scores[a].sum()))
            value, characters = _best_span(scores[a:b], corpus.origin[a:b])
            if value > best:
                best, answered = value, span_of(context, *characters)
        spans.append("" if may_be_empty and null > best else answered)
    return spans


def _best_span(scores: np.ndarray, origin: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Score and characters of a window's best span in the context: scores, origin (L, 2)."""
    inside = np.flatnonzero(origin[:, 0] >= 0)
    if not len(inside):
        return -np.inf, (0, 0)
    orders = (np.argsort(-scores[inside, side], kind="stable") for side in (0, 1))
    starts, ends = (inside[order[:BEST]] for order in orders)
    total = scores[starts, 0][:, None] + scores[ends, 1][None]
    length = ends[None] - starts[:, None]
    total[(length < 0) | (length >= LONGEST_ANSWER)] = -np.inf
    i, j = np.unravel_index(total.argmax(), total.shape)
    return float(total[i, j]), (int(origin[starts[i], 0]), int(origin[ends[j], 1]))


@torch.inference_mode()
def _classes(model: TaskModel, corpus: Corpus, task: str) -> Readout:
    vectors = torch.from_numpy(features(model, corpus)).to(next(model.parameters()).device)
    scores = model.head_of(task)(vectors)
    several = corpus.format == "multiple_choice"
    rows = scores.split(np.diff(corpus.first).tolist()) if several else [scores]
    best = zip(*((row.argmax(-1), row.softmax(-1).amax(-1)) for row in rows), strict=True)
    classes, confidence = (torch.hstack(column).cpu().numpy() for column in best)
    return Readout(classes.tolist(), corpus.labels.tolist(), confidence)


def _tags(model: TaskModel, corpus: Corpus, task: str) -> Readout:
    tags = token_scores(model, corpus, lambda scores: scores.argmax(-1), task)
    examples = itertools.pairwise(corpus.tokens.offsets[corpus.first])
    tags = [tags[a:b][corpus.origin[a:b] >= 0] for a, b in examples]
    return Readout(tags, corpus.column("tags"))


def _answers(model: TaskModel, corpus: Corpus, task: str) -> Readout:
    contexts, answers = corpus.column("context"), corpus.column("answers")
    golds = [each["text"] for each in answers]
    unanswerable = not all(map(any, golds))  # some have no gold answer, or only ""
    found = answer(model, corpus, task, may_be_empty=unanswerable)
    starts = (zip(each["answer_start"], each["text"], strict=True) for each in answers)
    right = [[f"{a}:{a + len(text)}" for a, text in each] for each in starts]
    return Readout([*map(text_at, contexts, found)], golds, spans=(found, right))


def _partners(model: TaskModel, corpus: Corpus, task: str) -> Readout:
    """Number of each query's nearest candidate of the corpus; queries and candidates take turns."""
    vectors = unit_features(model, corpus)
    index, _ = nearest(vectors[0::2], vectors[1::2], k=1)
    return Readout(corpus.labels[index[:, 0]].tolist(), corpus.labels.tolist())


READERS: dict[str, Callable[[TaskModel, Corpus, str], Readout]] = {
    "classification": _classes, "multiple_choice": _classes, "tagging": _tags,
    "span_qa": _answers, "pairs": _partners,
}  # fmt: skip


def read_out(model: TaskModel, corpus: Corpus, task: str = "") -> Readout:
    """What the model says about every example of a corpus, which has one of `READERS`' formats.

    task: name of the head in a mixture. Answers may be "" where there are unanswerable questions.
    """
    return READERS[corpus.format](model, corpus, task)


def dev_accuracy(model: TaskModel, corpus: Corpus, task: str = "") -> tuple[int, int, float]:
    """Right answers, their number, and the percentage that is right without looking.

    Counted are examples; in tagging words, in span QA exact answers, in pairs queries that find
    their candidate among all of the corpus. Without looking: always the most frequent class, place,
    tag or answer (perhaps none); one of all candidates.
    """
    predictions, golds, *_ = read_out(model, corpus, task)
    if corpus.format == "span_qa":
        right = contributions("squad", predictions, golds)[:, 0] == 100
        golds = [(gold or [""])[0] for gold in golds]
    else:
        if corpus.format == "tagging":
            predictions, golds = np.concatenate(predictions), np.concatenate(golds).tolist()
        right = np.equal(predictions, golds)
    majority = Counter(golds).most_common(1)[0][1]
    return int(right.sum()), len(golds), 100 * majority / len(golds)


def tasks_learned(model: TaskModel, dev: Mapping[str, Corpus]) -> dict[str, dict[str, float]]:
    """Was each task learned? Its development accuracy must lie above the majority class.

    dev: development corpora by task, one or those of a mixture. Returns by task ``dev_accuracy``
    with its exact 95 % interval ``dev_low`` to ``dev_high``, of ``dev_correct`` among ``dev_n``,
    ``majority_accuracy``, and ``learned``; in percent.
    """
    learned = {}
    for task, corpus in dev.items():
        right, count, majority = dev_accuracy(model, corpus, task)
        low, high = (100 * share for share in exact_binomial(right, count, 0.95))
        learned[task] = {"dev_accuracy": 100 * right / count, "dev_n": count, "dev_correct": right,
                        "dev_low": low, "dev_high": high, "majority_accuracy": majority,
                        "learned": bool(low > majority)}  # fmt: skip
    return learned
