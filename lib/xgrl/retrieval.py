"""Exact nearest neighbours by inner product (cosine, for L2-normalised vectors), in blocks, so that memory stays bounded.

A block of similarities is one matrix product. Sorting it whole would cost more than the product, so the maximum of each
group of 32 neighbouring candidates is taken first: the k best candidates lie in the k groups with the best maxima, and only
those are looked at. Order is total, similarity first, then the lower index; both are packed into one integer, so that no
tie is left to chance.
Task: Tatoeba-style retrieval (Artetxe and Schwenk 2019, arXiv 1812.10464; Hu et al. 2020, arXiv 2003.11080).
"""

from __future__ import annotations

import numpy as np
import torch

GROUP = 32
_LOW = 2**32 - 1


def nearest(queries: np.ndarray, candidates: np.ndarray, k: int = 1, block: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """The k candidates with the largest inner product with each query, best first; of equal ones the lower index comes first.

    queries: (n, d). candidates: (m, d). Arrays or memory maps of numbers, computed in float32. k: 1 to m. block: rows of each
    side in one product; memory is about 8 block² bytes. Returns index (n, k) int64 and similarity (n, k) float32.
    Raises ValueError for shapes that do not fit, a k out of range, or vectors that are not finite.
    """
    if np.ndim(queries) != 2 or np.ndim(candidates) != 2 or queries.shape[1] != candidates.shape[1]:
        shapes = f"{np.shape(queries)} and {np.shape(candidates)}"
        raise ValueError(f"queries (n, d) and candidates (m, d) must share d, found {shapes}")
    if not 1 <= k <= len(candidates) <= _LOW:
        raise ValueError(f"k={k}: allowed is 1 to the number of candidates, {len(candidates)} (at most {_LOW})")
    if block < 1:
        raise ValueError(f"block={block}: at least one row")
    block = -(-block // GROUP) * GROUP
    found = np.empty((len(queries), k), np.int64)
    with torch.inference_mode():
        for start in range(0, len(queries), block):
            part = _rows(queries, start, block, "queries")
            best = torch.empty(len(part), 0, dtype=torch.int64)
            for first in range(0, len(candidates), block):
                best = _merge(best, part @ _rows(candidates, first, block, "candidates").T, first, k)
            found[start : start + block] = best.numpy()
    ordered = (found >> 32).astype(np.int32)
    return _LOW - (found & _LOW), np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32).view(np.float32)


def _rows(vectors: np.ndarray, start: int, count: int, name: str) -> torch.Tensor:
    rows = torch.from_numpy(np.array(vectors[start : start + count], dtype=np.float32))
    if not torch.isfinite(rows).all():
        bad = start + int((~torch.isfinite(rows).all(dim=1)).nonzero()[0])
        raise ValueError(f"{name}: row {bad} is not finite")
    return rows


def _merge(best: torch.Tensor, similarity: torch.Tensor, first: int, k: int) -> torch.Tensor:
    """Keys of the k best (n, k) out of the best so far (n, <= k) and a block (n, c) of candidates that begins at `first`."""
    count = similarity.shape[1]
    if count % GROUP:
        similarity = torch.nn.functional.pad(similarity, (0, GROUP - count % GROUP), value=-torch.inf)
    groups = similarity.view(len(similarity), -1, GROUP)
    tops = _keys(groups.amax(-1), torch.arange(groups.shape[1]))
    rows = torch.arange(len(best))
    if best.shape[1] == k:  # then only a larger similarity matters: an equal one has the higher index
        rows = rows[tops.amax(1) >> 32 > best[:, -1] >> 32]
    chosen = _LOW - (tops[rows].topk(min(k, groups.shape[1]), sorted=False).values & _LOW)  # (r, <= k) group numbers
    members = groups[rows.unsqueeze(1), chosen].flatten(1)
    index = first + (chosen.unsqueeze(-1) * GROUP + torch.arange(GROUP)).flatten(1)
    keys = torch.cat([best[rows], _keys(members, index)], dim=1).topk(min(k, best.shape[1] + count), sorted=True).values
    if keys.shape[1] > best.shape[1]:
        return keys
    best[rows] = keys
    return best


def _keys(similarity: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Integers ordered like (similarity, then -index): the float's bits, made monotone, above the complement of the index."""
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    return (ordered << 32) | (_LOW - index)
