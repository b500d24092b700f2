"""The rows of a study: which ones, in which languages, without training rows that are in a test
set.

Every choice is drawn from a generator keyed by the study's master seed and the corpus's name, so
that the same study file prepares the same bytes. Corpora are named as in `xgrl.prepare.folder`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedTokenizerBase

from xgrl.models.tokens import tokenise
from xgrl.tasks import find_task, load_task
from xgrl.tasks.formats import Task
from xgrl.tasks.leakage import leakage
from xgrl.tasks.unlabelled import SOURCES, load_unlabelled, match_lengths

# last parts of the names of corpora that are trained on: English ones, and others
ENGLISH = ("train", "first")
FOREIGN = ("unlabelled", "language-modelling", "pairs", "translated")
TRANSLATIONS = "pairs, translations"  # the foreign side in the table of what leaks
# unlabelled sentences looked at for each one wanted, so that lengths can be matched
UNLABELLED_CANDIDATES = 10


def generator(master_seed: int, name: str) -> np.random.Generator:
    """The generator of one choice, by name."""
    return np.random.default_rng(np.random.SeedSequence([master_seed, crc32(name.encode())]))


def target_languages(target: str, wanted: Iterable[str]) -> list[str]:
    """Languages of a target that the study wants (an empty list wants all), in the task's order."""
    task = find_task(target, "target")
    wanted = set(wanted) or set(task.languages)
    return [language for language in task.languages if language in wanted]


def gather(job: Mapping[str, Any]) -> tuple[dict[str, Dataset], list[str]]:
    """The rows of every corpus of the study, chosen and named as in `xgrl.prepare.folder`, before the
    leakage check.

    Args:
        job: the parameters of 01_prepare.

    Returns:
        the corpora, and what the loaders left out and why, one sentence a corpus.
    """
    corpora: dict[str, Dataset] = {}
    left_out: list[str] = []
    disable_progress_bars()
    with remembered(left_out):
        for task in job["intermediate"]:
            if find_task(task, "intermediate").format != "mixture":
                corpora |= _gather_training(find_task(task, "intermediate"), job)
        for target in job["targets"]:
            task = find_task(target, "target")
            corpora |= _gather_training(task, job)
            corpora |= (_gather_retrieval if task.format == "retrieval" else _gather_tests)(
                task, job
            )
    return corpora, left_out


@contextmanager
def remembered(left_out: list[str]) -> Iterator[None]:
    """Add what is left out inside the block, and why, to a list, each sentence once, instead of
    warning of it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    left_out += sorted(
        {str(warning.message) for warning in caught if "left out" in str(warning.message)}
        - set(left_out)
    )


def load_rows(task: Task, language: str, split: str, job: Mapping[str, Any]) -> Dataset:
    """The rows of a task, language and split from the first of the job's sources that has the task."""
    source = next((source for source in job["sources"] if source in task.sources), None)
    if source is None:
        raise ValueError(
            f"sources={job['sources']}: {task.name!r} comes from {', '.join(task.sources)} only"
        )
    return load_task(
        task.name, language, split, source, job["path"] if source == "files" else None, task.role
    )


def _gather_training(task: Task, job: Mapping[str, Any]) -> dict[str, Dataset]:
    """English training and development rows, where the task has any, and those of a task that is
    trained first.
    """
    found, place = {}, f"{task.role}/{task.name}"
    if task.first:
        found[name] = _some(
            load_rows(find_task(task.first, "intermediate"), "en", "train", job),
            name := f"{place}/first",
            job,
            "train_rows",
        )
    for split in ("train", "dev"):
        if split in task.splits:
            found[name] = _some(load_rows(task, "en", split, job), name := f"{place}/{split}", job)
    return found


