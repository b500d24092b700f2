"""Answers as spans "start:end" of their context, "" for none: what records hold of them."""

import re

import pandas as pd

from xgrl.prepare.folder import Prepared
from xgrl.tasks import find_task


def span_of(context: str, start: int, end: int) -> str:
    """The span of what stands in ``context[start:end]``, without blanks at both ends."""
    text = context[start:end].strip()
    start += context[start:end].index(text)
    return f"{start}:{start + len(text)}" if text else ""


def text_at(context: str, span: str) -> str:
    """The words of a span; ValueError where it is none of this context."""
    found = re.fullmatch("([0-9]+):([0-9]+)", span or "0:0")
    start, end = map(int, found.groups()) if found else (1, 0)
    if not start <= end <= len(context):
        raise ValueError(f"the answer {span!r}, expected start:end, {len(context)} at most")
    return context[start:end]


def in_words(rows: pd.DataFrame, prepared: Prepared) -> pd.DataFrame:
    """A few of one target's predictions, answers in words (several golds joined by " | ")."""
    target, words = rows["target"].iloc[0], []
    if find_task(target, "target").format != "span_qa":
        return rows
    for row in rows.itertuples():
        corpus = prepared.corpus(f"target/{target}/test-{row.language}")
        context = corpus.column("context")[corpus.ids.index(row.example_id)]
        cut = ([text_at(context, x) for x in cell.split()] for cell in (row.gold, row.prediction))
        words.append([*map(" | ".join, cut)])
    return rows.assign(**pd.DataFrame(words, rows.index, ["gold", "prediction"]))
