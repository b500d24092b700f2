"""The rows of a study: which ones, and in which languages.

Every choice is drawn from a generator keyed by the study's master seed and the corpus's name, so
that the same study file prepares the same bytes. Corpora are named as in `xgrl.prepare.folder`.
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
from datasets import Dataset, disable_progress_bars

from xgrl.models.tokens import Tokenizer
from xgrl.prepare.lengths import choose_lengths
from xgrl.runs.params import of_task, source_of
from xgrl.tasks import MOST, RowsLost, find_task, load_task
from xgrl.tasks.descent import shares_model
from xgrl.tasks.formats import TRAINED, Task, features, validate
from xgrl.tasks.rows import answer_pair
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import data_folder
from xgrl.tasks.unlabelled import SOURCES, document, documents_apart, load_unlabelled

Job = Mapping[str, Any]  # the parameters of 01_prepare


def generator(master_seed: int, name: str) -> np.random.Generator:
    """The generator of one choice, by name."""
    return np.random.default_rng(np.random.SeedSequence([master_seed, crc32(name.encode())]))


def target_languages(target: str, wanted: Any) -> list[str]:
    """A target's languages that are wanted ([]: all; may be given by task), in the task's order."""
    task = find_task(target, "target")
    wanted = set(of_task(wanted, target, "target")) or set(task.languages)
    return [language for language in task.languages if language in wanted]


def gather(job: Job) -> tuple[dict[str, Dataset], list[str]]:
    """The rows of every corpus of the study but texts without labels, before the leakage check;
    and what the loaders left out and why, one sentence a corpus. ValueError for one without rows.
    """
    corpora, left_out = {}, []
    disable_progress_bars()
    with remembered(left_out):
        for name in job["intermediate"]:
            task = find_task(name, "intermediate")
            if task.format != "mixture":
                corpora |= _training_rows(task, job)
        for name in job["targets"]:
            task = find_task(name, "target")
            tests = _retrieval_rows if task.format == "retrieval" else _test_rows
            source = job.get("train_from", {}).get(name)
            trained = _training_rows if not source else partial(_borrowed_rows, source)
            corpora |= trained(task, job) | tests(task, job)
    if empty := [name for name, rows in corpora.items() if not len(rows)]:
        raise ValueError(f"no row in {', '.join(empty)}; expected one at least")
    _check_pairs(corpora)
    return corpora, left_out


def _check_pairs(corpora: Mapping[str, Dataset]) -> None:
    """SourceError where a task's training texts are pairs and its test texts are not."""
    classes = {k: v for k, v in corpora.items() if {"text_pair", "label"} <= {*v.column_names}}
    pairs = {name: bool(rows[0]["text_pair"]) for name, rows in classes.items()}
    for name, paired in pairs.items():
        if paired != pairs.get(f"{name.rpartition('/')[0]}/train", paired):
            raise SourceError(f"{name}: text_pair must be in all files of a task or in none")


@contextmanager
def remembered(left_out: list[str]) -> Iterator[None]:
    """Collect warnings of what is left out inside; SourceError where that is over half of rows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    most = {str(w.message) for w in caught if getattr(w.message, "share", 0) > MOST}
    if most:
        raise SourceError(f"more than half of the rows would be lost. {'. '.join(sorted(most))}")
    sentences = {str(warning.message) for warning in caught}
    left_out += sorted({text for text in sentences if "left out" in text} - set(left_out))


def load_rows(task: Task, language: str, split: str, job: Job) -> Dataset:
    """Rows of a task, language and split from the first of the job's sources that has the task."""
    sources = of_task(job["sources"], task.name, task.role)
    if not (source := source_of(job["sources"], task.sources, task.name, task.role)):
        known = ", ".join(task.sources)
        raise ValueError(f"sources={sources}: {task.name!r} comes from {known} only")
    path = data_folder(job["path"]) or None if source == "files" else None
    return load_task(task.name, language, split, source, path, task.role)