def _gather_tests(task: Task, job: Mapping[str, Any]) -> dict[str, Dataset]:
    """Test rows of every language; the same ids in all where they are translations of each other."""
    found, shared, place = {}, None, f"target/{task.name}"
    for language in target_languages(task.name, job["languages"]):
        rows = load_rows(task, language, "test", job)
        if task.parallel and shared is None:
            english = load_rows(task, "en", "test", job) if "en" in task.languages else rows
            shared = _some(english, f"{place}/test", job)["id"]
        rows = (
            _with_ids(rows, shared)
            if task.parallel
            else rows.select(range(min(len(rows), job["test_rows"])))
        )
        found[f"{place}/test-{language}"] = rows
    return found


def _gather_retrieval(task: Task, job: Mapping[str, Any]) -> dict[str, Dataset]:
    """Queries of each language and the candidates they search (`Task.candidates`).

    Candidates are drawn first, then the queries that have a right one among them; in bitexts that
    is the whole limit, elsewhere right candidates are kept and others are drawn to fill up.
    """
    found, place = {}, f"target/{task.name}"
    languages = target_languages(task.name, job["languages"])
    for kind in ("", "dev-") if "dev_queries" in task.splits else ("",):
        split = kind.replace("-", "_")
        for language in languages:
            name = (
                f"{kind}candidates"
                if task.candidates == "shared"
                else f"{kind}candidates-{language}"
            )
            if f"{place}/{name}" not in found:
                of = "en" if task.candidates == "shared" else language
                found[f"{place}/{name}"] = load_rows(task, of, f"{split}candidates", job)
            found[f"{place}/{kind}queries-{language}"] = load_rows(
                task, language, f"{split}queries", job
            )
    if task.metric == "retrieval_accuracy":
        return _smaller_bitexts(task, found, job)
    smaller = _smaller_pool(task, found, job)
    if task.metric == "mined_f1":
        smaller = {
            name: rows.add_column("group", _groups(rows["text"])) for name, rows in smaller.items()
        }
    return smaller


