"""What a study needs beside labelled rows and the discriminator's text: arms' texts, parallel ones.

==============================  ======================================================  ===========
corpus                          what                                                    for the arm
==============================  ======================================================  ===========
language-modelling              `unlabelled`, or other text where no language model     mlm
                                may see that
pairs                           English sentences and their translations                lexical,
                                                                                        alignment
intermediate/<task>/translated  the task's training rows, each in one of the languages  translated
==============================  ======================================================  ===========

Languages are those of the discriminator's text, as far as the source has them. Draws have
generators of their own, so that nothing else of a study changes when an arm is added.
"""

import warnings
from collections.abc import Container, Iterable, Mapping
from itertools import chain

import numpy as np
import pandas as pd
from datasets import Dataset, concatenate_datasets

from xgrl.arms import arm_spec
from xgrl.models.tokens import Tokenizer, tokenise
from xgrl.prepare.leaks import ENGLISH, surface
from xgrl.prepare.lengths import choose_lengths
from xgrl.prepare.select_rows import Job, generator, load_rows, schema_of, target_languages
from xgrl.runs.params import of_task, source_of
from xgrl.tasks import find_task, messages, parallel, typology
from xgrl.tasks.formats import Task, features
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources.files import data_folder
from xgrl.tasks.sources.packages import SourceError

# share of translated rows that must have the label of the English row with their id
AGREEMENT = 0.99


def text_of_arms(
    job: Job, corpora: Mapping[str, Dataset], unlabelled: Dataset, parallel_texts: Dataset,
    tokenizer: Tokenizer, lengths: np.ndarray,
) -> dict[str, Dataset]:  # fmt: skip
    """Those corpora of the table above that the study's arms need, before the leakage check.

    corpora: what `xgrl.prepare.select_rows.gather` gives; unlabelled: the discriminator's text;
    parallel_texts: see `choose_parallel`, none of these is among the pairs; tokenizer: counts the
    tokens; lengths: (n,) of the labelled texts in tokens, to which the others are matched.
    """
    needed = {arm_spec(arm).text for arm in job["arms"]}
    texts: dict[str, Dataset] = {}
    if "language-modelling" in needed:
        texts["language-modelling"] = _modelling(job, unlabelled, tokenizer, lengths)
    if "pairs" in needed:
        texts["pairs"] = _pairs(job, parallel_texts, tokenizer, lengths)
    if "translated" in needed:
        tasks = [find_task(name, "intermediate") for name in job["intermediate"]]
        served = [task for task in tasks if any(map(task.translated, _sources(job, task)))]
        for task in served:
            english = corpora[f"intermediate/{task.name}/train"]
            texts[f"intermediate/{task.name}/translated"] = _translated(task, english, job)
        if not served:
            given = f"intermediate={job['intermediate']}: sources {job['sources']}"
            raise ValueError(f"{given} have translations of none of these")
    return texts


def text_languages(job: Job) -> dict[str, list[str]]:
    """Languages that labels of text for language modelling number, by corpus; {} without it."""
    if "language-modelling" not in {arm_spec(arm).text for arm in job["arms"]}:
        return {}
    return {"language-modelling": _known(job, messages.SOURCES[_source(job)])}


def _known(job: Job, languages: Container[str]) -> list[str]:
    """Those of the study's languages of unlabelled text that a source has."""
    return [language for language in job["unlabelled_languages"] if language in languages]


def _source(job: Job, text: str = "unlabelled") -> str:
    """The source of the texts ``unlabelled`` or ``parallel``: the first that has any."""
    return source_of(job["sources"], messages.SOURCES, text)


def _sources(job: Job, task: Task) -> list[str]:
    """The sources of a task, in order of preference."""
    return of_task(job["sources"], task.name, task.role) or []


