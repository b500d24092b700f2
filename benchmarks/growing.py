"""Search and analysis at full size, and how time and memory grow with the size: an exponent from at
least four sizes each.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.analysis import LARGEST
from benchmarks.running import median, timed
from benchmarks.studies import cores
from benchmarks.table import GROWTH, entry, exponent

Found = tuple[dict[str, dict], dict[str, list]]
QUERIES, NAMES = 10_000, {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
ANALYSIS = {
    "blocks": [6, 12, 25, 50, 100, 200],  # x 2: so many seeds of two tasks
    "languages": [5, 10, 20, 40],
    "items": [250, 500, 1000, 2000],
}
SMALL = {"blocks": 12, "languages": 10, "items": 500, "targets": 3, "draws": 1000, "studies": 200}
EXAMPLES = {"train": [512, 1024, 2048, 4096], "predict": [1024, 2048, 4096, 8192]}


def growth(name: str, points: Sequence[tuple[float, float, float]], note: str) -> Found:
    """Two rows of the table from points (size, seconds, MB), and the points."""
    sizes, seconds, memory = (
        [float(value) for value in column] for column in zip(*points, strict=True)
    )
    rows, lines = {}, {}
    for kind, values, unit in (("time", seconds, "s"), ("memory", memory, "MB")):
        full = f"growth_{name}_{kind}"
        lines[full] = [list(point) for point in zip(sizes, values, strict=True)]
        ends = (
            f"{values[0]:.3g} to {values[-1]:.3g} {unit} from {sizes[0]:,.0f} to {sizes[-1]:,.0f}"
        )
        power = exponent(sizes, values)
        # noise around what does not depend on the size
        if kind == "memory" and values[-1] <= values[0]:
            power, ends = 0.0, f"does not grow: {ends}"
        rows |= entry(full, power, f"{ends}, {len(sizes)} sizes; {note}")
    return rows, lines


def search(what: str, candidates: int, first: int = 0, last: int = QUERIES) -> dict[str, float]:
    """One search or one product in a process of its own."""
    return timed(
        cores(), "-m", "benchmarks.searching", what, str(candidates), str(first), str(last)
    )


def retrieval(rounds: int) -> Found:
    """`nearest` beside the product alone, in turn; a million candidates once, between the two
    halves of their product.
    """
    rows, points = {}, []
    for size in (10_000, 30_000, 100_000):
        runs = [(search("product", size), search("nearest", size)) for _ in range(rounds)]
        searches = [ours for _, ours in runs]
        points.append((size, median(searches, "seconds"), median(searches, "mb")))
        if size in NAMES:
            ratio = statistics.median(ours["seconds"] / least["seconds"] for least, ours in runs)
            note = (
                f"{QUERIES:,} queries, k = 20, {cores()} threads: "
                f"{median(searches, 'seconds'):.1f} s; {rounds} rounds"
            )
            rows |= entry(f"retrieval_{NAMES[size]}_ratio", ratio, note)
    size, half = 1_000_000, QUERIES // 2
    before, found, after = (
        search("product", size, 0, half),
        search("nearest", size),
        search("product", size, half),
    )
    least = before["seconds"] + after["seconds"]
    points.append((size, found["seconds"], found["mb"]))
    note = (
        f"{QUERIES:,} queries, k = 20, {cores()} threads: {found['seconds']:.0f} s, the product "
        f"alone {least:.0f} s"
    )
    rows |= entry("retrieval_1m_ratio", found["seconds"] / least, note)
    rows |= entry(
        "retrieval_1m_gb",
        found["mb"] / 1024,
        "peak of the process while it searches, less the vectors",
    )
    more, lines = growth(
        "retrieval_candidates", points, f"{QUERIES:,} queries; memory beyond the vectors"
    )
    return rows | more, lines


def analyse(**sizes: int) -> dict[str, float]:
    """One analysis in a process of its own."""
    return timed(
        1,
        "-m",
        "benchmarks.analysis",
        *(part for k, v in sizes.items() for part in (f"--{k}", str(v))),
    )


def analysis(rounds: int) -> Found:
    """The analysis of a study and of 100 million predictions; how it grows with blocks, languages
    and items.
    """
    rows, lines = {}, {}
    for name, sizes in (("analysis", {}), ("analysis_largest", LARGEST | {"draws": 2000})):
        whole = analyse(**sizes)
        note = (
            f"{whole['rows'] / 1e6:.1f} million predictions in runs' own files, "
            f"{sizes.get('draws', 10_000):,} draws, 2,000 simulated studies, 1 thread, "
            f"{whole['processor_seconds']:.0f} s of processor"
        )
        rows |= entry(f"{name}_s", whole["seconds"], note)
        rows |= entry(f"{name}_gb", whole["peak_memory_mb"] / 1024, "peak of its process")
    for key, name in zip(ANALYSIS, list(GROWTH)[:3], strict=True):
        points = []
        for size in ANALYSIS[key]:
            found = analyse(**(SMALL | {key: size * (1 + (key == "blocks"))}))
            beyond = found["peak_memory_mb"] - found["imports_mb"]
            points.append((size, found["processor_seconds"], beyond))
        more, points_of = growth(
            name,
            points,
            "fewer draws and targets; processor time; memory beyond the imported libraries",
        )
        rows, lines = rows | more, lines | points_of
    return rows, lines


def examples(rounds: int) -> Found:
    """Training on, and prediction of, more and more examples, each seen once."""
    rows, lines = {}, {}
    for kind, name in (("train", "training_examples"), ("predict", "prediction_examples")):
        points = []
        for size in EXAMPLES[kind]:
            found = timed(1, "-m", "benchmarks.steps", kind, str(size))
            points.append((size, found["seconds"], found["mb"]))
        more, points_of = growth(
            name, points, "stored frozen layers, 1 thread; memory beyond model and data"
        )
        rows, lines = rows | more, lines | points_of
    return rows, lines
