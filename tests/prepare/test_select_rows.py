"""Which rows a study uses: right candidates stay, sources in order of preference, what is left out
is named.
"""

import dataclasses
import json

import pytest
from datasets import Dataset

from small_study import job
from xgrl.prepare import leaks, select_rows, write
from xgrl.tasks import LOST, TABLES, TASKS, find_task, mixture_parts
from xgrl.tasks.own import OwnTask
from xgrl.tasks.sources import SourceError


def test_a_first_stage_and_a_mixture_bring_their_own_rows():
    corpora, _ = select_rows.gather(
        job(intermediate=["mnli", "squad2", "multitask"], targets=["xcopa"], languages=["et", "zh"])
    )
    assert "target/xcopa/first" in corpora and not any("multitask" in name for name in corpora)
    assert (
        select_rows.schema_of("target/xcopa/first")
        == select_rows.schema_of("target/xcopa/train")
        == "multiple_choice"
    )
    assert corpora["target/xcopa/test-et"]["id"] == corpora["target/xcopa/test-zh"]["id"], (
        "XCOPA is parallel without English"
    )
    assert mixture_parts("multitask", ["mnli", "squad2", "multitask"]) == ["mnli", "squad2"]


@pytest.mark.parametrize(("target", "rows"), [("lareqa", 12), ("mewslix", 25), ("bucc2018", 30)])
def test_every_right_candidate_is_kept_and_others_fill_up(target, rows):
    languages = ["en", "de", "ru"]
    corpora, _ = select_rows.gather(
        job(targets=[target], languages=languages, test_rows=10, retrieval_rows=rows)
    )
    pools = [found for name, found in corpora.items() if "/candidates" in name]
    ids = {candidate for found in pools for candidate in found["id"]}
    golds = [
        gold
        for name, found in corpora.items()
        if "/queries" in name
        for of in found["gold"]
        for gold in of
    ]
    served = set(select_rows.target_languages(target, languages))
    golds = [gold for gold in golds if target != "lareqa" or gold.rsplit("-", 1)[1] in served]
    assert golds and set(golds) <= ids
    assert all(len(found) <= max(rows, 10) for found in pools)
    assert any(len(found) == rows for found in pools)
    queries = [found["id"] for name, found in corpora.items() if "/queries" in name]
    assert {len(ids) for ids in queries} == {10}
    assert target != "lareqa" or all(ids == queries[0] for ids in queries)


def test_each_task_comes_from_the_first_source_that_has_it(monkeypatch):
    called = []
    monkeypatch.setattr(
        select_rows,
        "load_task",
        lambda name, language, split, source, path, role: called.append((source, path)),
    )
    for name, expected in (
        ("sarcasm", ("packages", None)),
        ("mnli", ("hub", None)),
        ("ccg", ("files", "/data")),
    ):
        select_rows.load_rows(
            find_task(name, "intermediate"),
            "en",
            "train",
            {"sources": ["packages", "hub", "files"], "path": "/data"},
        )
        assert called[-1] == expected
    with pytest.raises(
        ValueError, match=r"sources=\['hub'\]: 'sarcasm' comes from packages, fixture only"
    ):
        select_rows.load_rows(
            find_task("sarcasm", "intermediate"), "en", "train", {"sources": ["hub"], "path": ""}
        )


def test_rows_that_are_left_out_are_named_with_their_reasons(monkeypatch):
    spoiled = [{"id": str(i), "text": "a b", "text_pair": "", "label": i % 2} for i in range(30)]
    spoiled += [
        {"id": "e", "text": " ", "text_pair": "", "label": 0},
        {"id": "3", "text": "x", "text_pair": "", "label": 0},
    ]
    spoiled += [{"id": "l", "text": "x", "text_pair": "", "label": "ironic"}]
    task = dataclasses.replace(
        find_task("sarcasm", "intermediate"), loaders={"hub": lambda *_: spoiled}
    )
    monkeypatch.setitem(TABLES["intermediate"], "sarcasm", task)
    corpora, left_out = select_rows.gather(
        job(sources=["hub", "fixture"], intermediate=["sarcasm"], targets=["intent"])
    )
    assert len(corpora["intermediate/sarcasm/train"]) == 30
    said = " ".join(left_out)
    assert "1 empty text" in said
    assert "1 duplicate id" in said
    assert "1 unknown label 'ironic'" in said
    assert "30 rows remain" in said


SHOWN = {  # an intermediate task, a test set of its format, and what both show of a row
    "squad2": ("xquad/test-de", ("question", "context")),
    "hellaswag": ("xcopa/test-et", ("prompt", "choices")),
    "ccg": ("panx/test-de", ("tokens",)),
    "mnli": ("xnli/test-de", ("text", "text_pair")),
}


