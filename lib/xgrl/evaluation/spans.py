"""Answers as spans of their context: "start:end" in its characters, "" for no answer.

Records name answers so, and hold no text; whoever has the contexts has the words (`text_at`).
"""

import re

import pandas as pd

from xgrl.prepare.folder import Prepared
from xgrl.tasks import find_task

SPAN = re.compile(r"([0-9]+):([0-9]+)")


def span_of(context: str, start: int, end: int) -> str:
    """The span of what stands in ``context[start:end]``, without blanks at both ends."""
    text = context[start:end].strip()
    start += context[start:end].index(text)
    return f"{start}:{start + len(text)}" if text else ""


def text_at(context: str, span: str) -> str:
    """The words of a span; ValueError where it is none of this context."""
    if not span:
        return ""
    found = SPAN.fullmatch(span)
    start, end = map(int, found.groups()) if found else (1, 0)
    if not start <= end <= len(context):
        expected = f"start:end within the {len(context)} characters of its context"
        raise ValueError(f"the answer {span!r}, expected {expected}")
    return context[start:end]


def in_words(rows: pd.DataFrame, prepared: Prepared) -> pd.DataFrame:
    """Rows of one target's predictions with answers in words, several golds joined by " | "; other
    formats as they are. prepared: the study's data, which alone hold the texts.
    """
    target = rows["target"].iloc[0]
    if find_task(target, "target").format != "span_qa":
        return rows
    known = {}
    for language in rows["language"].unique():
        corpus = prepared.corpus(f"target/{target}/test-{language}")
        known |= dict(
            zip([(language, i) for i in corpus.ids], corpus.column("context"), strict=True)
        )
    contexts = [known[key] for key in zip(rows["language"], rows["example_id"], strict=True)]
    golds = zip(contexts, rows["gold"].str.split(), strict=True)
    golds = [" | ".join(text_at(context, span) for span in gold) for context, gold in golds]
    return rows.assign(gold=golds, prediction=[*map(text_at, contexts, rows["prediction"])])
