"""One search in a process of its own.

    python -m benchmarks.searching nearest|product CANDIDATES FIRST LAST [--k 20]

`nearest` is `xgrl.evaluation.retrieval.nearest` for the queries FIRST to LAST; `product` is what it
cannot do without, the same matrix product in the same blocks, looked at by nobody. Both on
L2-normalised float32 vectors of width 384, drawn in memory. Prints seconds and the memory that came
on top of the vectors, in MB.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
import torch

from xgrl.evaluation.retrieval import nearest
from xgrl.runs.records import peak_memory_mb

WIDTH, BLOCK = 384, 4096


def vectors(count: int, seed: int) -> np.ndarray:
    """Random unit vectors (count, 384), made in pieces, so that making them takes no memory that
    would hide the search's.
    """
    rng, out = np.random.default_rng(seed), np.empty((count, WIDTH), np.float32)
    for start in range(0, count, 1000):
        rows = rng.standard_normal((min(1000, count - start), WIDTH), dtype=np.float32)
        out[start : start + 1000] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return out


def product(queries: np.ndarray, candidates: np.ndarray, block: int = BLOCK) -> None:
    """All inner products, block by block, each written over the last."""
    queries, candidates = torch.from_numpy(queries), torch.from_numpy(candidates)
    space = torch.empty(min(block, len(queries)) * min(block, len(candidates)))
    for start in range(0, len(queries), block):
        for first in range(0, len(candidates), block):
            rows, other = queries[start : start + block], candidates[first : first + block]
            torch.mm(rows, other.T, out=space[: len(rows) * len(other)].view(len(rows), len(other)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.searching", description=__doc__.split("\n")[0]
    )
    parser.add_argument("what", choices=("nearest", "product"))
    for name in ("candidates", "first", "last"):
        parser.add_argument(name, type=int)
    parser.add_argument("--k", type=int, default=20)
    a = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    queries, candidates = vectors(a.last, 1)[a.first :], vectors(a.candidates, 2)
    nearest(queries[:64], candidates[:64], 1)  # threads and libraries are there
    before, held = time.perf_counter(), peak_memory_mb()
    if a.what == "nearest":
        nearest(queries, candidates, a.k)
    else:
        product(queries, candidates)
    print(json.dumps({"seconds": time.perf_counter() - before, "mb": peak_memory_mb() - held}))


if __name__ == "__main__":
    main()