def test_a_test_row_among_training_rows_is_found_in_every_format_and_alone_left_out():
    targets = [name.partition("/")[0] for name, _ in SHOWN.values()]
    languages = {"default": ["en", "de"], "xcopa": ["et"]}
    corpora, _ = select_rows.gather(
        job(intermediate=[*SHOWN], targets=targets, languages=languages)
    )
    spoiled = {}
    for task, (test, columns) in SHOWN.items():
        name = f"intermediate/{task}/train"
        rows, shown = corpora[name].to_list(), corpora[f"target/{test}"][3]
        rows[7] |= {column: shown[column] for column in columns}
        for k, column in enumerate(columns):  # one of two texts is not the row
            rows[8 + k] |= {column: shown[column]} if len(columns) > 1 else {}
        spoiled[name] = Dataset.from_list(rows, features=corpora[name].features)
    clean, table = leaks.drop_leaked(corpora | spoiled)
    found = table.set_index(["train", "test"])["exact"]
    for task, (test, _) in SHOWN.items():
        name = f"intermediate/{task}/train"
        assert found[name, f"target/{test}"] == 1, task
        ids = corpora[name]["id"][:]
        assert clean[name]["id"][:] == ids[:7] + ids[8:], task


@pytest.fixture
def own_retrieval(monkeypatch, tmp_path):
    """Candidates and queries, as JSON lines, of a task of one's own -> its corpora of a study, and
    what is left out.
    """
    own = OwnTask(
        name="faq", role="target", format="retrieval", folder=str(tmp_path), languages=["de", "sw"]
    )
    for table in (TABLES["target"], TASKS):
        monkeypatch.setitem(table, "faq", own.task())

    def gather(candidates, queries, **changes):
        for file in own.files:
            rows = candidates if file.name.startswith("candidates") else queries
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        study = {"sources": ["own", "fixture"], "targets": ["faq"], "languages": []} | changes
        corpora, left_out = select_rows.gather(job(**study))
        return {k.split("/")[2]: v for k, v in corpora.items() if "/faq/" in k}, left_out

    return gather


def test_own_queries_are_kept_where_gold_names_a_candidate(own_retrieval):
    candidates = [{"id": f"c{i}", "text": f"answer {i}"} for i in range(4)]
    queries = [
        {"id": "q0", "text": "zero", "gold": ["c0"]},
        {"id": "q1", "text": "one or two", "gold": ["c1", "c2", "elsewhere"]},
        {"id": "c3", "text": "its own id"},
        {"id": "q9", "text": "nine", "gold": ["c9"]},
    ]
    corpora, left_out = own_retrieval(candidates, queries)
    for language in ("de", "sw"):
        rows = corpora[f"queries-{language}"]
        assert dict(zip(rows["id"], rows["gold"], strict=True)) == {
            "q0": ["c0"], "q1": ["c1", "c2"], "c3": ["c3"],
        }  # fmt: skip
        said = f"target/faq/queries-{language}: left out 1 queries without a right candidate"
        assert any(sentence.startswith(said) for sentence in left_out)
    corpora, _ = own_retrieval(candidates, queries, retrieval_rows=2)
    asked = {"c0": "q0", "c1": "q1", "c2": "q1", "c3": "c3"}
    wanted = list(dict.fromkeys(asked[candidate] for candidate in corpora["candidates"]["id"]))
    assert corpora["queries-de"]["id"][:] == wanted
    with pytest.raises(ValueError, match="faq/queries-de: no query has a right candidate"):
        own_retrieval(candidates, queries[3:])


def test_equal_texts_of_a_right_own_answer_are_right(own_retrieval):
    candidates = [{"id": str(i), "text": f"answer {i % 3}"} for i in range(12)]
    queries = [{"id": str(i), "text": f"question {i % 3}"} for i in range(12)]
    queries[11] |= {"text_pair": "and more"}
    corpora, left_out = own_retrieval(candidates, queries)
    rows = corpora["queries-de"]
    golds = {id: set(gold) for id, gold in zip(rows["id"], rows["gold"], strict=True)}
    assert not left_out
    assert golds == {str(i): {str(j) for j in range(12) if j % 3 == i % 3} for i in range(12)}


