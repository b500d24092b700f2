"""From prediction rows to aligned score tables, refusing everything that does not line up.

A test on paired data is only as good as the pairing, so each target's rows become one dense array
(arm, block, cell), cell = (language, item), and any cell that is missing, doubled or not a number
is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .checks import known

KEYS = ("study", "intermediate", "arm", "target", "seed", "language", "example_id")
ENGLISH = "en"
# a bitext pair is searched from either side: two rows of one item
DIRECTIONS = (" xx-en", " en-xx")


@dataclass(frozen=True)
class Block:
    """One pair of training runs: everything the two arms share."""

    intermediate: str
    seed: int


@dataclass(frozen=True)
class Target:
    """Scores of one target task in points; C cells (language, example), N distinct items, L
    languages, B blocks.

    An item is what was drawn: an example that all languages share, and a pair of sentences searched
    in both directions.
    """

    name: str
    languages: tuple[str, ...]
    baseline: np.ndarray  # (B, C)
    treatment: np.ndarray  # (B, C)
    language: np.ndarray  # (C,) index into languages
    item: np.ndarray  # (C,) 0..N-1

    @property
    def n_items(self) -> int:
        return int(self.item.max()) + 1

    @property
    def parallel(self) -> bool:
        """Whether every language has every item."""
        held = np.unique(self.language.astype(np.int64) * self.n_items + self.item)
        return len(held) == len(self.languages) * self.n_items

    def macro(self, scores: np.ndarray) -> np.ndarray:
        """Macro average over languages, (B,), of one arm's scores (B, C)."""
        return np.mean(
            [scores[:, self.language == code].mean(1) for code in range(len(self.languages))],
            axis=0,
        )

    def items(self) -> np.ndarray:
        """Treatment minus baseline per block and item (B, N), weighted over languages."""
        return weighted_items(self.treatment - self.baseline, self.language, self.item)