def _training_rows(task: Task, job: Job) -> dict[str, Dataset]:
    """English training and development rows, and those of a task that is trained first."""
    corpora, folder = {}, f"{task.role}/{task.name}"
    if task.first:
        first = find_task(task.first, "intermediate")
        rows = load_rows(first, "en", "train", job)
        corpora[f"{folder}/first"] = _some(rows, f"{folder}/first", job, "train_rows", first)
    for split in ("train", "dev"):
        if split in task.splits:
            rows = load_rows(task, "en", split, job)
            name, limit = f"{folder}/{split}", f"{split}_rows"
            corpora[name] = _some(rows, name, job, limit, task)
    return corpora


def _borrowed_rows(source: str, task: Task, job: Job) -> dict[str, Dataset]:
    """Pairs of question and answer sentence from the English rows of another target; none where a
    task is tested with that one's model.
    """
    other = find_task(source, "target")
    if shares_model(task, other):
        return {}
    corpora, types = {}, features("pairs")
    for split in TRAINED[:2]:
        name, rows = f"target/{task.name}/{split}", load_rows(other, "en", split, job)
        table, dropped = validate(map(answer_pair, rows), "pairs")
        if lost := sum(dropped.values()):
            reason = f"{lost} of {source!r} without an answer sentence"
            warnings.warn(RowsLost(name, reason, lost, len(table)), stacklevel=2)
        pairs = Dataset.from_dict(table.to_pydict(), features=types)
        corpora[name] = _some(pairs, name, job, f"{split}_rows", task)
    return corpora


def _test_rows(task: Task, job: Job) -> dict[str, Dataset]:
    """Test rows of every language: the same ids in all where they are translations, else a draw of
    each language's own (the first so many may be one document), in the order of the source.
    """
    corpora, shared, folder = {}, None, f"target/{task.name}"
    for language in target_languages(task.name, job["languages"]):
        rows = load_rows(task, language, "test", job)
        name = f"{folder}/test-{language}"
        if not task.parallel:
            order = generator(job["master_seed"], name).permutation(len(rows))
            rows = rows.select(np.sort(order[: of_task(job["test_rows"], task.name, task.role)]))
        else:
            if shared is None:
                english = load_rows(task, "en", "test", job) if "en" in task.languages else rows
                shared = _some(english, f"{folder}/test", job, "test_rows", task)["id"]
            rows = _with_ids(rows, shared, name)
        corpora[name] = rows
    return corpora


def _retrieval_rows(task: Task, job: Job) -> dict[str, Dataset]:
    """Queries of each language and the candidates they search (`Task.candidates`).

    Candidates are drawn first, then the queries that have a right one among them; in bitexts that
    is the whole limit, elsewhere right candidates are kept and others are drawn to fill up.
    """
    corpora, folder = {}, f"target/{task.name}"
    shared = task.candidates == "shared"
    for kind in ("", "dev-") if "dev_queries" in task.splits else ("",):
        split = kind.replace("-", "_")
        for language in target_languages(task.name, job["languages"]):
            own = "en" if shared else language
            name = f"{folder}/{kind}candidates" + ("" if shared else f"-{language}")
            if name not in corpora:
                corpora[name] = load_rows(task, own, f"{split}candidates", job)
            queries = load_rows(task, language, f"{split}queries", job)
            corpora[f"{folder}/{kind}queries-{language}"] = queries
    if task.metric == "retrieval_accuracy":
        return _smaller_bitexts(task, corpora, job)
    corpora = _smaller_pool(task, corpora, job)
    if task.metric != "mined_f1":
        return corpora
    return {k: rows.add_column("group", _groups(rows["text"])) for k, rows in corpora.items()}