@pytest.mark.parametrize("target", ["udpos", "tydiqa", "panx"])
def test_rows_of_a_target_that_is_not_parallel_are_drawn_from_the_whole_file(target):
    def chosen(count, **changes):
        languages = ["en", "ko", "ru"]
        wanted = job(targets=[target], languages=languages, test_rows=count, **changes)
        tests, _ = select_rows.gather(wanted)
        return {k: rows["id"] for k, rows in tests.items() if "/test-" in k}

    every, thirty, ten = (chosen(count) for count in (100_000, 30, 10))
    assert len(every) > 1
    for name, ids in every.items():
        language = name.rsplit("-", 1)[1]
        rows = select_rows.load_rows(find_task(target, "target"), language, "test", job())
        assert ids == rows["id"], "all of them stay as they are"
        place = {example: i for i, example in enumerate(ids)}
        places = [place[example] for example in thirty[name]]
        assert len(places) == 30 and places == sorted(places)
        halves = sum(i < len(ids) / 2 for i in places)
        assert 5 <= halves <= 25, "one document of the two"
        assert set(ten[name]) < set(thirty[name]), "a smaller study tests on some of the same"
    assert ten == chosen(10) != chosen(10, master_seed=7)


def test_rows_languages_and_sources_by_task(monkeypatch):
    values = job(
        intermediate=["qa"],
        targets=["qa", "intent", "xcopa", "lareqa", "bucc2018"],
        languages={"default": ["en", "de"], "qa": [], "xcopa": ["et"]},
        train_rows={"default": 40, "qa": 30, "target/qa": 20, "siqa": 11},
        dev_rows={"default": 9, "intermediate/qa": 5},
        test_rows={"default": 8, "intent": 6, "bucc2018": 4},
    )
    corpora, _ = select_rows.gather(values)
    sizes = {name: len(rows) for name, rows in corpora.items()}
    assert sizes["intermediate/qa/train"] == 30 and sizes["target/qa/train"] == 20
    assert sizes["intermediate/qa/dev"] == 5 and sizes["target/qa/dev"] == 9
    assert sizes["target/intent/train"] == 40 and sizes["target/intent/test-de"] == 6
    assert sizes["target/xcopa/first"] == 11 and sizes["target/xcopa/test-et"] == 8
    assert {name for name in sizes if "qa/test" in name} == {
        f"target/qa/test-{code}" for code in ("en", "hi", "fa")
    }
    assert sizes["target/lareqa/queries-de"] == 8 and sizes["target/bucc2018/queries-de"] == 4
    plain, _ = select_rows.gather(values | {"languages": ["en", "de"], "test_rows": 8})
    assert plain["target/lareqa/queries-de"]["id"] == corpora["target/lareqa/queries-de"]["id"]

    called = []
    monkeypatch.setattr(
        select_rows, "load_task", lambda name, *a: called.append((name, a[-1], *a[2:4]))
    )
    values |= {"sources": {"default": ["hub"], "target/qa": ["packages"], "xcopa": ["files"]}}
    values |= {"path": "/data"}
    for name, role in (("qa", "target"), ("xcopa", "target"), ("siqa", "intermediate")):
        select_rows.load_rows(find_task(name, role), "en", "train", values)
    assert called == [
        ("qa", "target", "packages", None),
        ("xcopa", "target", "files", "/data"),
        ("siqa", "intermediate", "hub", None),
    ]


def test_a_target_without_training_rows_has_none_or_pairs_of_another_one():
    borrowed = {"xquad": "tydiqa", "lareqa": "tydiqa"}
    languages = {"default": ["en", "de", "ru"]}
    values = job(
        targets=["tydiqa", "xquad", "lareqa"], languages=languages, train_from=borrowed,
        train_rows={"default": 60, "lareqa": 30},
    )  # fmt: skip
    corpora, _ = select_rows.gather(values)
    splits = {name for name in corpora if name.endswith(("/train", "/dev"))}
    own = {f"target/{name}/{split}" for name in ("tydiqa", "lareqa") for split in ("train", "dev")}
    assert {name for name in splits if name.startswith("target/")} == own
    pairs = corpora["target/lareqa/train"]
    assert len(pairs) == 30
    source = select_rows.load_rows(find_task("tydiqa"), "en", "train", values)
    asked = {row["id"]: row for row in source}
    for pair in pairs:
        row = asked[pair["id"]]
        assert pair["text"] == row["question"] and pair["candidate_pair"] == row["context"]
        start = row["answers"]["answer_start"][0]
        assert pair["candidate"] in row["context"]
        assert row["context"].index(pair["candidate"]) <= start
    labels = write.heads(corpora, borrowed)
    assert labels["target/xquad"] == labels["target/tydiqa"]
    assert labels["target/lareqa"]["format"] == "pairs"