def weighted_items(values: np.ndarray, language: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Average cells over languages inside each item so that the mean over items is the macro
    average.

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


def item_of(example_id: str) -> str:
    """The item that an example belongs to: its id without the direction of a search."""
    return example_id[: -len(DIRECTIONS[0])] if example_id.endswith(DIRECTIONS) else example_id


def _fail(target: str, problem: str, cells: list[str]) -> None:
    more = f" (and {len(cells) - 1} more)" if len(cells) > 1 else ""
    raise ValueError(f"target {target!r}: {problem}: {cells[0]}{more}")


def _codes(frame: pd.DataFrame) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """Integer codes and sorted names of the key columns, in the smallest integer type that holds
    them.
    """
    codes, names = {}, {}
    for key in KEYS:
        code, name = pd.factorize(frame[key], sort=True)
        if (code < 0).any():
            raise ValueError(
                f"column {key!r}: found no value in row {int(np.argmin(code))}, need one in every "
                f"row"
            )
        codes[key], names[key] = code.astype(np.min_scalar_type(len(name))), np.asarray(name)
    return codes, names


def aligned(frame: pd.DataFrame, baseline: str, treatment: str) -> tuple[list[Block], list[Target]]:
    """Check prediction rows and align the two arms' zero-shot scores by block, language and
    example.

    frame: rows of predictions.parquet (columns study, intermediate, arm, target, seed, language,
    example_id, score in points), other arms and English rows allowed and left out. Blocks come back
    sorted by intermediate task and seed, targets by name. Raises ValueError for an unknown arm,
    several studies, a missing arm of a block, a missing or doubled cell, ids that differ between
    arms or blocks, scores that are not finite, and fewer than two items.
    """
    absent = [column for column in (*KEYS, "score") if column not in frame.columns]
    if absent or frame.empty:
        raise ValueError(
            f"frame: found {len(frame)} rows, without columns {absent}; need prediction rows"
        )
    codes, names = _codes(frame)
    for arm in (baseline, treatment):
        known("arm", arm, names["arm"])
    if baseline == treatment:
        raise ValueError(f"baseline and treatment are both {baseline!r}, need two arms")
    if len(names["study"]) > 1:
        raise ValueError(f"frame: found studies {', '.join(map(str, names['study']))}, need one")
    arm_codes = [int(np.flatnonzero(names["arm"] == arm)[0]) for arm in (baseline, treatment)]
    keep = np.isin(codes["arm"], arm_codes)
    keep &= np.isin(codes["language"], np.flatnonzero(names["language"] != ENGLISH))
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise ValueError(
            f"frame: found no rows of {baseline!r} or {treatment!r} in a language other than "
            f"English"
        )
    codes = {key: code[rows] for key, code in codes.items()}
    score = frame["score"].to_numpy(dtype=np.float64, na_value=np.nan)[rows]

    def place(row: int) -> str:
        return ", ".join(f"{key} {names[key][codes[key][row]]}" for key in KEYS[1:])

    if not np.isfinite(score).all():
        bad = np.flatnonzero(~np.isfinite(score))
        raise ValueError(
            f"score: found {score[bad[0]]} at {place(bad[0])} ({len(bad)} such rows), need finite "
            f"numbers"
        )

    arm = (codes["arm"] == arm_codes[1]).astype(np.int64)  # 0 baseline, 1 treatment
    pair = codes["intermediate"].astype(np.int64) * len(names["seed"]) + codes["seed"]
    block, pairs = pd.factorize(pair, sort=True)
    blocks = [
        Block(
            str(names["intermediate"][p // len(names["seed"])]),
            names["seed"][p % len(names["seed"])].item(),
        )
        for p in pairs
    ]
    run = arm * len(blocks) + block
    there = np.bincount(run, minlength=2 * len(blocks)).reshape(2, -1) > 0
    for code, b in np.argwhere(~there):
        lost = (baseline, treatment)[code]
        hint = (
            "; arm none has no intermediate task and pairs with no block"
            if "none" in (baseline, treatment)
            else ""
        )
        raise ValueError(
            f"block intermediate {blocks[b].intermediate}, seed {blocks[b].seed}: "
            f"found no rows of arm {lost!r}, need both arms{hint}"
        )
    targets = []
    for t in np.unique(codes["target"]):
        chosen = np.flatnonzero(codes["target"] == t)
        targets.append(
            _table(
                str(names["target"][t]),
                codes["language"][chosen],
                codes["example_id"][chosen],
                run[chosen],
                score[chosen],
                blocks,
                (baseline, treatment),
                names,
            )
        )
    return blocks, targets


def _table(
    target: str,
    language: np.ndarray,
    example: np.ndarray,
    run: np.ndarray,
    score: np.ndarray,
    blocks: list[Block],
    arms: tuple[str, str],
    names: Mapping[str, np.ndarray],
) -> Target:
    """Spread one target's rows over (2 B, C), or say which cell is at fault."""
    ids = len(names["example_id"])
    cell, keys = pd.factorize(language.astype(np.int64) * ids + example, sort=True)
    cells, runs = len(keys), 2 * len(blocks)
    flat = run * cells + cell
    count = np.bincount(flat, minlength=runs * cells).reshape(runs, cells)
    code, cell_language = np.unique(keys // ids, return_inverse=True)
    examples, position = np.unique(keys % ids, return_inverse=True)
    cell_item = pd.factorize(
        np.array([item_of(str(name)) for name in names["example_id"][examples]], dtype=object)
    )[0][position]
    languages = tuple(str(names["language"][c]) for c in code)

    def at(r: int, column: int | None = None, lang: int | None = None) -> str:
        arm, block = arms[r // len(blocks)], blocks[r % len(blocks)]
        text = f"arm {arm}, intermediate {block.intermediate}, seed {block.seed}"
        if column is not None:
            lang = cell_language[column]
            text += (
                f", language {languages[lang]}, example {names['example_id'][keys[column] % ids]}"
            )
        return text if column is not None or lang is None else f"{text}, language {languages[lang]}"

    if count.max() > 1:
        _fail(target, "found duplicated rows", [at(*place) for place in np.argwhere(count > 1)])
    if count.min() == 0:
        per_language = np.stack(
            [np.bincount(cell_language, weights=row, minlength=len(languages)) for row in count]
        )
        if (per_language == 0).any():
            _fail(
                target,
                "found no rows",
                [at(r, lang=lang) for r, lang in np.argwhere(per_language == 0)],
            )
        _fail(
            target,
            "example ids differ between arms or blocks, found no row",
            [at(*place) for place in np.argwhere(count == 0)],
        )
    held = np.unique(cell_language.astype(np.int64) * ids + cell_item) // ids
    small = np.flatnonzero(np.bincount(held) < 2)
    if len(small):
        _fail(
            target,
            "found a single item, need 2 or more",
            [f"language {languages[i]}" for i in small],
        )
    values = np.empty(runs * cells)
    values[flat] = score
    values = values.reshape(2, len(blocks), cells)
    return Target(target, languages, values[0], values[1], cell_language, cell_item)