def _matched(
    job: Job, rows: Dataset, name: str, tokenizer: Tokenizer, lengths: np.ndarray, column: str
) -> Dataset:
    """``unlabelled_rows`` of each language, or as many as the smallest has, like `lengths`."""
    counts = pd.Series(rows["language"]).value_counts()
    languages, longest = _known(job, counts), job["max_length"]
    wanted = min(job["unlabelled_rows"], int(counts[languages].min()))
    rng = generator(job["master_seed"], name)
    chosen = choose_lengths(rows, languages, wanted, longest, tokenizer, lengths, rng, column)
    return rows.select(np.concatenate([chosen[language] for language in languages]))


def _modelling(job: Job, unlabelled: Dataset, tokenizer: Tokenizer, lengths: np.ndarray) -> Dataset:
    """Text for language modelling, equally many sentences of each language."""
    languages = text_languages(job)["language-modelling"]
    rows = unlabelled
    if _source(job) == "packages":
        pool = messages.load_messages(languages)
        rows = _matched(job, pool, "language-modelling", tokenizer, lengths, "text")
    kept = rows.select_columns(["id", "text", "language"])
    return kept.add_column("label", [languages.index(language) for language in kept["language"]])


def _load_pairs(job: Job, languages: Iterable[str]) -> Dataset | None:
    """Translation pairs of those of the languages that the study's source has, None for none."""
    source = (_source(job, "parallel"), data_folder(job["path"]) or None, job["targets"])
    known = [language for language in languages if parallel.has_pairs(language, *source)]
    return parallel.load_parallel(known, *source) if known else None


def choose_parallel(job: Job, corpora: Mapping[str, Dataset]) -> Dataset:
    """Translations of one another in the study's languages, to measure with, never trained on.

    Rows whose English form is in a training corpus (of `xgrl.prepare.select_rows.gather`) are left
    out. As many ids as possible are the same in all languages. Returns id, language, text:
    ``probe_rows`` sentences a language (fewer where there are fewer), and the English ones of all
    their ids; empty where the source has none, or with a warning cannot be read.
    """
    pool = None
    try:
        wanted = dict.fromkeys([*study_languages(job), *job["unlabelled_languages"]])
        pool = _load_pairs(job, wanted)
    except SourceError as error:  # what only measures stops no study
        warnings.warn(f"parallel texts are left out: {error}", stacklevel=2)
    if pool is None:
        return Dataset.from_dict({"id": [], "language": [], "text": []})
    english = {name: rows for name, rows in corpora.items() if name.endswith(ENGLISH)}
    shown = chain.from_iterable(surface(rows, schema_of(name)) for name, rows in english.items())
    trained = set(map(normalise, shown))
    frame = pool.to_pandas()
    frame = frame[~frame["english"].map(normalise).isin(trained)]
    times = frame["id"].value_counts().sort_index()
    order = times.index[generator(job["master_seed"], "parallel_texts").permutation(len(times))]
    order = times[order].sort_values(ascending=False, kind="stable").index
    by_order = pd.CategoricalIndex(frame["id"], order, ordered=True)
    frame = frame.set_index(by_order).sort_index(kind="stable")
    chosen = frame.groupby("language", sort=False).head(job["probe_rows"])
    english = chosen.drop_duplicates("id").assign(language="en", text=lambda rows: rows["english"])
    texts = pd.concat([english, chosen])[["id", "language", "text"]]
    return Dataset.from_pandas(texts.sort_values("language", kind="stable"), preserve_index=False)


def _pairs(job: Job, parallel_texts: Dataset, tokenizer: Tokenizer, lengths: np.ndarray) -> Dataset:
    """Pairs, equally many a language, matched by their English side."""
    pool = _load_pairs(job, job["unlabelled_languages"])
    if pool is None:
        given = f"unlabelled_languages={job['unlabelled_languages']}: sources {job['sources']}"
        raise ValueError(f"{given} have no translation pair in these")
    ids, texts = set(parallel_texts["id"]), {normalise(text) for text in parallel_texts["text"]}
    pairs = zip(pool["id"], pool["english"], strict=True)
    free = [i not in ids and normalise(english) not in texts for i, english in pairs]
    pool = pool.select(np.flatnonzero(free))
    rows = _matched(job, pool, "pairs", tokenizer, lengths, "english")
    ids = [f"{i}|{language}" for i, language in zip(rows["id"], rows["language"], strict=True)]
    columns = {"id": ids, "text": list(rows["english"]), "candidate": list(rows["text"])}
    columns["candidate_pair"] = [""] * len(rows)
    return Dataset.from_dict(columns, features=features("pairs"))


