"""Exact nearest neighbours by inner product (cosine, if normalised), in blocks: memory is bounded.

A block of similarities is one matrix product. Sorting it whole would cost more than the product, so
the maximum of each group of 32 neighbouring candidates is taken first: the k best candidates lie in
the k groups with the best maxima, and only those that beat what a query has are looked at. Order is
total, similarity first, then the lower index; both are packed into one integer, so that no tie is
left to chance (libraries for the search leave ties open, or are slower). Task: Tatoeba-style
retrieval (Artetxe and Schwenk 2019, arXiv 1812.10464; Hu et al. 2020, arXiv 2003.11080).

Mining, as in BUCC: a pair's score is its cosine in relation to both sides' mean cosine with their
own nearest neighbours, which tells a translation from a sentence that is close to everything
(Artetxe and Schwenk 2019, arXiv 1811.01136). The choices are those of XTREME's script: 4
neighbours, ratio, candidates from both directions, and a threshold tuned on dev.
"""

from collections.abc import Collection, Hashable, Mapping

import numpy as np
import torch

GROUP = 32
_LOW = 2**32 - 1
Pair = tuple[np.ndarray, np.ndarray]


def nearest(queries: np.ndarray, candidates: np.ndarray, k: int = 1, block: int = 4096) -> Pair:
    """The k candidates nearest to each query by inner product, best first; of equal ones the first.

    queries: (n, d). candidates: (m, d). Arrays or memory maps of numbers, computed in float32. k: 1
    to m. block: rows of each side in one product; memory is about 8 block² bytes. Returns index (n,
    k) int64 and similarity (n, k) float32. Raises ValueError for shapes that do not fit, a k out of
    range, or vectors that are not finite.
    """
    if np.ndim(queries) != 2 or np.ndim(candidates) != 2 or queries.shape[1] != candidates.shape[1]:
        shapes = f"{np.shape(queries)} and {np.shape(candidates)}"
        raise ValueError(f"queries (n, d) and candidates (m, d) must share d, found {shapes}")
    n, m = len(queries), len(candidates)
    if not 1 <= k <= m <= _LOW:
        raise ValueError(f"k={k}: allowed is 1 to the number of candidates, {m} (at most {_LOW})")
    if block < 1:
        raise ValueError(f"block={block}: at least one row")
    block = -(-block // GROUP) * GROUP
    keys = np.empty((n, k), np.int64)
    with torch.inference_mode():
        # new memory for each product costs a fifth of it
        space = torch.empty(min(block, n) * min(block, m))
        for start in range(0, n, block):
            rows = _rows(queries, start, block, "queries")
            best = torch.empty(len(rows), 0, dtype=torch.int64)
            for first in range(0, m, block):
                other = _rows(candidates, first, block, "candidates", known=start > 0)
                out = space[: len(rows) * len(other)].view(len(rows), len(other))
                best = _merge(best, torch.mm(rows, other.T, out=out), first, k)
            keys[start : start + block] = best.numpy()
        return _LOW - (keys & _LOW), _similarity(torch.from_numpy(keys)).numpy()


def margin_scores(
    queries: np.ndarray, candidates: np.ndarray, k=4, block=4096
) -> tuple[Pair, Pair]:
    """Margin scores of each vector's k nearest neighbours on the other side.

    With c the cosine of a pair, and m the mean of two means, the query's over the cosines of its k
    nearest candidates and the candidate's over those of its k nearest queries, the score is c / m.

    queries, candidates: (n, d) and (m, d), L2-normalised, as for `nearest`. k: neighbours, 1 or
    more; a side with fewer vectors has them all. block, errors: as for `nearest`; memory beyond its
    blocks grows with (n + m) k. Returns forward, index (n, k) into the candidates and float32
    scores (n, k), and backward, the same (m, k) of the queries.
    """
    forward, cosine = nearest(queries, candidates, min(k, len(candidates)), block)
    backward, back_cosine = nearest(candidates, queries, min(k, len(queries)), block)
    mean, back_mean = cosine.mean(1), back_cosine.mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = cosine / ((mean[:, None] + back_mean[forward]) / 2)
        back_score = back_cosine / ((back_mean[:, None] + mean[backward]) / 2)
    return [(forward, score), (backward, back_score)]


def mine(queries: np.ndarray, candidates: np.ndarray, k=4, block=4096) -> tuple[np.ndarray, ...]:
    """Translations: best neighbours of all queries and candidates, best first, each vector once.

    Only scores above 0 are kept, as in XTREME's script. Of equal scores those found from the
    queries' side come first, then lower positions. Give each text once: the script embeds equal
    texts once, and leaves out of its result every text that its file holds more than once, because
    it could not tell their ids apart. Arguments, errors: as for `margin_scores`. Returns p <=
    min(n, m) pairs, best first: positions of query and candidate, float64 margin score, (p,) each.
    """
    best = []
    for index, scores in margin_scores(queries, candidates, k, block):
        rows, column = np.arange(len(scores)), scores.argmax(1)  # of equal ones the nearest
        best.append((index[rows, column], scores[rows, column]))
    (there, score), (back, back_score) = best
    query = np.concatenate([np.arange(len(there)), back])
    candidate = np.concatenate([there, np.arange(len(back))])
    score = np.concatenate([score, back_score])
    order = np.argsort(-score, kind="stable")
    order = order[score[order] > 0]
    free_queries, free_candidates = bytearray(b"\1") * len(there), bytearray(b"\1") * len(back)
    taken = []
    ranked = order.tolist(), query[order].tolist(), candidate[order].tolist()
    for pair, i, j in zip(*ranked, strict=True):
        if free_queries[i] and free_candidates[j]:
            free_queries[i] = free_candidates[j] = 0
            taken.append(pair)
    return query[taken], candidate[taken], score[taken].astype(np.float64)


def best_threshold(scores: Mapping[Hashable, float], gold: Collection[Hashable]) -> float:
    """Threshold on mined pairs with the best F1: tuned on dev, on test ``score >= threshold``.

    It lies half-way between the last score kept and the next, at the first best cut; the lowest
    score itself if all are kept (where XTREME's script stops with an error); 0.0 if none is right.

    scores: pair -> score, in the order in which they were mined. gold: the right pairs, of the same
    kind. Raises ValueError without gold pairs, or for a score that is not finite.
    """
    gold = set(gold)
    if not gold:
        raise ValueError("no gold pairs to tune the threshold on")
    values = np.array([*scores.values()], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a mined pair has a score that is not finite")
    order = np.argsort(-values, kind="stable")
    right = np.array([pair in gold for pair in scores], dtype=bool)
    hits = right[order].cumsum()
    if not right.any():
        return 0.0
    # as the script computes it, so that equal cuts tie in the same way
    with np.errstate(invalid="ignore"):
        precision, recall = hits / np.arange(1, len(hits) + 1), hits / len(gold)
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    cut = int(f1.argmax())
    return float(values[order[cut : cut + 2]].mean())


def _rows(vectors: np.ndarray, start: int, count: int, name: str, known=False) -> torch.Tensor:
    rows = torch.from_numpy(np.array(vectors[start : start + count], dtype=np.float32))
    if not known and not torch.isfinite(rows).all():
        bad = start + int((~torch.isfinite(rows).all(dim=1)).nonzero()[0])
        raise ValueError(f"{name}: row {bad} is not finite")
    return rows


def _merge(best: torch.Tensor, similarity: torch.Tensor, first: int, k: int) -> torch.Tensor:
    """Keys of the k best (n, k) of those so far (n, <= k) and candidates (n, c) from `first` on."""
    count = similarity.shape[1]
    if padding := -count % GROUP:
        similarity = torch.nn.functional.pad(similarity, (0, padding), value=-torch.inf)
    groups = similarity.view(len(similarity), -1, GROUP)
    tops, rows, wanted = groups.amax(-1), torch.arange(len(best)), min(k, groups.shape[1])
    # then only a larger similarity matters: an equal one has the higher index
    if best.shape[1] == k:
        better = (tops > _similarity(best[:, -1:])).sum(1)
        rows = better.nonzero()[:, 0]
        if not len(rows):
            return best
        wanted = min(wanted, int(better.max()))
    keys = _keys(tops[rows], torch.arange(groups.shape[1]))
    chosen = _LOW - (keys.topk(wanted, sorted=False).values & _LOW)  # (r, <= k) group numbers
    members = groups[rows.unsqueeze(1), chosen].flatten(1)
    index = first + (chosen.unsqueeze(-1) * GROUP + torch.arange(GROUP)).flatten(1)
    keys = torch.cat([best[rows], _keys(members, index)], dim=1)
    keys = keys.topk(min(k, best.shape[1] + count), sorted=True).values
    if keys.shape[1] > best.shape[1]:
        return keys
    best[rows] = keys
    return best


def _keys(similarity: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Integers ordered like (similarity, then -index): monotone bits of the float, then ~index."""
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    return (ordered << 32) | (_LOW - index)


def _similarity(keys: torch.Tensor) -> torch.Tensor:
    """The similarities, float32, that are packed into keys."""
    ordered = (keys >> 32).to(torch.int32)
    return torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).view(torch.float32)
