"""From prediction rows to aligned score tables, refusing everything that does not line up.

A test on paired data is only as good as the pairing, so each target's rows become one dense array
(arm, block, cell), cell = (language, item), and any cell that is missing, doubled or not a number
is an error that names it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .validation import validate_name

RUN = ("study", "intermediate", "arm", "target", "seed")
KEYS = (*RUN, "language", "example_id")
ENGLISH = "en"
# a bitext pair is searched from either side: two rows of one item
DIRECTIONS = (" xx-en", " en-xx")


@dataclass(frozen=True)
class Block:
    """One pair of training runs: everything the two arms share."""

    intermediate: str
    seed: int

    def __str__(self) -> str:
        return f"intermediate {self.intermediate}, seed {self.seed}"


@dataclass(frozen=True)
class Target:
    """Scores of one target in points: B blocks, C cells (language, example), L languages, N items.

    An item is what was drawn: an example of all languages, a pair of sentences searched both ways.
    """

    name: str
    languages: tuple[str, ...]
    baseline: np.ndarray  # (B, C), float64, or int8 where the scores are
    treatment: np.ndarray  # (B, C)
    language: np.ndarray  # (C,) index into languages
    item: np.ndarray  # (C,) 0..N-1

    @property
    def n_items(self) -> int:
        return int(self.item.max()) + 1

    @property
    def parallel(self) -> bool:
        """Whether every language has every item."""
        pairs = np.unique(self.language.astype(np.int64) * self.n_items + self.item)
        return len(pairs) == len(self.languages) * self.n_items

    def macro(self, scores: np.ndarray) -> np.ndarray:
        """Macro average over languages, (B,), of one arm's scores (B, C)."""
        codes = range(len(self.languages))
        return np.mean([scores[:, self.language == code].mean(1) for code in codes], axis=0)

    def items(self) -> np.ndarray:
        """Treatment minus baseline per block and item (B, N), weighted over languages."""
        return weighted_items(self.difference(), self.language, self.item)

    def difference(self, cells: np.ndarray | slice = np.s_[:]) -> np.ndarray:
        """Treatment minus baseline in cells, (B, C); one byte a score would not hold it."""
        return np.subtract(self.treatment[:, cells], self.baseline[:, cells], dtype=np.float64)