def _translated(task: Task, english: Dataset, job: Job) -> Dataset:
    """Each training row in one language, the languages in turn; what one lacks falls to the next.

    Rows are joined by id. Where ids are line numbers of a file, the labels show whether two files
    have the same order: rows with another label than the English one are left out, and if these are
    more than one in a hundred, all are refused.
    """
    source = next(source for source in _sources(job, task) if task.translated(source))
    if not (languages := _known(job, task.translated(source))):
        given = f"unlabelled_languages={job['unlabelled_languages']}"
        raise ValueError(f"{given}: {task.name!r} has translations into none of these")
    label = dict(zip(english["id"], english["label"], strict=True))
    lacking, chosen = [], []
    for turn, language in enumerate(languages):
        rows = load_rows(task, language, "translated", job | {"sources": [source]})
        number = {example: i for i, example in enumerate(rows["id"])}
        due = [*english["id"][turn :: len(languages)], *lacking]
        lacking = [example for example in due if example not in number]
        there = [example for example in due if example in number]
        rows = rows.select([number[example] for example in there])
        same = np.array([label[i] for i in there]) == np.array(rows["label"])
        if not there or same.mean() < AGREEMENT:
            which = f"{task.name} translated into {language!r} from {source!r}: of {len(due)} rows"
            found = f"{len(there)} have the id of an English one and {same.sum()} its label too"
            expected = f"expected {AGREEMENT:.0%}; the two differ in their order"
            raise SourceError(f"{which} {found}, {expected}")
        rows = rows.remove_columns("id").add_column("id", [f"{i}|{language}" for i in there])
        chosen.append(rows.select(np.flatnonzero(same)))
    return concatenate_datasets(chosen)


def study_languages(job: Job) -> list[str]:
    """English, and the target languages of the study."""
    own = [code for name in job["targets"] for code in target_languages(name, job["languages"])]
    return list(dict.fromkeys(["en", *own]))


def language_table(job: Job, parallel_texts: Dataset, tokenizer: Tokenizer) -> pd.DataFrame:
    """One row a language of the study, to explain differences between languages by.

    Columns: language, seen (is it a language of the discriminator's text?), syntactic,
    phonological, inventory, geographic, genetic (`xgrl.tasks.typology`, distances to English; NaN
    in pseudo-languages and, with a warning, where the package is unavailable), pieces (mean pieces
    of a sentence in `choose_parallel`'s texts divided by those of its English form: Rust et al.
    2021, arXiv 2012.15613, on what a tokenizer costs a language; NaN where there are none).
    """
    languages = study_languages(job)
    table = pd.DataFrame({"language": languages} | dict.fromkeys(typology.DISTANCES, np.nan))
    if "fixture" not in of_task(job["sources"], "unlabelled"):
        try:
            table = typology.distances(languages)
        except SourceError as error:  # a cluster may reach no package index
            warnings.warn(f"distances between languages are left out: {error}", stacklevel=2)
    table.insert(1, "seen", table["language"].isin(job["unlabelled_languages"]))
    frame = parallel_texts.to_pandas()
    tokens = tokenise(frame["text"], tokenizer, tokenizer.model_max_length)
    frame["pieces"] = tokens.lengths - tokenizer.num_special_tokens_to_add()
    english = frame[frame["language"] == "en"].set_index("id")["pieces"]
    sums = frame.assign(english=frame["id"].map(english)).groupby("language")
    pieces = sums["pieces"].sum() / sums["english"].sum()
    return table.assign(pieces=table["language"].map(pieces).astype(float))
