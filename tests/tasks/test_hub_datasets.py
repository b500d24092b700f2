"""The hub source on a mirror of small clones with the real columns: rows, bad rows, and refusals
that give the reason.
"""

import os
import shutil
import subprocess
import sys
import warnings
from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from huggingface_hub import errors

import hub_mirror as mirror
from xgrl.tasks import find_task, load_task
from xgrl.tasks.check_hub import check_hub
from xgrl.tasks.formats import features
from xgrl.tasks.hub_datasets import HUB, sources
from xgrl.tasks.parallel import load_parallel
from xgrl.tasks.rows import Request
from xgrl.tasks.sources import SourceError, hub
from xgrl.tasks.sources.hub import PARQUET, Part, load_part
from xgrl.tasks.unlabelled import load_unlabelled

SPLITS = [(name, split) for name, splits in HUB.items() for split in splits]
FOREIGN = {"xcopa": "et", "tydiqa": "fi"}  # otherwise German
COUNTED = {("anli", "train"): "1 label out of range"}
EXPECTED = {
    ("anli", "train"): [
        ("snli-train-0", "a dog", "an animal", 0),
        ("snli-train-2", "b", "c", 2),
        ("mnli-train-0", "m0", "h0", 1),
        ("mnli-train-1", "m1", "h1", 0),
        *((f"anli-r{i}-train-0", f"p train_r{i}", "h", 1) for i in (1, 2, 3)),
    ],
    ("anli", "dev"): [(f"anli-r{i}-dev-0", f"p dev_r{i}", "h", 1) for i in (1, 2, 3)],
    ("mnli", "dev"): [("mnli-dev-0", "v", "w", 2)],
    ("mnli", "translated"): [("mnli-train-0", "M0", "H0", 1), ("mnli-train-1", "M1", "H1", 0)],
    ("qqp", "train"): [("qqp-train-0", "q1", "q2", 1)],
    ("squad2", "dev"): [
        (
            "5733be28",
            "Where was she born?",
            "Beyoncé was born in Houston, Texas.",
            {"text": ["Houston"], "answer_start": [20]},
        ),
        (
            "5a8d7bf7",
            "Who was in Rome?",
            "The Normans were in Normandy.",
            {"text": [], "answer_start": []},
        ),
    ],
    ("hellaswag", "train"): [
        (f"hellaswag-train-{i}", "A man sits. he", ["runs", "eats", "sleeps", "flies"], label)
        for i, label in enumerate((3, 0))
    ],
    ("cosmosqa", "dev"): [
        ("3Q9##validation", "It rained. Why?", [f"because {i}" for i in range(4)], 3)
    ],
    ("commonsenseqa", "train"): [
        ("075etrain", "Where is a book?", ["bank", "library", "mall", "park", "sea"], 1)
    ],
    ("siqa", "dev"): [("siqa-dev-0", "Kai won. How does Kai feel?", ["sad", "glad", "ill"], 1)],
    ("xnli", "train"): [("mnli-train-0", "m0", "h0", 1), ("mnli-train-1", "m1", "h1", 0)],
    ("xnli", "test"): [("xnli-test-0", "Ja", "Nein", 2), ("xnli-test-1", "Nein", "Nein", 0)],
    ("xcopa", "train"): [
        (
            "xcopa-train-0",
            "My body cast a shadow. What was the cause?",
            ["The sun rose.", "It rained."],
            0,
        )
    ],
    ("xcopa", "test"): [
        ("xcopa-test-5", "Ese oli mullikilesse mähitud. What was the effect?", ["a", "b"], 1)
    ],
    ("udpos", "test"): [("udpos-de-test-0", ["Sie", "liest", "."], ["PRON", "VERB", "PUNCT"])],
    ("panx", "test"): [
        ("panx-de-test-0", ["Angela", "Merkel", "in", "Rom"], ["B-PER", "I-PER", "O", "B-LOC"]),
        ("panx-de-test-1", ["Rom", ":"], ["B-LOC", "O"]),
    ],
    ("xquad", "train"): [
        (
            "5733be28",
            "Where was she born?",
            "Beyoncé was born in Houston, Texas.",
            {"text": ["Houston"], "answer_start": [20]},
        )
    ],
    ("xquad", "test"): [("x1", "?", "Es ist in Rom.", {"text": ["Rom"], "answer_start": [10]})],
    ("mlqa", "test"): [("a4", "?", "Es ist in Rom.", {"text": ["Rom"], "answer_start": [10]})],
    ("tydiqa", "test"): [
        ("finnish-2-0", "Mikä?", "Talo on.", {"text": ["Talo"], "answer_start": [0]})
    ],
    ("tatoeba", "queries"): [
        (f"tatoeba-deu-{i}", t, "", [f"tatoeba-deu-{i}"]) for i, t in enumerate(("Hallo", "Hallo!"))
    ],
    ("tatoeba", "candidates"): [
        (f"tatoeba-deu-{i}", t, "", [f"tatoeba-deu-{i}"]) for i, t in enumerate(("Hello", "Hello!"))
    ],
    ("mewslix", "train"): [
        ("mewslix-train-0", "Rome: in { Rome } today", "Rome is the capital of Italy.", "")
    ],
    ("mewslix", "queries"): [("m-de-1", "Rom: in { Rom } heute", "", ["Q220"])],
    ("mewslix", "candidates"): [
        ("Q220", "Roma è la capitale.", "", ["Q220"]),
        ("Q64", "Берлин — столица.", "", ["Q64"]),
    ],
    ("pawsx", "test"): [("pawsx-test-1", "a b", "b a", 0), ("pawsx-test-2", "a", "a", 1)],
}