def _mined_queries(rows: Dataset, name: str, job: Mapping[str, Any]) -> Dataset:
    """At most ``test_rows`` sentences, up to half of them with a partner; ValueError where none
    has.
    """
    order = generator(job["master_seed"], name).permutation(len(rows))
    paired = np.array([bool(gold) for gold in rows["gold"]], dtype=bool)[order]
    if not paired.any():
        raise ValueError(
            f"{name}: no sentence has a partner among the candidates, so nothing can be mined"
        )
    first = (
        order[paired][: max(1, job["test_rows"] // 2)] if len(rows) > job["test_rows"] else order
    )
    rest = order[~np.isin(order, first)]
    return rows.select([*first, *rest][: job["test_rows"]])


def _groups(texts: Iterable[str]) -> list[int]:
    """For each text the position of the first one that equals it."""
    first: dict[str, int] = {}
    return [first.setdefault(text, i) for i, text in enumerate(texts)]


def _smaller_bitexts(
    task: Task, found: dict[str, Dataset], job: Mapping[str, Any]
) -> dict[str, Dataset]:
    """At most ``retrieval_rows`` candidates, and the queries they answer."""
    for name in [name for name in found if "/candidates" in name]:
        found[name] = _some(found[name], name, job, "retrieval_rows")
    for name in [name for name in found if "/queries-" in name]:
        shared = task.candidates == "shared"
        ids = found[
            name.rsplit("/", 1)[0]
            + "/candidates"
            + ("" if shared else "-" + name.rsplit("-", 1)[1])
        ]["id"]
        found[name] = _with_ids(found[name], ids)
    return found


def _smaller_pool(
    task: Task, found: dict[str, Dataset], job: Mapping[str, Any]
) -> dict[str, Dataset]:
    """At most ``test_rows`` queries a language; all their right candidates and others, up to
    ``retrieval_rows`` a corpus.

    Right candidates that the study does not have, as those of other languages, do not count; a
    ranking query without any is left out with a warning. Of queries to be mined up to half are ones
    with a partner.
    """
    golds: set[str] = set()
    shared = None
    there = {
        candidate
        for name in found
        if "candidates" in name.rsplit("/", 1)[1]
        for candidate in found[name]["id"]
    }
    for name in [name for name in found if "queries-" in name]:
        rows = found[name]
        kept = [[gold for gold in of if gold in there] for of in rows["gold"]]
        rows = rows.remove_columns("gold").add_column("gold", kept)
        if task.metric == "mined_f1":
            rows = _mined_queries(rows, name, job)
        else:
            answered = np.flatnonzero([bool(of) for of in kept])
            if len(answered) < len(rows):
                warnings.warn(
                    f"{name}: left out {len(rows) - len(answered)} queries without a right "
                    f"candidate",
                    stacklevel=2,
                )
            rows = rows.select(answered)
            if task.parallel and shared is None:
                shared = _some(rows, f"target/{task.name}/queries", job, "test_rows")["id"]
            rows = _with_ids(rows, shared) if task.parallel else _some(rows, name, job, "test_rows")
        found[name] = rows
        golds |= {gold for golds_of in found[name]["gold"] for gold in golds_of}
    for name in [name for name in found if "candidates" in name.rsplit("/", 1)[1]]:
        right = np.array([candidate in golds for candidate in found[name]["id"]], dtype=bool)
        order = generator(job["master_seed"], name).permutation(len(right))
        others = order[~right[order]][: max(0, job["retrieval_rows"] - int(right.sum()))]
        found[name] = found[name].select(np.sort(np.concatenate([np.flatnonzero(right), others])))
    return found


def _some(rows: Dataset, name: str, job: Mapping[str, Any], limit: str = "") -> Dataset:
    """At most so many rows, drawn without replacement; the limit is the job's ``<split>_rows``."""
    limit = limit or f"{name.rsplit('/', 1)[1]}_rows"
    order = generator(job["master_seed"], name).permutation(len(rows))
    return rows.select(order[: job[limit]])


def _with_ids(rows: Dataset, ids: Iterable[str]) -> Dataset:
    """The rows with these ids, in the order of `ids`; ids that a language lacks are left out."""
    place = {example: i for i, example in enumerate(rows["id"])}
    return rows.select([place[i] for i in ids if i in place])


def schema_of(name: str) -> str:
    """The format of a corpus's rows, from its name."""
    role, _, rest = name.partition("/")
    if not rest:
        return "pairs" if name == "pairs" else "retrieval"
    task, _, part = rest.partition("/")
    found = find_task(task, role)
    return find_task(found.first, "intermediate").format if part == "first" else found.schema(part)


def surface(rows: Dataset, format: str) -> list[str]:
    """The text of each row that must not be in a test set: all of what an encoder is shown, but the
    candidates of pairs.
    """
    if format == "tagging":
        return [" ".join(tokens) for tokens in rows["tokens"]]
    if format == "multiple_choice":
        return [" ".join([row["prompt"], *row["choices"]]) for row in rows]
    first, second = ("question", "context") if format == "span_qa" else ("text", "text_pair")
    if second not in rows.column_names:
        return list(rows[first])
    return [f"{a} {b}" if b else a for a, b in zip(rows[first], rows[second], strict=True)]


def drop_leaked(corpora: Mapping[str, Dataset]) -> tuple[dict[str, Dataset], pd.DataFrame]:
    """Take rows out of all that is trained on that are in some test set; and say what was found.

    Exact duplicates are looked for in all languages; near ones in English, if all that is trained
    on is English, and else in all. Of a translation pair both sides are looked at. What is searched
    or mined in ranking and mining tasks is a public collection, not a test set.

    Returns:
        the corpora, and one line for each pair of train and test corpora with what they share.
    """
    kinds = {name: name.rsplit("/", 1)[-1] for name in corpora}
    texts = {
        name: surface(rows, schema_of(name))
        for name, rows in corpora.items()
        if not _is_public(name)
    }
    trains = {name: texts.pop(name) for name in list(texts) if kinds[name] in (*ENGLISH, *FOREIGN)}
    if "pairs" in trains:
        trains[TRANSLATIONS] = list(corpora["pairs"]["candidate"])
    english = {
        name
        for name in texts
        if kinds[name].endswith("-en") or kinds[name].startswith("candidates")
    }
    table, leaked = leakage(trains, texts, None if set(kinds.values()) & set(FOREIGN) else english)
    if "pairs" in trains:
        leaked["pairs"] |= leaked.pop(TRANSLATIONS)
    clean = {
        name: corpora[name].select(np.flatnonzero(~rows))
        for name, rows in leaked.items()
        if rows.any()
    }
    return dict(corpora) | clean, table


def _is_public(name: str) -> bool:
    """Development sets, and collections that are searched."""
    role, _, rest = name.partition("/")
    task, _, kind = rest.partition("/")
    metric = find_task(task, role).metric if task else ""
    return (
        kind.startswith("dev")
        or metric == "mined_f1"
        or (metric in ("map", "mrr") and kind.startswith("candidates"))
    )


def choose_unlabelled(
    job: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, lengths: np.ndarray
) -> tuple[Dataset, Dataset]:
    """Unlabelled sentences for the discriminator, and others for the probes: every language with
    the same lengths.

    Args:
        job: the parameters of 01_prepare.
        tokenizer: counts the tokens.
        lengths: (n,) token lengths of the labelled texts; the sentences are matched to them.

    Returns:
        two datasets ``id, text, language`` with ``unlabelled_rows`` and ``probe_rows`` sentences a
        language.
    """
    languages = job["unlabelled_languages"]
    source = next(source for source in job["sources"] if source in SOURCES)
    rows = load_unlabelled(languages, source, job["path"] or None, without=job["targets"])
    wanted, rng = (
        job["unlabelled_rows"] + job["probe_rows"],
        generator(job["master_seed"], "unlabelled"),
    )
    matched = choose_lengths(rows, languages, wanted, job["max_length"], tokenizer, lengths, rng)
    order = rng.permutation(wanted)
    parts = (order[: job["unlabelled_rows"]], order[job["unlabelled_rows"] :])
    training, probing = (
        np.concatenate([matched[lang][part] for lang in languages]) for part in parts
    )
    return rows.select(training), rows.select(probing)


def choose_lengths(
    rows: Dataset,
    languages: Iterable[str],
    wanted: int,
    longest: int,
    tokenizer: PreTrainedTokenizerBase,
    lengths: np.ndarray,
    rng: np.random.Generator,
    column: str = "text",
) -> dict[str, np.ndarray]:
    """Positions (wanted,) in `rows` of as many rows of each language, all with the same lengths,
    those of other texts.

    Args:
        rows: has a column `language`.
        languages: codes.
        wanted: rows of each; ValueError where a language has fewer.
        longest: tokens at which a text is cut.
        tokenizer: counts the tokens.
        lengths: (n,) token lengths to imitate.
        rng: draws candidates, UNLABELLED_CANDIDATES for each row wanted, and chooses among them.
        column: whose lengths are meant.
    """
    names = np.array(rows["language"])
    pools = {
        lang: rng.permutation(np.flatnonzero(names == lang))[: UNLABELLED_CANDIDATES * wanted]
        for lang in languages
    }
    if short := {lang: len(pool) for lang, pool in pools.items() if len(pool) < wanted}:
        raise ValueError(
            f"{wanted} rows a language wanted (unlabelled_rows, probe_rows), but there are fewer "
            f"in {short}"
        )
    texts = {lang: rows.select(pool)[column] for lang, pool in pools.items()}
    counted = {lang: tokenise(t, tokenizer, longest).lengths for lang, t in texts.items()}
    return {
        lang: pools[lang][found]
        for lang, found in match_lengths(counted, lengths, wanted, rng).items()
    }