def _mined_queries(rows: Dataset, name: str, job: Job, task: Task) -> Dataset:
    """At most ``test_rows`` sentences, up to half with a partner; ValueError where none has."""
    wanted = of_task(job["test_rows"], task.name, task.role)
    order = generator(job["master_seed"], name).permutation(len(rows))
    paired = np.array([bool(gold) for gold in rows["gold"]], dtype=bool)[order]
    if not paired.any():
        reason = "no sentence has a partner among the candidates"
        raise ValueError(f"{name}: {reason}, so nothing can be mined")
    first = order[paired][: max(1, wanted // 2)] if len(rows) > wanted else order
    rest = order[~np.isin(order, first)]
    return rows.select([*first, *rest][:wanted])


def _groups(texts: Iterable[str]) -> list[int]:
    """For each text the position of the first one that equals it."""
    first: dict[str, int] = {}
    return [first.setdefault(text, i) for i, text in enumerate(texts)]


def _smaller_bitexts(task: Task, corpora: dict[str, Dataset], job: Job) -> dict[str, Dataset]:
    """At most ``retrieval_rows`` candidates, and the queries they answer, in the candidates' order;
    of a task of the user's own a text's right candidates are right under every id.
    """
    pools = {name: rows for name, rows in corpora.items() if "/candidates" in name}
    for name, rows in pools.items():
        corpora[name] = _some(rows, name, job, "retrieval_rows", task)
    for name in [name for name in corpora if "/queries-" in name]:
        folder, language = name.split("/queries-")
        shared, rows = task.candidates == "shared", corpora[name]
        pool = f"{folder}/candidates" if shared else f"{folder}/candidates-{language}"
        if "own" in task.sources:
            rows = _answered(rows, _right_texts(rows, pools[pool]), name)
        asking: dict[str, list[int]] = {}  # queries that a candidate answers
        for i, answers in enumerate(rows["gold"]):
            for answer in answers:
                asking.setdefault(answer, []).append(i)
        order = dict.fromkeys(i for id in corpora[pool]["id"] for i in asking.get(id, ()))
        corpora[name] = rows.select(list(order))
    return corpora


def _right_texts(queries: Dataset, candidates: Dataset) -> list[list[str]]:
    """By query all candidates with the text of a right one, of this or of a query with its text."""
    sides = (zip(rows["text"], rows["text_pair"], strict=True) for rows in (queries, candidates))
    asked, found = map(list, sides)
    text_of = dict(zip(candidates["id"], found, strict=True))
    same, right = {text: [] for text in found}, {text: {} for text in asked}
    for id, text in text_of.items():
        same[text].append(id)
    for text, answers in zip(asked, queries["gold"], strict=True):
        right[text] |= dict.fromkeys(text_of[id] for id in answers if id in text_of)
    return [[id for answer in right[text] for id in same[answer]] for text in asked]


def _answered(rows: Dataset, golds: list[list[str]], name: str, many: bool = False) -> Dataset:
    """The queries with a right candidate; a warning counts the others, of which there may be `many`
    where right ones are in languages that the study lacks. ValueError where there is no query.
    """
    answered = np.flatnonzero([bool(answers) for answers in golds])
    if not len(answered):
        raise ValueError(f"{name}: no query has a right candidate, so nothing can be found")
    if missing := len(rows) - len(answered):
        reason = f"{missing} queries without a right candidate"
        lost = RowsLost(name, reason, missing, len(answered))
        warnings.warn(str(lost) if many else lost, stacklevel=2)
    return rows.remove_columns("gold").add_column("gold", golds).select(answered)


def _smaller_pool(task: Task, corpora: dict[str, Dataset], job: Job) -> dict[str, Dataset]:
    """At most ``test_rows`` queries a language; all their right candidates and others, up to
    ``retrieval_rows`` a corpus.

    Right candidates that the study does not have, as those of other languages, do not count; a
    ranking query without any is left out with a warning. Up to half of mined queries have partners.
    """
    pools = [name for name in corpora if "candidates" in name.rsplit("/", 1)[1]]
    known = {candidate for name in pools for candidate in corpora[name]["id"]}
    golds: set[str] = set()
    shared = None
    for name in [name for name in corpora if "queries-" in name]:
        rows = corpora[name]
        gold = [[answer for answer in answers if answer in known] for answers in rows["gold"]]
        if task.metric == "mined_f1":
            rows = rows.remove_columns("gold").add_column("gold", gold)
            rows = _mined_queries(rows, name, job, task)
        else:
            rows = _answered(rows, gold, name, many=True)
            if not task.parallel:
                rows = _some(rows, name, job, "test_rows", task)
            else:
                if shared is None:
                    queries = f"target/{task.name}/queries"
                    shared = _some(rows, queries, job, "test_rows", task)["id"]
                rows = _with_ids(rows, shared, name)
        corpora[name] = rows
        golds |= {answer for answers in rows["gold"] for answer in answers}
    for name in pools:
        right = np.array([candidate in golds for candidate in corpora[name]["id"]], dtype=bool)
        order = generator(job["master_seed"], name).permutation(len(right))
        others = order[~right[order]][: max(0, job["retrieval_rows"] - int(right.sum()))]
        kept = np.sort(np.concatenate([np.flatnonzero(right), others]))
        corpora[name] = corpora[name].select(kept)
    return corpora


def _some(rows: Dataset, name: str, job: Job, limit: str, task: Task) -> Dataset:
    """At most so many rows of a task as the job's parameter `limit` says, without replacement."""
    order = generator(job["master_seed"], name).permutation(len(rows))
    return rows.select(order[: of_task(job[limit], task.name, task.role)])


def _with_ids(rows: Dataset, ids: Collection[str], name: str) -> Dataset:
    """The rows with these ids, in the order of `ids`; ids that a language lacks are left out, which
    is said, and refused where it lacks all.
    """
    number = {example: i for i, example in enumerate(rows["id"])}
    there = [number[i] for i in ids if i in number]
    if missing := len(ids) - len(there):
        said = RowsLost(name, f"{missing} of {len(ids)} ids, which it lacks", missing, len(there))
        if not there:
            raise SourceError(f"{said}: translations of one another have the same ids")
        warnings.warn(str(said), stacklevel=2)  # half may be by design, as in MLQA
    return rows.select(there)


def schema_of(name: str) -> str:
    """The format of a corpus's rows, from its name."""
    role, _, rest = name.partition("/")
    if not rest:
        return "pairs" if name == "pairs" else "retrieval"
    task_name, _, split = rest.partition("/")
    task = find_task(task_name, role)
    return find_task(task.first, "intermediate").format if split == "first" else task.schema(split)


def choose_unlabelled(
    job: Job, tokenizer: Tokenizer, lengths: np.ndarray
) -> tuple[Dataset, Dataset]:
    """Sentences for the discriminator, and of other documents (translations are one) for the
    probes: of the same lengths by language.

    tokenizer: counts the tokens; lengths: (n,) token lengths of the labelled texts, to which the
    sentences are matched. Returns ``unlabelled_rows`` sentences a language, ``id, text, language,
    label`` (the language's number), and ``probe_rows`` others, ``id, text, language``. ValueError
    where a language has fewer in the share of the documents that goes to either.
    """
    languages, count = job["unlabelled_languages"], job["unlabelled_rows"]
    source = source_of(job["sources"], SOURCES, "unlabelled")
    folder = data_folder(job["path"]) or None
    rows = load_unlabelled(languages, source, folder, without=job["targets"])
    probes, rng = job["probe_rows"], generator(job["master_seed"], "unlabelled")
    fewest = np.unique(rows["language"], return_counts=True)[1].min()
    # more than are wanted to choose lengths from, a quarter of them for the few texts of the probes
    share = (probes + max(0, fewest - count - probes) / 4) / max(fewest, count + probes)
    keys = [document(id) for id in rows["id"]]
    apart = documents_apart(keys, rows["language"], share, rng)

    def chosen(part: np.ndarray, wanted: int) -> Dataset:
        pool = rows.select(np.flatnonzero(part))
        known = (job["max_length"], tokenizer, lengths, rng)
        matched = choose_lengths(pool, languages, wanted, *known)
        return pool.select(np.concatenate([matched[language] for language in languages]))

    training, probing = chosen(~apart, count), chosen(apart, probes)
    labels = [languages.index(language) for language in training["language"]]
    return training.add_column("label", labels), probing
