"""What a study needs beside labelled rows and the discriminator's text: text of some arms, parallel
texts, languages.

=================================  =================================================================  ===================
corpus                             what                                                               for the arm
=================================  =================================================================  ===================
language-modelling                 `unlabelled`, or other text where no language model may see that   mlm
pairs                              English sentences and their translations                           lexical
intermediate/<task>/translated     the task's training rows, each in one of the languages             translated
=================================  =================================================================  ===================

Languages are those of the discriminator's text, as far as the source has them. Draws have
generators of their own, so that nothing else of a study changes when an arm is added.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerBase

from xgrl.arms import arm_spec
from xgrl.models.tokens import tokenise
from xgrl.prepare.select_rows import (
    choose_lengths,
    generator,
    load_rows,
    schema_of,
    surface,
    target_languages,
)
from xgrl.tasks import find_task, messages, parallel, typology
from xgrl.tasks.formats import Task, features
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources import SourceError

# share of translated rows that must have the label of the English row with their id
AGREEMENT = 0.99


def text_of_arms(
    job: Mapping[str, Any],
    corpora: Mapping[str, Dataset],
    unlabelled: Dataset,
    parallel_texts: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    lengths: np.ndarray,
) -> dict[str, Dataset]:
    """The corpora of the table above that the study's arms need, before the leakage check; none if
    none of its arms needs one.

    Args:
        job: the parameters of 01_prepare.
        corpora: what `xgrl.prepare.select_rows` gives.
        unlabelled: the discriminator's text.
        parallel_texts: see `choose_parallel`; none of these is among the pairs.
        tokenizer: counts the tokens.
        lengths: (n,) token lengths of the labelled texts, to which the others are matched.
    """
    needed = {arm_spec(arm).text for arm in job["arms"]}
    found: dict[str, Dataset] = {}
    if "language-modelling" in needed:
        found["language-modelling"] = _modelling(job, unlabelled, tokenizer, lengths)
    if "pairs" in needed:
        found["pairs"] = _pairs(job, parallel_texts, tokenizer, lengths)
    if "translated" in needed:
        for name in job["intermediate"]:
            task = find_task(name, "intermediate")
            if any(task.translated(source) for source in job["sources"]):
                found[f"intermediate/{name}/translated"] = _translated(
                    task, corpora[f"intermediate/{name}/train"], job
                )
        if not any(name.endswith("/translated") for name in found):
            raise ValueError(
                f"intermediate={job['intermediate']}: sources {job['sources']} have translations "
                f"of none of these"
            )
    return found


def text_languages(job: Mapping[str, Any]) -> dict[str, list[str]]:
    """By corpus of text for language modelling, if an arm needs it: its languages, of which the
    corpus's labels are places.
    """
    if "language-modelling" not in {arm_spec(arm).text for arm in job["arms"]}:
        return {}
    known = messages.SOURCES[_source(job)]
    return {
        "language-modelling": [
            language for language in job["unlabelled_languages"] if language in known
        ]
    }


def _source(job: Mapping[str, Any]) -> str:
    """The source of all text of a study: the first that has any."""
    return next(source for source in job["sources"] if source in messages.SOURCES)


def _modelling(
    job: Mapping[str, Any],
    unlabelled: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    lengths: np.ndarray,
) -> Dataset:
    """Equally many sentences of each language, ``unlabelled_rows`` or as many as the smallest has."""
    languages = text_languages(job)["language-modelling"]
    rows = unlabelled
    if _source(job) == "packages":
        pool, rng = (
            messages.load_messages(languages),
            generator(job["master_seed"], "language-modelling"),
        )
        wanted = min(job["unlabelled_rows"], int(pd.Series(pool["language"]).value_counts().min()))
        chosen = choose_lengths(pool, languages, wanted, job["max_length"], tokenizer, lengths, rng)
        rows = pool.select(np.concatenate([chosen[language] for language in languages]))
    place = {language: i for i, language in enumerate(languages)}
    kept = rows.select_columns(["id", "text", "language"])
    return kept.add_column("label", [place[language] for language in kept["language"]])


def _load_pairs(job: Mapping[str, Any], languages: Iterable[str]) -> Dataset | None:
    """Translation pairs of those of the languages that the study's source has; None where it has
    none.
    """
    place = (_source(job), job["path"] or None, job["targets"])
    known = [language for language in languages if parallel.has_pairs(language, *place)]
    return parallel.load_parallel(known, *place) if known else None


def choose_parallel(job: Mapping[str, Any], corpora: Mapping[str, Dataset]) -> Dataset:
    """Sentences in the study's languages that are translations of one another, to measure with,
    never trained on.

    Rows whose English form is in a training corpus are left out. As many ids as possible are the
    same in all languages.

    Args:
        job: the parameters of 01_prepare.
        corpora: what `xgrl.prepare.select_rows` gives.

    Returns:
        id, language, text: ``probe_rows`` sentences a language (fewer where there are fewer), and
            the English ones of all of
        their ids; empty where the source has none, or with a warning cannot be read.
    """
    pool = None
    try:
        pool = _load_pairs(
            job, dict.fromkeys([*study_languages(job), *job["unlabelled_languages"]])
        )
    except SourceError as error:  # what only measures stops no study
        warnings.warn(f"parallel texts are left out: {error}", stacklevel=2)
    if pool is None:
        return Dataset.from_dict({"id": [], "language": [], "text": []})
    trained = {normalise(text) for name in corpora if name.endswith(("/train", "/first")) for text in
               surface(corpora[name], schema_of(name))}  # fmt: skip
    frame = pool.to_pandas()
    frame = frame[~frame["english"].map(normalise).isin(trained)]
    times = frame["id"].value_counts().sort_index()
    order = times.index[generator(job["master_seed"], "parallel_texts").permutation(len(times))]
    order = times[order].sort_values(ascending=False, kind="stable").index
    frame = frame.set_index(pd.CategoricalIndex(frame["id"], order, ordered=True)).sort_index(
        kind="stable"
    )
    chosen = frame.groupby("language", sort=False).head(job["probe_rows"])
    english = chosen.drop_duplicates("id").assign(language="en", text=lambda rows: rows["english"])
    columns = pd.concat([english, chosen])[["id", "language", "text"]].sort_values(
        "language", kind="stable"
    )
    return Dataset.from_pandas(columns, preserve_index=False)


def _pairs(
    job: Mapping[str, Any],
    parallel_texts: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    lengths: np.ndarray,
) -> Dataset:
    """Pairs, equally many a language: ``unlabelled_rows``, or as many as the smallest has; matched
    by their English side.
    """
    pool = _load_pairs(job, job["unlabelled_languages"])
    if pool is None:
        raise ValueError(
            f"unlabelled_languages={job['unlabelled_languages']}: sources {job['sources']} have "
            f"no translation pair in these"
        )
    ids, texts = set(parallel_texts["id"]), {normalise(text) for text in parallel_texts["text"]}
    free = [
        i not in ids and normalise(text) not in texts
        for i, text in zip(pool["id"], pool["english"], strict=True)
    ]
    pool = pool.select(np.flatnonzero(free))
    counts = pd.Series(pool["language"]).value_counts()
    languages = [language for language in job["unlabelled_languages"] if language in counts.index]
    wanted, rng = (
        min(job["unlabelled_rows"], int(counts.min())),
        generator(job["master_seed"], "pairs"),
    )
    chosen = choose_lengths(
        pool, languages, wanted, job["max_length"], tokenizer, lengths, rng, "english"
    )
    rows = pool.select(np.concatenate([chosen[language] for language in languages]))
    columns = {
        "id": [f"{i}|{language}" for i, language in zip(rows["id"], rows["language"], strict=True)],
        "text": list(rows["english"]),
        "candidate": list(rows["text"]),
        "candidate_pair": [""] * len(rows),
    }
    return Dataset.from_dict(columns, features=features("pairs"))


def _translated(task: Task, english: Dataset, job: Mapping[str, Any]) -> Dataset:
    """Each training row in one language, the languages in turn; a row that one lacks is asked of
    the next.

    Rows are joined by id. Where ids are places in a file, the labels show whether two files have
    the same order: rows with another label than the English one are left out, and if these are more
    than one in a hundred, all are refused.
    """
    source = next(source for source in job["sources"] if task.translated(source))
    languages = [
        language for language in job["unlabelled_languages"] if language in task.translated(source)
    ]
    if not languages:
        raise ValueError(
            f"unlabelled_languages={job['unlabelled_languages']}: {task.name!r} has translations "
            f"into none of these"
        )
    label = dict(zip(english["id"], english["label"], strict=True))
    left: list[str] = []
    parts = []
    for turn, language in enumerate(languages):
        rows = load_rows(task, language, "translated", job | {"sources": [source]})
        place = {example: i for i, example in enumerate(rows["id"])}
        asked = [*english["id"][turn :: len(languages)], *left]
        left = [example for example in asked if example not in place]
        found = [example for example in asked if example in place]
        rows = rows.select([place[example] for example in found])
        same = np.array(
            [label[example] == own for example, own in zip(found, rows["label"], strict=True)],
            dtype=bool,
        )
        if not found or same.mean() < AGREEMENT:
            raise SourceError(
                f"{task.name} translated into {language!r} from {source!r}: of {len(asked)} rows "
                f"{len(found)} have the id of "
                f"an English one and {same.sum()} its label too, expected {AGREEMENT:.0%}; the "
                f"two differ in their order"
            )
        ids = [f"{example}|{language}" for example in found]
        parts.append(rows.remove_columns("id").add_column("id", ids).select(np.flatnonzero(same)))
    return concatenate_datasets(parts)


def study_languages(job: Mapping[str, Any]) -> list[str]:
    """English, and the target languages of the study."""
    return list(
        dict.fromkeys(
            [
                "en",
                *(
                    code
                    for name in job["targets"]
                    for code in target_languages(name, job["languages"])
                ),
            ]
        )
    )


def language_table(
    job: Mapping[str, Any], parallel_texts: Dataset, tokenizer: PreTrainedTokenizerBase
) -> pd.DataFrame:
    """One row a language of the study, to explain differences between languages by.

    Args:
        job: the parameters of 01_prepare.
        parallel_texts: see `choose_parallel`.
        tokenizer: the encoder's.

    Returns:
        Columns language, seen (is it a language of the discriminator's text?), syntactic,
        phonological, inventory, geographic, genetic (`xgrl.tasks.typology`, distances to English; NaN in
        pseudo-languages and, with a warning, where the package cannot be had), pieces (mean pieces
        of a sentence divided by
        those of its English form: Rust et al. 2021, arXiv 2012.15613, on what a tokenizer costs a
            language; NaN where
        there are no parallel texts).
    """
    languages = study_languages(job)
    table = pd.DataFrame({"language": languages} | dict.fromkeys(typology.DISTANCES, np.nan))
    if "fixture" not in job["sources"]:
        try:
            table = typology.distances(languages)
        except SourceError as error:  # a cluster may reach no package index
            warnings.warn(f"distances between languages are left out: {error}", stacklevel=2)
    table.insert(1, "seen", table["language"].isin(job["unlabelled_languages"]))
    frame = parallel_texts.to_pandas()
    special = tokenizer.num_special_tokens_to_add()
    frame["pieces"] = (
        tokenise(frame["text"], tokenizer, tokenizer.model_max_length).lengths - special
    )
    english = frame[frame["language"] == "en"].set_index("id")["pieces"]
    of = {
        code: rows["pieces"].sum() / english[rows["id"]].sum()
        for code, rows in frame.groupby("language")
    }
    return table.assign(pieces=table["language"].map(of).astype(float))
