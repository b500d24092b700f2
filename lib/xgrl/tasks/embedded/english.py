"""English tasks from the pinned packages: loaders ``(language, split, path) -> rows`` of the
embedded intermediate tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import distinct
from xgrl.tasks.sources.packages import read_json, read_jsonl

BIGBENCH = "bigbench/benchmark_tasks"
CANARY = "BIG-bench canary string: not for language-model training"
# The types with at least 100 questions; Law (71) and Time (7) are left out.
QUESTION_TYPES = (
    "Abbreviation", "Date", "Entity", "Event", "Facility", "Humans", "Location", "Money", "Organization", "Other", "Quantity",
)  # fmt: skip
VERDICTS = ("True", "False", "Neither")


@cache
def examples(folder: str) -> list[Row]:
    """The examples of one BIG-bench JSON task."""
    return read_json("bigbench", f"{BIGBENCH}/{folder}/task.json")["examples"]


def held_out(n: int, name: str, *shares: float) -> list[np.ndarray]:
    """Split positions 0 .. n - 1 at random but always alike: first the given shares, the rest last.

    Args:
        n: number of positions.
        name: names the draw.
        shares: fractions of n, such as 0.1 for a development set of a tenth.
    """
    random = np.random.default_rng(list(name.encode()))
    return np.split(random.permutation(n), np.cumsum([int(share * n) for share in shares]))


@cache
def _sarcasm_rows() -> list[Row]:
    samples = read_jsonl("evals", "evals/registry/data/sarcasm/samples.jsonl")
    texts = [sample["input"][1]["content"].strip() for sample in samples]
    return [
        {"id": f"sarcasm-{i}", "text": texts[i], "text_pair": "", "label": int(samples[i]["ideal"])}
        for i in distinct(texts)
    ]


def sarcasm(language: str, split: str, path: Path | None) -> list[Row]:
    """Headlines, one of each group of near duplicates; a tenth is the development set."""
    rows = _sarcasm_rows()
    dev, train = held_out(len(rows), "sarcasm", 0.1)
    return [rows[i] for i in (dev if split == "dev" else train)]


@cache
def _question_rows() -> list[Row]:
    rows = []
    for i, example in enumerate(
        examples("natural_instructions/subtask046_miscellaenous_question_typing")
    ):
        label = example["target"][0].strip().rstrip(".")
        if label in QUESTION_TYPES:
            text = re.sub(
                r"^Question: (.*) \(Answer: (.*)\)\.$",
                r"\1 \2",
                example["input"].strip(),
                flags=re.DOTALL,
            )
            rows.append(
                {
                    "id": f"question-type-{i}",
                    "text": text,
                    "text_pair": "",
                    "label": QUESTION_TYPES.index(label),
                }
            )
    return [rows[i] for i in distinct([row["text"] for row in rows])]


def question_type(language: str, split: str, path: Path | None) -> list[Row]:
    """Questions followed by their answers, labelled with the first type given; a tenth is the
    development set.
    """
    rows = _question_rows()
    dev, train = held_out(len(rows), "question-type", 0.1)
    return [rows[i] for i in (dev if split == "dev" else train)]


def nli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Passage and claim; a tenth of the Wikipedia pages is the development set, as passages of one
    page are nearly the same.
    """
    parsed = []
    for i, example in enumerate(examples("vitaminc_fact_verification")):
        passage, _, claim = example["input"].partition("\nClaim:")
        label = VERDICTS.index(max(example["target_scores"], key=example["target_scores"].get))
        parsed.append(
            {"id": f"nli-{i}", "text": passage.strip(), "text_pair": claim.strip(), "label": label}
        )
    pages = sorted({row["text"].partition(":")[0] for row in parsed})
    dev = {pages[i] for i in held_out(len(pages), "nli", 0.1)[0]}
    order = np.random.default_rng(len(parsed)).permutation(len(parsed))
    return (
        parsed[i] for i in order if (parsed[i]["text"].partition(":")[0] in dev) == (split == "dev")
    )
