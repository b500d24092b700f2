"""Loaders ``(language, split, path) -> rows`` of "files": upstream projects', XTREME's layout.

One folder serves a whole study; a task's files are looked for in ``<path>/<task>/`` and in
``<path>``. Which names are tried, and what reads them, is in `layouts.LAYOUTS`.
"""

from functools import partial

from xgrl.tasks.files import layouts, retrieval
from xgrl.tasks.files.layouts import Wanted, anli, ccg, ccg_labels, load
from xgrl.tasks.files.retrieval import bucc2018, lareqa, tatoeba
from xgrl.tasks.formats import Loader
from xgrl.tasks.rows import TATOEBA
from xgrl.tasks.sources import codes

__all__ = ["TATOEBA", "XNLI_LANGUAGES", "ccg_labels", "loader", "tatoeba", "wanted_files"]
XNLI_LANGUAGES = codes("ar bg de el es fr hi ru sw th tr ur vi zh")
LOADERS = {each.__name__: each for each in (anli, bucc2018, ccg, lareqa, tatoeba)}


def loader(task: str) -> Loader:
    """The loader of a task, a key of `LOADERS` or of `layouts.LAYOUTS`."""
    return LOADERS.get(task) or partial(load, task)


def wanted_files(task: str, language: str, split: str) -> list[Wanted]:
    """The files of a task and split in a language, each as folders and names of which one will do;
    `task` may be "unlabelled" or "parallel", the texts without a task.
    """
    if task in ("unlabelled", "parallel"):
        return [([task], [f"{language}.{'txt' if task == 'unlabelled' else 'tsv'}"])]
    room = retrieval if task in ("bucc2018", "lareqa", "tatoeba") else layouts
    return room.wanted(task, language, split)
