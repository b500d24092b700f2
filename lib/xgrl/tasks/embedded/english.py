"""English tasks from the pinned packages: ``loader(language, split, path)`` gives rows."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import distinct
from xgrl.tasks.sources import codes
from xgrl.tasks.sources.packages import read_json, read_jsonl

BIGBENCH = "bigbench/benchmark_tasks"
# The types with at least 100 questions; Law (71) and Time (7) are left out.
QUESTION_TYPES = codes(
    "Abbreviation Date Entity Event Facility Humans Location Money Organization Other Quantity"
)
VERDICTS = ("True", "False", "Neither")


@cache
def examples(folder: str) -> list[Row]:
    """The examples of one BIG-bench JSON task."""
    return read_json("bigbench", f"{BIGBENCH}/{folder}/task.json")["examples"]


def best_target(example: Row) -> str:
    """The target that an example of BIG-bench scores highest."""
    return max(example["target_scores"], key=example["target_scores"].get)


def labelled(id: str, text: str, label: int, text_pair: str = "") -> Row:
    """A row of classification."""
    return {"id": id, "text": text, "text_pair": text_pair, "label": label}


def held_out(n: int, name: str, *shares: float) -> list[np.ndarray]:
    """Positions 0 .. n - 1 in random parts, always alike for one `name`: first the given shares
    (fractions of n), the rest last.
    """
    random = np.random.default_rng(list(name.encode()))
    return np.split(random.permutation(n), np.cumsum([int(share * n) for share in shares]))


def shuffled(rows: Sequence[Any], seed: int) -> list[Any]:
    """All rows in an order that `seed` and their number decide."""
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def unrepeated(rows: Iterable[Row], column: str = "text") -> list[Row]:
    """One row of each group whose texts are the same or nearly so, in their order."""
    rows = list(rows)
    return [rows[i] for i in distinct([row[column] for row in rows])]


@cache
def _sarcasm_rows() -> list[Row]:
    samples = read_jsonl("evals", "evals/registry/data/sarcasm/samples.jsonl")
    rows = ((sample["input"][1]["content"].strip(), int(sample["ideal"])) for sample in samples)
    return unrepeated(labelled(f"sarcasm-{i}", *row) for i, row in enumerate(rows))


def sarcasm(language: str, split: str, path: Path | None) -> list[Row]:
    """Headlines, one of each group of near duplicates; a tenth is the development set."""
    return _tenth(_sarcasm_rows(), "sarcasm", split)


@cache
def _question_rows() -> list[Row]:
    rows, answered = [], re.compile(r"^Question: (.*) \(Answer: (.*)\)\.$", flags=re.DOTALL)
    folder = "natural_instructions/subtask046_miscellaenous_question_typing"
    for i, example in enumerate(examples(folder)):
        label = example["target"][0].strip().rstrip(".")
        if label in QUESTION_TYPES:
            text = answered.sub(r"\1 \2", example["input"].strip())
            rows.append(labelled(f"question-type-{i}", text, QUESTION_TYPES.index(label)))
    return unrepeated(rows)


def question_type(language: str, split: str, path: Path | None) -> list[Row]:
    """Questions with their answers, labelled with the first type given; a tenth is for dev."""
    return _tenth(_question_rows(), "question-type", split)


def _tenth(rows: list[Row], name: str, split: str) -> list[Row]:
    dev, train = held_out(len(rows), name, 0.1)
    return [rows[i] for i in (dev if split == "dev" else train)]


def nli(language: str, split: str, path: Path | None) -> list[Row]:
    """Passage and claim; a tenth of the pages is for dev, as those of one are nearly the same."""

    def page(row: Row) -> str:
        return row["text"].partition(":")[0]

    rows = []
    for i, example in enumerate(examples("vitaminc_fact_verification")):
        passage, _, claim = example["input"].partition("\nClaim:")
        label = VERDICTS.index(best_target(example))
        rows.append(labelled(f"nli-{i}", passage.strip(), label, claim.strip()))
    pages = sorted({page(row) for row in rows})
    dev = {pages[i] for i in held_out(len(pages), "nli", 0.1)[0]}
    return [row for row in shuffled(rows, len(rows)) if (page(row) in dev) == (split == "dev")]
