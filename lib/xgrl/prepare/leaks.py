"""Training rows that are in a test set are dropped, and what was found is said.

The search for exact and near duplicates is `xgrl.tasks.leakage`'s.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from datasets import Dataset

from xgrl.prepare.select_rows import schema_of
from xgrl.tasks import find_task
from xgrl.tasks.leakage import leakage

# last parts of the names of corpora that are trained on: English ones, and others
ENGLISH = ("train", "first")
FOREIGN = ("unlabelled", "language-modelling", "pairs", "translated")
TRANSLATIONS = "pairs, translations"  # the foreign side in the table of what leaks


def surface(rows: Dataset, format: str) -> list[str]:
    """What an encoder is shown of each row, and so must not be in a test set; of pairs one side."""
    if format == "tagging":
        return [" ".join(tokens) for tokens in rows["tokens"]]
    if format == "multiple_choice":
        return [" ".join([row["prompt"], *row["choices"]]) for row in rows]
    first, second = ("question", "context") if format == "span_qa" else ("text", "text_pair")
    if second not in rows.column_names:
        return list(rows[first])
    return [f"{a} {b}" if b else a for a, b in zip(rows[first], rows[second], strict=True)]


def is_trained_on(name: str) -> bool:
    """Whether a corpus is trained on, from its name."""
    return name.rsplit("/", 1)[-1] in (*ENGLISH, *FOREIGN)


def drop_leaked(corpora: Mapping[str, Dataset]) -> tuple[dict[str, Dataset], pd.DataFrame]:
    """Take rows out of all that is trained on that are in some test set; and say what was found.

    Exact duplicates are looked for in all languages; near ones in English, if all that is trained
    on is English, and else in all. Of a translation pair both sides are looked at. What is searched
    or mined in ranking and mining tasks is a public collection, not a test set. Returns the
    corpora, and one line for each pair of train and test corpora with what they share.
    """
    kinds = {name: name.rsplit("/", 1)[-1] for name in corpora}
    checked = [name for name in corpora if not _is_public(name)]
    tests = {name: surface(corpora[name], schema_of(name)) for name in checked}
    trained = {name: tests.pop(name) for name in checked if is_trained_on(name)}
    if "pairs" in trained:
        trained[TRANSLATIONS] = list(corpora["pairs"]["candidate"])
    english = {k for k in tests if kinds[k].endswith("-en") or kinds[k].startswith("candidates")}
    near_in = None if set(kinds.values()) & set(FOREIGN) else english
    table, leaked = leakage(trained, tests, near_in)
    if "pairs" in trained:
        leaked["pairs"] |= leaked.pop(TRANSLATIONS)
    found = {name: rows for name, rows in leaked.items() if rows.any()}
    clean = {name: corpora[name].select(np.flatnonzero(~rows)) for name, rows in found.items()}
    return dict(corpora) | clean, table


def _is_public(name: str) -> bool:
    """Development sets, and collections that are searched."""
    role, _, rest = name.partition("/")
    task, _, kind = rest.partition("/")
    metric = find_task(task, role).metric if task else ""
    searched = metric in ("map", "mrr") and kind.startswith("candidates")
    return kind.startswith("dev") or metric == "mined_f1" or searched
