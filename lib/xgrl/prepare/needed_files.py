"""All files that a study reads from the folder of the "files" source: are they there, are they what
``MANIFEST.sha256`` says, can their first row be read?
"""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xgrl.runs.params import each, of_task, source_of
from xgrl.runs.records import hash_file
from xgrl.tasks import find_task
from xgrl.tasks.files import provenance, wanted_files
from xgrl.tasks.files.layouts import WHERE
from xgrl.tasks.formats import Loader
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import data_folder, find_all
from xgrl.tasks.unlabelled import SOURCES as UNLABELLED

Job = Mapping[str, Any]  # the parameters of 01_prepare
COLUMNS = ("task", "split", "language", "where it can be had", "wrong")  # the longest last


class Needed(NamedTuple):
    """A split of a task in a language; `load` is None for texts without a task, of which
    "parallel" may be missing.
    """

    task: str
    split: str
    language: str
    load: Loader | None = None


def needed(job: Job) -> list[Needed]:
    """What a study reads of its "files" source, each once."""
    return list(dict.fromkeys(_needed(job)))


def _needed(job: Job) -> Iterator[Needed]:
    def from_files(tried: Container[str], name: str, role: str = "") -> bool:
        return source_of(job["sources"], tried, name, role) == "files"

    borrowed = job.get("train_from", {})  # by targets that no training file is needed for
    tasks = [find_task(name, "intermediate") for name in job["intermediate"]]
    tasks += [find_task(name, "target") for name in job["targets"]]
    for task in tasks:
        own = set(of_task(job["languages"], task.name, task.role) or task.languages)
        trained = task.role != "target" or task.name not in borrowed
        firsts = [find_task(task.first, "intermediate")] if task.first and trained else []
        for first in (x for x in firsts if from_files(x.sources, x.name, x.role)):
            yield Needed(first.name, "train", "en", first.loaders["files"])
        for split in task.splits if from_files(task.sources, task.name, task.role) else ():
            languages = [code for code in task.languages if code in own]
            english = split in ("train", "dev")
            if english and not trained:
                continue
            if english or (split.endswith("candidates") and task.candidates == "shared"):
                languages = ["en"]
            for language in languages:
                yield Needed(task.name, split, language, task.loaders["files"])
        translated = task.translated("files") if "translated" in job["arms"] else ()
        translators = [source for source in task.sources if task.translated(source)]
        for language in translated if from_files(translators, task.name, task.role) else ():
            if language in job["unlabelled_languages"]:
                yield Needed(task.name, "translated", language, task.loaders["files"])
    for text in ("unlabelled", "parallel"):
        for language in job["unlabelled_languages"] if from_files(UNLABELLED, text) else ():
            if text == "unlabelled" or language != "en":
                yield Needed(text, "train", language)


def all_files(job: Job) -> Iterator[tuple[str, ...]]:
    """By task and split of what the folder must hold: where, the first language's files, all."""
    splits: dict[tuple[str, str], list[str]] = {}
    for what in needed(job):
        splits.setdefault((what.task, what.split), []).append(what.language)
    for (task, split), languages in splits.items():
        names = [" or ".join(names) for _, names in wanted_files(task, languages[0], split)]
        yield task, split, WHERE.get(task, ""), ", ".join(names), " ".join(languages)


def folder_of(job: Job) -> Path:
    """The folder of the "files" source; ValueError where none is named or it is not there."""
    folder = data_folder(job["path"])
    if not folder or not Path(folder).is_dir():
        wanted = "source 'files' needs the folder that holds them, by path or XGRL_DATA"
        raise ValueError(f"fixed.path={str(folder)!r}: {'no such folder; ' * bool(folder)}{wanted}")
    return Path(folder)


def wrong_files(job: Job) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each file that is missing, not the one of ``MANIFEST.sha256``, or
    without a row; [] where all is as it must be, or nothing comes from "files". ValueError: no
    folder, or what the folder says of itself cannot be read.
    """
    if not (wanted := needed(job)):
        return []
    folder = folder_of(job)
    provenance.read_provenance(folder)
    hashes, hashed, rows = provenance.read_manifest(folder), {}, []
    unlisted = f"is not the file of {provenance.MANIFEST}"

    def changed(file: Path) -> bool:
        listed = hashes.get(file.relative_to(folder))
        if file not in hashed:
            hashed[file] = listed is not None and hash_file(file) != listed
        return hashed[file]

    if (folder / provenance.FILE).exists() and changed(folder / provenance.FILE):
        rows.append(("", "", "", "", f"{provenance.FILE} {unlisted}"))
    for what in wanted:
        files = wanted_files(what.task, what.language, what.split)
        found = {" or ".join(names): find_all(folder, own, names) for own, names in files}
        lacking = [names for names, files in found.items() if not files]
        wrong = [f"missing: {names}" for names in lacking if what.task != "parallel"]
        others = [file for files in found.values() for file in files if changed(file)]
        wrong += [f"{file.relative_to(folder)} {unlisted}" for file in others]
        if not wrong and what.load:
            wrong = _unreadable(what, folder)
        rows += [(*what[:3], WHERE.get(what.task, ""), text) for text in wrong]
    return rows


def _unreadable(what: Needed, folder: Path) -> list[str]:
    """Why not even a first row can be read, if so."""
    try:
        if next(iter(what.load(what.language, what.split, folder)), None) is None:
            return ["its file has no row"]
    except SourceError as error:
        return [" ".join(str(error).split())]
    return []


def not_official(job: Job) -> list[str]:
    """Test sets and languages that the folder does not call official, and what it calls them; []
    where it is not here: analysing a study needs no data.
    """
    folder = data_folder(job["path"])
    from_files = any("files" in sources for sources in each(job["sources"]))
    if not from_files or not folder or not Path(folder).is_dir():
        return []
    said, found = provenance.read_provenance(folder), {}
    targets = {find_task(name, "target").name for name in job["targets"]}
    for what in needed(job):
        if what.task in targets and what.split in ("test", "queries"):
            part = provenance.part_of(said, what.task, what.split, what.language)
            status = part.status if part else provenance.NOT_STATED
            if status != provenance.OFFICIAL:
                found.setdefault((what.task, status), []).append(what.language)
    return [f"{task} in {' '.join(codes)}: {status}" for (task, status), codes in found.items()]