def sarcastic(monkeypatch, broken: int, whole: int):
    """Put a sarcasm task in the table with so many rows without text, and with one."""
    rows = [
        {"id": str(i), "text": f"text {i}" if i < whole else "", "text_pair": "", "label": i % 2}
        for i in range(whole + broken)
    ]
    task = find_task("sarcasm", "intermediate")
    task = dataclasses.replace(task, loaders={"hub": lambda *_: rows})
    monkeypatch.setitem(TABLES["intermediate"], "sarcasm", task)
    return job(sources=["hub", "fixture"], intermediate=["sarcasm"], targets=["intent"])


@pytest.mark.parametrize(("broken", "end"), [(5, "rows remain"), (6, LOST), (50, "50% lost")])
def test_many_lost_rows_are_told_by_their_share(monkeypatch, broken, end):
    _, left_out = select_rows.gather(sarcastic(monkeypatch, broken, 100 - broken))
    assert len(left_out) == 2 and all(sentence.endswith(end) for sentence in left_out)
    expected = f"sarcasm en dev: left out {broken} empty text; {100 - broken} rows remain"
    assert left_out[0].startswith(expected)


@pytest.mark.parametrize(("broken", "whole"), [(51, 49), (10, 0)])
def test_more_than_half_of_the_rows_lost_is_refused_with_the_counts(monkeypatch, broken, whole):
    counts = rf"left out {broken} empty text; {whole} rows remain, {broken / (broken + whole):.0%}"
    message = rf"more than half .* sarcasm en dev: {counts} lost\. sarcasm en train: {counts} lost$"
    with pytest.raises(SourceError, match=message):
        select_rows.gather(sarcastic(monkeypatch, broken, whole))


def test_what_is_left_out_by_design_may_be_more_than_half():
    """Right candidates in languages that a study does not have."""
    golds = [["a"], [], [], []]
    queries = Dataset.from_dict({"id": [*"wxyz"], "gold": golds})
    left_out = []
    with select_rows.remembered(left_out):
        rows = select_rows._answered(queries, golds, "queries", many=True)
    (said,) = left_out
    assert rows["id"] == ["w"] and said.endswith("; 1 rows remain, 75% lost")
    with pytest.raises(SourceError, match="more than half"), select_rows.remembered(left_out):
        select_rows._answered(queries, golds, "queries")


@pytest.mark.parametrize("split", ["train", "dev", "test-de", None])
def test_a_task_whose_files_are_not_all_of_pairs_is_refused(monkeypatch, split):
    def load(language, own, path):
        other = split in (own, f"{own}-{language}")
        row = {"text": "a", "text_pair": "" if other else "b", "label": 0}
        return [{"id": str(i)} | row for i in range(9)]

    task = dataclasses.replace(find_task("sentiment", "target"), loaders={"hub": load})
    monkeypatch.setitem(TABLES["target"], "sentiment", task)
    values = job(sources=["hub", "fixture"], intermediate=["sarcasm"], targets=["sentiment"])
    values |= {"languages": ["en", "de"]}
    if split is None:
        assert select_rows.gather(values)
        return
    with pytest.raises(SourceError, match=r"sentiment/.*: text_pair must be in all files"):
        select_rows.gather(values)


def test_files_without_a_row_are_refused_by_name(monkeypatch):
    message = r"no row in intermediate/sarcasm/train, intermediate/sarcasm/dev; expected one"
    with pytest.raises(ValueError, match=message):
        select_rows.gather(sarcastic(monkeypatch, 0, 0))


@pytest.mark.parametrize("shared", [30, 29, 15, 0])
def test_parallel_rows_whose_ids_a_language_lacks_are_told_or_refused(monkeypatch, shared):
    def load(language, split, path):
        first = 30 - shared if language == "de" else 0
        ids = range(first, first + 30)
        row = {"text": language, "text_pair": "", "label": 0}
        return [{"id": f"t{i}"} | row for i in ids]

    task = dataclasses.replace(find_task("sentiment", "target"), loaders={"hub": load})
    monkeypatch.setitem(TABLES["target"], "sentiment", task)
    values = job(sources=["hub", "fixture"], intermediate=["sarcasm"], targets=["sentiment"])
    values |= {"languages": ["en", "de"], "test_rows": 100}
    if shared == 0:
        found = "test-de: left out 30 of 30 ids, which it lacks; 0 rows remain"
        with pytest.raises(SourceError, match=f"{found}.* translations of one another have the sa"):
            select_rows.gather(values)
        return
    corpora, left_out = select_rows.gather(values)
    assert len(corpora["target/sentiment/test-de"]) == shared
    share = f"; {shared} rows remain" + (", 50% lost" if shared == 15 else "")
    told = f"target/sentiment/test-de: left out {30 - shared} of 30 ids, which it lacks{share}"
    assert left_out == ([told] if shared < 30 else [])