def weighted_items(values: np.ndarray, language: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Average cells over languages in each item so that the mean over items is the macro average.

    values: (B, C), a column a cell; language, item: (C,) codes from 0 up without gaps. Returns c
    (B, N) with c[b, e] = sum over the cells of item e, in language l, of values[b, cell] * N / (L
    n_l), where n_l is the number of cells of language l.

    The mean over items is the macro average for any overlap of items between languages:
    (1/N) sum_e c[b, e] = (1/N) sum_l sum_{cells of l} values[b, cell] N / (L n_l) = (1/L) sum_l
    mean_{cells of l} values. With parallel items n_l = N, and c is the plain mean over languages;
    with ids of its own for each language, every item carries its one value times N / (L n_l), which
    is 1 for equally large languages; with two directions of search a language, n_l = 2 N and c is
    the mean over languages and directions.
    """
    sizes = np.bincount(language)  # (L,)
    items = int(item.max()) + 1
    weighted = values * (items / (len(sizes) * sizes[language]))
    return np.stack([np.bincount(item, weights=row, minlength=items) for row in weighted])


def macro_averages(targets: list[Target], w: np.ndarray) -> dict[str, np.ndarray]:
    """Each arm's macro average, weighted over targets with `w` (T,): (B,) by side."""
    return {
        side: sum(v * t.macro(getattr(t, side)) for v, t in zip(w, targets, strict=True))
        for side in ("baseline", "treatment")
    }


def _item_of(example_id: str) -> str:
    """The item that an example belongs to: its id without the direction of a search."""
    return example_id[: -len(DIRECTIONS[0])] if example_id.endswith(DIRECTIONS) else example_id


def stretches(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The first row of each stretch of rows with the same keys, and the stretches' lengths.

    Predictions hold one run after the other, so what is said of runs or languages is decided in few
    rows; `np.repeat(decided, lengths)` says it of all. Keys may come back in several stretches.
    """
    first = np.zeros(len(frame), bool)
    first[:1] = True
    for key in keys:
        codes = frame[key].astype("category").cat.codes.to_numpy()
        first[1:] |= codes[1:] != codes[:-1]
    at = np.flatnonzero(first)
    heads = frame.iloc[at][[*keys]].reset_index(drop=True)
    return heads, np.diff(at, append=len(frame))


def cell_means(frame: pd.DataFrame) -> pd.Series:
    """Mean score by intermediate task, seed, target, language and arm, one target at a time."""
    keys, means = ["intermediate", "seed", "target", "language", "arm"], []
    for target in frame["target"].unique():
        own = frame.loc[frame["target"] == target, [*keys, "score"]]
        means.append(own.groupby(keys, observed=True)["score"].mean())
    return pd.concat(means).sort_index()


def align(frame: pd.DataFrame, baseline: str, treatment: str) -> tuple[list[Block], list[Target]]:
    """Align two arms' zero-shot scores by block, language and example, or refuse.

    frame: rows of predictions.parquet (columns study, intermediate, arm, target, seed, language,
    example_id, score in points), other arms and English rows allowed and left out. Blocks come back
    sorted by intermediate task and seed, targets by name. Raises ValueError for an unknown arm,
    several studies, a missing arm of a block, a missing or doubled cell, ids that differ between
    arms or blocks, scores that are not finite, and fewer than two items.
    """
    absent = [column for column in (*KEYS, "score") if column not in frame.columns]
    if absent or frame.empty:
        found = f"found {len(frame)} rows, without columns {absent}"
        raise ValueError(f"frame: {found}; need prediction rows")
    for key in KEYS:
        if len(row := np.flatnonzero(frame[key].isna())):
            found = f"found no value in row {row[0]}"
            raise ValueError(f"column {key!r}: {found}, need one in every row")
    arms = (baseline, treatment)
    heads, sizes = stretches(frame, [*RUN, "language"])
    for arm in arms:
        validate_name("arm", arm, heads["arm"].unique())
    if baseline == treatment:
        raise ValueError(f"baseline and treatment are both {baseline!r}, need two arms")
    if len(studies := sorted(map(str, heads["study"].unique()))) > 1:
        raise ValueError(f"frame: found studies {', '.join(studies)}, need one")
    kept = (heads["arm"].isin(arms) & (heads["language"] != ENGLISH)).to_numpy()
    if not kept.any():
        found = f"found no rows of {baseline!r} or {treatment!r}"
        raise ValueError(f"frame: {found} in a language other than English")
    scores = frame["score"].to_numpy()
    if scores.dtype != np.int8:
        scores = frame["score"].to_numpy(dtype=np.float64, na_value=np.nan)
        if len(bad := np.flatnonzero(np.repeat(kept, sizes) & ~np.isfinite(scores))):
            cell = ", ".join(f"{key} {frame[key].iloc[bad[0]]}" for key in KEYS[1:])
            found = f"found {scores[bad[0]]} at {cell} ({len(bad)} such rows)"
            raise ValueError(f"score: {found}, need finite numbers")

    paired = heads[kept].groupby(["intermediate", "seed"], observed=True)
    blocks = [Block(str(intermediate), int(seed)) for intermediate, seed in paired.size().index]
    run = np.full(len(heads), -1)  # baseline's first
    run[kept] = paired.ngroup() + len(blocks) * (heads["arm"][kept] == treatment)
    for lacking in np.flatnonzero(np.bincount(run[kept], minlength=2 * len(blocks)) == 0):
        found = f"found no rows of arm {arms[lacking // len(blocks)]!r}, need both arms"
        if "none" in arms:
            found += "; arm none has no intermediate task and pairs with no block"
        raise ValueError(f"block {blocks[lacking % len(blocks)]}: {found}")
    cells = [frame[key].astype("category").array for key in KEYS[-2:]]
    targets = []
    for name, own in heads[kept].groupby("target", observed=True):
        rows = np.repeat(np.isin(np.arange(len(heads)), own.index), sizes)
        runs = np.repeat(run[own.index], sizes[own.index])
        own_cells = [column[rows] for column in cells]
        targets.append(_target(str(name), own_cells, runs, scores[rows], blocks, arms))
    return blocks, targets


def _target(
    target: str, cells: list[pd.Categorical], run: np.ndarray, scores: np.ndarray,
    blocks: list[Block], arms: tuple[str, str],
) -> Target:  # fmt: skip
    """Spread one target's rows over (2 B, C), or say which cell is at fault.

    cells: language and example of each row; run: 0..2B-1, the baseline's first.
    """
    width = len(cells[1].categories)
    cell = cells[0].codes.astype(np.int64) * width + cells[1].codes
    there = np.zeros(len(cells[0].categories) * width, bool)
    there[cell] = True
    codes = np.divmod(np.flatnonzero(there), width)  # of C cells, in the order of categories
    cell = (np.cumsum(there) - 1)[cell]
    names = pd.DataFrame({
        name: pd.Categorical.from_codes(code, column.categories)
        for name, code, column in zip(KEYS[-2:], codes, cells, strict=True)
    })  # fmt: skip
    example, examples = pd.factorize(names["example_id"], sort=True)
    item = pd.factorize(pd.Index(examples).astype(str).map(_item_of))[0][example]
    names = names.astype(str)
    language, languages = pd.factorize(names["language"])
    shape = 2 * len(blocks), len(names)
    flat = run * len(names) + cell
    count = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)

    def run_name(run: int) -> str:
        return f"arm {arms[run // len(blocks)]}, {blocks[run % len(blocks)]}"

    def cell_name(run: int, cell: int) -> str:
        return f"{run_name(run)}, language {names.iat[cell, 0]}, example {names.iat[cell, 1]}"

    def refuse(problem: str, wrong: np.ndarray, describe: Callable[..., str]) -> None:
        if len(at := np.argwhere(wrong)):
            more = f" (and {len(at) - 1} more)" if len(at) > 1 else ""
            raise ValueError(f"target {target!r}: found {problem}: {describe(*at[0])}{more}")

    refuse("duplicated rows", count > 1, cell_name)
    if count.min() == 0:
        held = np.stack([np.bincount(language, row, len(languages)) for row in count])
        refuse("no rows", held == 0, lambda r, code: f"{run_name(r)}, language {languages[code]}")
        refuse("no row, example ids differ between arms or blocks", count == 0, cell_name)
    items = pd.Series(item).groupby(language).nunique()
    refuse("a single item, need 2 or more", items < 2, lambda code: f"language {languages[code]}")
    values = np.empty(flat.shape, scores.dtype)
    values[flat] = scores
    baseline, treatment = values.reshape(2, len(blocks), len(names))
    return Target(target, tuple(languages), baseline, treatment, language, item)


def independent_units(
    blocks: list[Block], unit: str, notes: list[str]
) -> tuple[list[Block], np.ndarray, list[str] | None]:
    """The independent units, the matrix (units, blocks) that averages into them, and their strata.

    unit: "block", or "seed" where intermediate tasks reuse one random key. Raises ValueError for
    one block and for unequal numbers of seeds; fallbacks are told in `notes`.
    """
    sizes = Counter(block.intermediate for block in blocks)
    if len(blocks) < 2:
        need = "training runs are the unit of the analysis, need 2 or more"
        raise ValueError(f"found one block only ({blocks[0]}): {need}")
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        found = f"intermediate tasks have unequal numbers of seeds: found {found}"
        raise ValueError(f"{found}; every run counts, need the missing ones")
    if unit == "seed":
        seeds = sorted({block.seed for block in blocks})
        if len(seeds) * len(sizes) != len(blocks) or len(seeds) < 2:
            found = f"plan unit 'seed': found seeds {seeds} for {len(blocks)} blocks"
            need = "need every intermediate task to have the same seeds, 2 or more"
            raise ValueError(f"{found}, {need}")
        shared = "intermediate tasks that share a seed are averaged into one block"
        notes.append(f"the seed is the unit: {shared}")
        same_seed = np.array([[block.seed == seed for block in blocks] for seed in seeds], float)
        return [Block("+".join(sizes), seed) for seed in seeds], same_seed / len(sizes), None
    strata = [block.intermediate for block in blocks] if len(sizes) > 1 else None
    if strata and min(sizes.values()) < 2:
        strata = None
        spread = "block variance is not stratified by intermediate task"
        noise = "so their fixed differences count as noise"
        notes.append(f"one block an intermediate task: {spread}, {noise}")
    return blocks, np.eye(len(blocks)), strata
