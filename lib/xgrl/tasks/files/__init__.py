"""Loaders ``(language, split, path) -> rows`` of the "files" source: XTREME's download layout, the
upstream projects' files.

One folder serves a whole study; a task's files are looked for in ``<path>/<task>/`` and in
``<path>``. Which names are tried, and what is in the files, is in the first lines of each module.
"""

from xgrl.tasks.files.choices import commonsenseqa, cosmosqa, hellaswag, siqa, xcopa
from xgrl.tasks.files.dual import lareqa, mewslix
from xgrl.tasks.files.pairs import XNLI_LANGUAGES, anli, mnli, pawsx, qqp, xnli
from xgrl.tasks.files.retrieval import TATOEBA, bucc2018, tatoeba
from xgrl.tasks.files.spans import mlqa, squad, squad2, tydiqa, xquad
from xgrl.tasks.files.tagging import ccg, ccg_labels, panx, udpos

__all__ = [
    "TATOEBA", "XNLI_LANGUAGES", "anli", "bucc2018", "ccg", "ccg_labels", "commonsenseqa",
    "cosmosqa", "hellaswag", "lareqa", "mewslix", "mlqa", "mnli", "panx", "pawsx", "qqp", "siqa",
    "squad", "squad2", "tatoeba", "tydiqa", "udpos", "xcopa", "xnli", "xquad",
]  # fmt: skip