@pytest.fixture(scope="module")
def clones(tmp_path_factory):
    """The mirror, and a cache of `datasets` of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        root = mirror.build(tmp_path_factory.mktemp("mirror"))
        patch.setenv(hub.MIRROR, str(root))
        yield root


@pytest.fixture
def clone(clones, tmp_path, monkeypatch):
    """An empty mirror to put broken data sets into."""
    monkeypatch.setenv(hub.MIRROR, str(tmp_path))
    return tmp_path


def load(name: str, split: str, language: str = ""):
    language = language or ("en" if split in ("train", "dev") else FOREIGN.get(name, "de"))
    return load_task(name, language, split, source="hub")


def values(rows) -> list[tuple]:
    """The values of each row; tags by name."""
    tags = rows.features["tags"].feature.names if "tags" in rows.features else []
    return [
        tuple([tags[i] for i in value] if key == "tags" else value for key, value in row.items())
        for row in rows
    ]


# Every task and split


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_split_loads_in_its_canonical_format(clones, name, split):
    task = find_task(name)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        rows = load(name, split)
    told = [str(warning.message) for warning in found if "left out" in str(warning.message)]
    counted = COUNTED.get((name, split))
    assert len(told) == (counted is not None)
    assert all(f"left out {counted};" in message for message in told)
    assert rows.features == features(task.schema(split), task.labels)
    assert len(set(rows["id"])) == len(rows) > 0
    if expected := EXPECTED.get((name, split)):
        assert values(rows) == expected


def test_every_split_of_every_hub_task_has_a_place():
    for name, splits in HUB.items():
        task = find_task(name)
        assert set(splits) - {"translated"} == set(task.splits) and "hub" in task.sources
        assert ("translated" in splits) == bool(task.translated("hub")) == (name == "mnli")
    assert all("hub" not in find_task(name).sources for name in ("ccg", "lareqa", "bucc2018"))


def test_parallel_test_sets_share_ids_and_labels(clones):
    for name in ("xnli", "pawsx", "xquad", "mlqa"):
        english, german = load(name, "test", "en"), load(name, "test", "de")
        assert find_task(name).parallel and english["id"] == german["id"]
        assert "label" not in english.features or english["label"] == german["label"]
    assert load("xcopa", "test", "et")["id"] == load("xcopa", "test", "zh")["id"]
    assert not set(load("udpos", "test", "en")["id"]) & set(load("udpos", "test", "de")["id"])


def test_tydiqa_splits_its_english_training_questions_by_passage(clones):
    train, dev = (set(load("tydiqa", split)["id"]) for split in ("train", "dev"))
    assert not train & dev and len(train | dev) == 60 and 0 < len(dev) < len(train)
    assert all(id.startswith("english-") for id in train | dev)


def test_labels_are_taken_by_name_whatever_their_order_on_the_hub(clone):
    other = mirror.PAIRS | {
        "label": datasets.ClassLabel(names=["contradiction", "entailment", "neutral"])
    }
    mirror.put(
        clone, "facebook/xnli/de/test", other, [mirror.pair("a", "b", 0), mirror.pair("c", "d", 1)]
    )
    assert load("xnli", "test")["label"] == [2, 0]
    plain = mirror.PAIRS | {"label": mirror.INT}
    mirror.put(
        clone, "facebook/xnli/en/test", plain, [mirror.pair("a", "b", 0), mirror.pair("c", "d", 1)]
    )
    assert load("xnli", "test", "en")["label"] == [0, 1]


def test_shards_are_read_in_order_and_other_splits_not_at_all(clone):
    for i in range(3):
        mirror.put(
            clone,
            f"facebook/xnli/de/test-0000{i}-of-00003.parquet",
            mirror.PAIRS,
            [mirror.pair(f"p{i}", "h", i)],
        )
    (clone / "facebook/xnli/de/train-00000-of-00001.parquet").write_bytes(b"not parquet")
    assert load("xnli", "test")["text"] == ["p0", "p1", "p2"]


# Rows that are not as they should be


def warned(name: str, split: str, message: str) -> list[str]:
    with pytest.warns(UserWarning, match=message):
        return load(name, split)["id"]


def test_bad_rows_are_counted_and_left_out(clone):
    texts = [
        mirror.pair("a", "b", 1),
        mirror.pair(None, "b", 1),
        mirror.pair(" ", "b", 1),
        mirror.pair("a", "b", -1),
    ]
    mirror.put(clone, "facebook/xnli/de/test", mirror.PAIRS, texts)
    assert warned(
        "xnli", "test", "1 missing text, 1 empty text, 1 label out of range; 1 rows remain"
    ) == ["xnli-test-0"]
    names = mirror.PAIRS | {"label": datasets.ClassLabel(names=["entailment", "neutral", "maybe"])}
    mirror.put(
        clone,
        "facebook/xnli/en/validation",
        names,
        [mirror.pair("a", "b", 2), mirror.pair("a", "b", 1)],
    )
    assert warned("xnli", "dev", "1 unknown label 'maybe'") == ["xnli-dev-1"]


def test_bad_spans_are_counted_and_left_out(clone):
    good = mirror.span("1", "It is here.", "Where?", "here")
    wrong = mirror.span("2", "It is here.", "Where?", "here")
    wrong["answers"]["answer_start"] = [1]
    mirror.put(
        clone,
        "google/xtreme/MLQA.de.de/test",
        mirror.SPANS,
        [good, wrong, good, good | {"id": "3", "question": None}],
    )
    assert warned(
        "mlqa", "test", "1 answer not at its offset, 1 duplicate id, 1 missing question"
    ) == ["1"]


def test_a_bad_row_of_tydiqa_is_counted_in_its_own_language(clone):
    rows = [
        mirror.span(f"{name}-1-0", "It is here.", "Where?", "here")
        for name in ("finnish", "arabic")
    ]
    broken = [row | {"id": row["id"] + "-b", "question": None} for row in rows]
    mirror.put(
        clone,
        "google-research-datasets/tydiqa/secondary_task/validation",
        mirror.SPANS,
        [*rows, *broken],
    )
    assert warned("tydiqa", "test", "left out 1 missing question; 1 rows remain") == ["finnish-1-0"]


def test_bad_tags_and_choices_are_counted_and_left_out(clone):
    rows = [{"tokens": ["a"], "pos_tags": [i]} for i in (0, mirror.UD.index("_"))]
    mirror.put(
        clone,
        "izhx/xtreme-r-udpos/de/test.parquet",
        mirror.UDPOS,
        [*rows, {"tokens": ["a", "b"], "pos_tags": [0]}],
    )
    message = "1 unknown label '_', 1 tokens and tags differ in number"
    assert warned("udpos", "test", message) == ["udpos-de-test-0"]
    rows = [
        {column: "x" for column in mirror.SIQA} | {"label": label} for label in ("1", "", "4", "3")
    ]
    mirror.put(clone, "allenai/social_i_qa/default/train/0000.parquet", mirror.SIQA, rows)
    assert warned("siqa", "train", "1 missing prompt, 1 label out of range") == [
        "siqa-train-0",
        "siqa-train-3",
    ]


# Refusals


def refused(message: str, name: str = "xnli", split: str = "test", language: str = "") -> str:
    with pytest.raises(SourceError, match=message) as caught:
        load(name, split, language)
    return str(caught.value)


def test_a_missing_column_is_refused_with_those_that_are_there(clone):
    rows = [{"premise": "a", "hypotheses": "b", "label": 0}]
    mirror.put(
        clone,
        "facebook/xnli/de/test",
        {"premise": mirror.TEXT, "hypotheses": mirror.TEXT, "label": mirror.INT},
        rows,
    )
    refused(
        r"facebook/xnli \(config de, split test\): expected a column 'hypothesis or .*', "
        r"found premise, hypotheses, label"
    )
    mirror.put(
        clone,
        "izhx/xtreme-r-udpos/de/test.parquet",
        {"tokens": datasets.List(mirror.TEXT)},
        [{"tokens": ["a"]}],
    )
    refused(r"expected a column 'pos_tags or .*', found tokens", "udpos")


def test_a_missing_data_set_config_or_split_is_refused_with_those_that_are_there(clone):
    mirror.put(clone, "facebook/anli/plain_text/train_r1", mirror.PAIRS, [mirror.pair("a", "b", 0)])
    refused(
        r"facebook/xnli .*: XGRL_HUB_MIRROR=.* has no folder facebook/xnli; "
        r"it holds facebook/anli; clone"
    )
    mirror.put(clone, "facebook/xnli/fr/test", mirror.PAIRS, [mirror.pair("a", "b", 0)])
    refused(r"facebook/xnli \(config de, split test\): no such config; found: fr")
    mirror.put(clone, "facebook/xnli/de/train", mirror.PAIRS, [mirror.pair("a", "b", 0)])
    refused(r"facebook/xnli \(config de, split test\): no such split; found: train")
    (clone / "izhx/xtreme-r-udpos").mkdir(parents=True)
    german = "- config_name: de\n  data_files:\n  - split: train\n    path: x.parquet\n"
    card = f"---\nconfigs:\n{german}- config_name: fr\n  data_files: y\n---"
    (clone / "izhx/xtreme-r-udpos/README.md").write_text(card)
    refused(r"izhx/xtreme-r-udpos \(config de, split test\): no such split; found: train", "udpos")


def test_a_data_set_that_is_a_script_is_refused_and_never_run(clone):
    (clone / "facebook/xnli").mkdir(parents=True)
    (clone / "facebook/xnli/xnli.py").write_text("raise SystemExit('code of others')")
    refused(
        r"facebook/xnli .*: the data set is a script \(xnli.py\), and no code of others is run; "
        r".*'refs/convert/parquet'"
    )
    (clone / "facebook/xnli/xnli.py").rename(clone / "facebook/xnli/data.csv")
    refused(r"no parquet or JSON lines among its files: data.csv")


def test_another_configuration_is_never_taken_for_the_one_that_is_wanted(clone):
    mirror.put(clone, "facebook/xnli/data/test", mirror.PAIRS, [mirror.pair("a", "b", 0)])
    (clone / "facebook/xnli/README.md").write_text(
        "---\nconfigs:\n- config_name: en\n  data_files:\n    test: data/*\n---\n"
    )
    refused(r"facebook/xnli \(config de, split test\): no such config; found: en")


def test_damaged_files_are_refused(clone):
    (clone / "facebook/xnli/de").mkdir(parents=True)
    (clone / "facebook/xnli/de/test.parquet").write_bytes(b"PAR1 no more")
    refused(r"facebook/xnli .*: its files could not be read \(.*\); fetch them anew")


def answer(kind):
    """An error as `huggingface_hub` raises it, without the response it would be about."""
    error = kind.__new__(kind)
    error.args = ("no",)
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            lambda: answer(errors.RepositoryNotFoundError),
            "the hub has no such data set, or not for you",
        ),
        (lambda: answer(errors.GatedRepoError), "gated; accept its terms"),
        (lambda: answer(errors.RevisionNotFoundError), "the hub has no such revision"),
        (lambda: answer(errors.HfHubHTTPError), "the hub answered HfHubHTTPError: no"),
        (
            lambda: errors.OfflineModeIsEnabled("offline"),
            r"no network to the hub \(.*\); connect, or set XGRL_HUB_MIRROR",
        ),
        (lambda: ConnectionError("refused"), "no network to the hub"),
    ],
)
def test_what_the_hub_answers_becomes_a_reason(monkeypatch, error, message):
    def fail(*_, **__):
        raise error()

    monkeypatch.delenv(hub.MIRROR, raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", fail)
    refused(rf"facebook/xnli \(config de, split test\): {message}")


def test_the_reason_is_found_behind_other_errors():
    with (
        pytest.raises(SourceError, match=r"o/n \(config default, split train\): gated"),
        hub.explained(Part("o/n")),
    ):
        try:
            raise answer(errors.GatedRepoError)
        except OSError as error:
            raise FileNotFoundError("no file") from error
    with pytest.raises(KeyError), hub.explained(Part("o/n")):
        raise KeyError("a mistake of ours")


def test_a_stream_that_breaks_off_is_refused(clone, monkeypatch):
    def broken(part, streaming):
        yield {"id": "1", "text": "Das ist ein Satz mit genug Text.\n"}
        raise ConnectionError("reset")

    monkeypatch.setattr("xgrl.tasks.unlabelled.load_part", broken)
    with pytest.raises(
        SourceError,
        match=r"wikimedia/wikipedia \(config 20231101.de, split train\): no network to the hub",
    ):
        load_unlabelled(["de"], source="hub")


def test_without_network_the_reason_comes_at_once():
    code = (
        "from xgrl.tasks.sources.hub import *\nfrom xgrl.tasks.sources import SourceError\n"
        "try: load_part(Part('facebook/xnli', 'de', 'test'))\nexcept SourceError as error: "
        "print(error)"
    )
    settings = os.environ | {"HF_HUB_OFFLINE": "1"}
    settings.pop(hub.MIRROR, None)
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=settings,
    )
    assert "no network to the hub (OfflineModeIsEnabled" in shown.stdout
    assert shown.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "card",
    [
        "",
        "---\nconfigs:\n- config_name: de\n  data_files:\n  - split: test\n    path: "
        "de/test-*\n---\n",
    ],
)
def test_on_the_hub_itself_only_the_files_of_the_split_are_asked_for(monkeypatch, tmp_path, card):
    (tmp_path / "README.md").write_text(card)
    names = [
        f"de/{split}-0000{i}-of-00002.parquet" for split in ("test", "train") for i in (1, 0)
    ] + ["README.md"] * bool(card)
    info = SimpleNamespace(sha="abc", siblings=[SimpleNamespace(rfilename=name) for name in names])
    asked = {}
    monkeypatch.delenv(hub.MIRROR, raising=False)
    monkeypatch.setattr(
        huggingface_hub.HfApi, "dataset_info", lambda self, id, revision, timeout: info
    )
    monkeypatch.setattr(
        huggingface_hub.HfApi, "hf_hub_download", lambda *_, **__: str(tmp_path / "README.md")
    )
    monkeypatch.setattr(
        datasets, "load_dataset", lambda kind, **more: asked.update(more, kind=kind)
    )
    load_part(Part("facebook/xnli", "de", "test"), streaming=True)
    root = "hf://datasets/facebook/xnli@abc/de"
    files = [f"{root}/test-0000{i}-of-00002.parquet" for i in (0, 1)]
    assert asked == {
        "kind": "parquet",
        "data_files": {"train": files},
        "split": "train",
        "streaming": True,
    }


# Where files are found

X = "- config_name: x\n  data_files:"


@pytest.mark.parametrize(
    ("part", "listing", "card", "found"),
    [
        (
            Part("o/n", "de", "test"),
            ["de/test-0-of-2.parquet", "de/test-1-of-2.parquet", "de/test_r1-0-of-1.parquet"],
            "",
            2,
        ),
        (
            Part("o/n", "copa", "train", PARQUET),
            ["copa/train/0000.parquet", "copa/train/index.duckdb", "rte/train/0"],
            "",
            1,
        ),
        (
            Part("o/n", "default", "validation"),
            ["data/validation-0-of-1.parquet", "README.md"],
            "",
            1,
        ),
        (Part("o/n", "", "train"), ["train.parquet"], "", 1),
        (
            Part("o/n", "x", "dev"),
            ["a/b.jsonl", "c.parquet"],
            f"{X}\n  - split: dev\n    path: a/*",
            1,
        ),
        (Part("o/n", "x", "dev"), ["a.json.gz"], f"{X}\n  - split: dev\n    path: [a.json.gz]", 1),
        (
            Part("o/n", "default", "train"),
            ["z/a.parquet"],
            "- config_name: main\n  data_files: z/*",
            1,
        ),
        (
            Part("o/n", "x", "train", PARQUET),
            ["x/train/0.parquet", "y.parquet"],
            f"{X} y.parquet",
            1,
        ),
        (Part("o/n", "x", "train", PARQUET), ["y.parquet"], f"{X} y.parquet", 1),
    ],
)
def test_the_files_of_a_split_are_found_in_every_layout(part, listing, card, found):
    names = hub._split_files(part, listing, f"---\nconfigs:\n{card}\n---\n" if card else "")
    assert names == [name for name in listing if not name.endswith((".duckdb", ".md"))][:found]


# The check


def test_check_hub_looks_at_every_part_of_every_task(clones):
    table = check_hub()
    assert set(table["error"]) == {""} and set(table["task"]) == set(HUB)
    assert len(table) == sum(len(sources(Request(name, "en", split))) for name, split in SPLITS)
    line = table[(table["task"] == "xnli") & (table["split"] == "test")].iloc[0]
    assert line["hub"] == "facebook/xnli (config de, split test)"
    assert line["columns"] == "premise, hypothesis, label"
    assert (
        line["rows"]
        == "xnli-test-0 / Ja / Nein / contradiction | xnli-test-1 / Nein / Nein / entailment"
    )


def test_check_hub_goes_on_after_a_failure_and_says_what_was_wrong(clones, tmp_path, monkeypatch):
    copy = shutil.copytree(clones, tmp_path / "copy")
    shutil.rmtree(copy / "facebook/xnli")
    monkeypatch.setenv(hub.MIRROR, str(copy))
    table = check_hub(["xnli", "mnli"]).set_index(["task", "split"])
    assert "has no folder facebook/xnli" in table.loc[("xnli", "dev"), "error"]
    assert not table.loc[("mnli", "dev"), "error"] and "v / w" in table.loc[("mnli", "dev"), "rows"]
    mirror.put(
        copy, "nyu-mll/glue/mnli/validation_matched", mirror.PAIRS, [mirror.pair("v", "w", -1)]
    )
    table = check_hub(["mnli"]).set_index("split")
    assert table.loc["dev", "error"].endswith(
        "none of its first rows is as it should be: {'label out of range': 1}"
    )


# Text without labels


def test_parallel_text_from_the_hub_is_joined_by_row_and_each_english_side_is_there_once(clones):
    rows = load_parallel(["de"], source="hub")
    assert rows.to_list() == [
        {"id": "xnli-dev-0", "language": "de", "text": "E-de", "english": "e"},
        {"id": "xnli-dev-2", "language": "de", "text": "f-de", "english": "f"},
    ]
    assert not {"e", "f"} & {
        text for language in ("en", "de") for text in load("xnli", "test", language)["text_pair"]
    }


def test_parallel_text_of_unequal_length_is_refused(clone):
    for language, number in (("en", 2), ("de", 1)):
        mirror.put(
            clone,
            f"facebook/xnli/{language}/validation",
            mirror.PAIRS,
            [mirror.pair("a", "b", 0)] * number,
        )
    with pytest.raises(
        SourceError, match="1 development rows in 'de', 2 in English; expected equal"
    ):
        load_parallel(["de"], source="hub")


def test_unlabelled_text_from_the_hub_is_cut_into_sentences(clones, monkeypatch):
    rows = load_unlabelled(["de", "th"], source="hub")
    german = [row for row in rows if row["language"] == "de"]
    assert [row["text"] for row in german] == [
        f"Das ist der Satz {word}." for word in ("alpha", "beta", "gamma")
    ]
    assert german[0]["id"] == "wikipedia-de-0-1" and len(rows) > len(german)
    monkeypatch.setattr("xgrl.tasks.unlabelled.SENTENCES", 2)
    assert len(load_unlabelled(["de"], source="hub")) == 2


def test_unlabelled_text_from_files(tmp_path):
    (tmp_path / "unlabelled").mkdir()
    (tmp_path / "unlabelled" / "sw.txt").write_text(
        "Habari ya asubuhi rafiki yangu.\nfupi.\nHabari ya asubuhi rafiki yangu.\n"
    )
    rows = load_unlabelled(["sw"], source="files", path=tmp_path)
    assert rows.to_list() == [
        {"id": "file-sw-1", "text": "Habari ya asubuhi rafiki yangu.", "language": "sw"}
    ]
    with pytest.raises(SourceError, match=r"yo\.txt does not exist"):
        load_unlabelled(["sw", "yo"], source="files", path=tmp_path)
    (tmp_path / "unlabelled" / "yo.txt").write_text("kukuru\n")
    with pytest.raises(
        SourceError, match=r"yo\.txt: no line of it is a sentence of 20 to 400 characters"
    ):
        load_unlabelled(["yo"], source="files", path=tmp_path)
    with pytest.raises(ValueError, match="path=None: source='files' needs the folder"):
        load_unlabelled(["sw"], source="files")
