"""`xgrl.tasks.sources`: what arrives is what was pinned, or nothing of it is used; the fixture
is the same everywhere.
"""

import hashlib
import io
import itertools
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from filelock import FileLock

from xgrl.runs import cache
from xgrl.tasks.formats import validate
from xgrl.tasks.sources import SourceError, files, packages
from xgrl.tasks.sources.fixture import (
    CONCEPTS,
    LANGUAGES,
    fixture_rows,
    fixture_unlabelled,
    fixture_vocabulary,
    word,
)
from xgrl.tasks.sources.packages import fetch, pins, read_member


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of our own on disk: a wheel and a source distribution, pinned, and an empty
    cache.
    """
    folder = tmp_path / "archives"
    folder.mkdir()
    with zipfile.ZipFile(
        folder / "toydata-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED
    ) as wheel:
        wheel.writestr("toydata/rows.txt", "one\ntwo\n" * 500)
    with tarfile.open(folder / "toytar-2.0.tar.gz", "w:gz") as tar:
        for name, text in {
            "toytar-2.0/data/a.json": "[1]",
            "toytar-2.0/data/b.json": "[2]",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


@pytest.fixture
def pinned(index, tmp_path):
    """The pin file of that index."""
    path = tmp_path / "packages.txt"
    path.write_text(
        "# ours\n"
        + "".join(
            f"{file.name.split('-')[0]}=={version} "
            f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
            for file, version in zip(sorted(index.iterdir()), ("1.0", "2.0"), strict=True)
        )
    )
    return path


def test_pins_name_every_package_of_the_study():
    known = pins()
    assert set(packages.STUDY) <= set(known)
    assert all(len(pin.sha256) == 64 and int(pin.sha256, 16) for pin in known.values())


def test_pins_refuse_a_line_without_hash(tmp_path):
    path = tmp_path / "pins.txt"
    path.write_text("toydata==1.0\n")
    with pytest.raises(SourceError, match=r"toydata==1\.0.*not of the form"):
        pins(path)


def test_an_unknown_package_is_refused_by_name(pinned):
    with pytest.raises(SourceError, match=r"'toydat' is not pinned.*toydata, toytar"):
        fetch("toydat", pinned)


def test_fetch_and_read_from_a_wheel_and_from_a_source_distribution(pinned):
    assert read_member("toydata", "toydata/rows.txt", pinned) == b"one\ntwo\n" * 500
    assert read_member("toytar", "data/b.json", pinned) == b"[2]"
    assert list(packages.read_matching("toytar", "*.json", pinned)) == [
        ("data/a.json", b"[1]"),
        ("data/b.json", b"[2]"),
    ]
    assert list(packages.read_matching("toydata", "toydata/*", pinned)) == [
        ("toydata/rows.txt", b"one\ntwo\n" * 500)
    ]
    assert list(packages.read_matching("toydata", "other/*", pinned)) == []


def test_a_second_fetch_needs_no_index(pinned, index):
    first = fetch("toydata", pinned)
    for file in index.iterdir():
        file.unlink()
    assert fetch("toydata", pinned) == first


def test_the_index_serves_another_file(pinned, index):
    wheel = next(index.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-10])
    with pytest.raises(
        SourceError,
        match=r"toydata-1\.0.*expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}.*run again",
    ):
        fetch("toydata", pinned)
    left = [
        file
        for file in (cache.cache_folder() / "packages").rglob("*")
        if file.is_file() and file.suffix != ".lock"
    ]
    assert left == []


def test_no_such_version_in_the_index(pinned, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(pinned.read_text().replace("toydata==1.0", "toydata==9.9"))
    with pytest.raises(SourceError, match=r"toydata==9\.9.*nothing of that version"):
        fetch("toydata", other)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: data[:50] + b"x" + data[51:]],
    ids=["truncated", "changed"],
)
def test_a_damaged_archive_in_the_cache_is_noticed(pinned, damage):
    archive = fetch("toydata", pinned)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(
        SourceError, match=r"toydata-1\.0.*expected sha256 .* found .*delete .* and run again"
    ):
        read_member("toydata", "toydata/rows.txt", pinned)


def test_an_unchanged_archive_is_not_hashed_again(pinned, monkeypatch):
    fetch("toydata", pinned)
    monkeypatch.setattr(cache.files, "hash_file", lambda _: pytest.fail("hashed again"))
    fetch("toydata", pinned)
    with pytest.raises(pytest.fail.Exception):
        os.utime(fetch("toydata", pinned), (1, 1))
        fetch("toydata", pinned)


def test_a_changed_unpacked_member_is_noticed(pinned):
    read_member("toytar", "data/a.json", pinned)
    member = next((cache.cache_folder() / "extracted").rglob("a.json"))
    member.write_text("[9]")
    with pytest.raises(SourceError, match=r"a\.json.*expected sha256 .* found .*unpacked anew"):
        read_member("toytar", "data/a.json", pinned)


@pytest.mark.parametrize("name", ["toydata", "toytar"])
def test_a_missing_member_is_named(pinned, name):
    with pytest.raises(SourceError, match=r"no .*member 'nothing\.json'"):
        read_member(name, "nothing.json", pinned)


@pytest.mark.slow
def test_concurrent_processes_download_once(pinned, index):
    """Two processes wait for whoever holds the lock; both then find the same, whole archive."""
    code = (
        "import sys; from xgrl.tasks.sources.packages import fetch; print('ready', flush=True); "
        "print(fetch(*sys.argv[1:]))"
    )
    folder = cache.cache_folder() / "packages"
    folder.mkdir(parents=True)
    key = f"toydata-1.0-{pins(pinned)['toydata'].sha256[:12]}"
    with FileLock(folder / f"{key}.lock"):
        command = [sys.executable, "-c", code, "toydata", str(pinned)]
        jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [job.stdout.readline() for job in jobs] == ["ready\n"] * 2
        with pytest.raises(subprocess.TimeoutExpired):
            jobs[0].wait(3)
        assert not [file for file in (folder / key).iterdir() if file.suffix == ".whl"]
    found = {job.communicate(timeout=60)[0].strip() for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0] and len(found) == 1
    assert not [file for file in folder.iterdir() if file.name.startswith(".download.")]


def test_pip_settings_variables_outrank_files(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.invalid/simple\ncert = "
        "/a.pem\n[install]\nextra-index-url = https://two.invalid/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/b.pem")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    settings = packages._pip_settings()
    assert settings["cert"] == "/b.pem"
    assert settings["extra-index-url"] == "https://two.invalid/simple"
    assert settings["index-url"] == "https://mirror.invalid/simple"


def test_lines_end_at_line_feeds_only(tmp_path):
    (tmp_path / "a.txt").write_bytes("x\u2028y\nz\r w\n\nlast\n".encode())
    assert [line for _, line in files.read_lines(tmp_path / "a.txt")] == [
        "x\u2028y",
        "z\r w",
        "",
        "last",
    ]
    assert files.find(tmp_path, ["task"], ["a.txt"]) == tmp_path / "a.txt"
    with pytest.raises(SourceError, match=r"b\.txt does not exist; the folder holds a\.txt"):
        files.find(tmp_path, ["task"], ["b.txt"])


# The fixture


def test_about_two_fifths_are_cognates_and_the_rest_a_language_s_own():
    for language in LANGUAGES[1:]:
        shared = np.mean([word(c, language) == word(c, "en") for c in range(CONCEPTS)])
        assert 0.28 < shared < 0.52, language
    german, french = (
        {word(c, code) for c in range(CONCEPTS)} - {word(c, "en") for c in range(CONCEPTS)}
        for code in ("de", "fr")
    )
    assert len(german & french) <= 2


def test_the_vocabulary_holds_every_word_of_every_text():
    vocabulary = set(fixture_vocabulary())
    rows = fixture_rows("toy", "classification", "th", "test", ["a", "b"]) + fixture_unlabelled(
        "zh"
    )
    assert {token for row in rows for token in row["text"].split()} <= vocabulary
    assert all(token.isascii() and token.isalpha() for token in vocabulary)


def test_parallel_rows_share_ids_and_labels_and_translate_word_by_word():
    english = {
        row["id"]: row for row in fixture_rows("toy", "classification", "en", "test", ["a", "b"])
    }
    german = {
        row["id"]: row for row in fixture_rows("toy", "classification", "de", "test", ["a", "b"])
    }
    meaning = {word(c, "en"): word(c, "de") for c in range(CONCEPTS)}
    assert english.keys() == german.keys()
    for key, row in english.items():
        assert german[key]["label"] == row["label"]
        assert german[key]["text"].split() == [meaning[token] for token in row["text"].split()]


def test_rows_that_are_not_parallel_share_no_id():
    english, german = (
        fixture_rows("toy", "classification", code, "test", ["a", "b"], parallel=False)
        for code in ("en", "de")
    )
    assert not {row["id"] for row in english} & {row["id"] for row in german}


def test_splits_share_no_text_and_classes_are_balanced():
    splits = {
        split: fixture_rows("toy", "classification", "en", split, list("abcd"))
        for split in ("train", "dev", "test")
    }
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 400,
        "dev": 100,
        "test": 60,
    }
    texts = [{row["text"] for row in rows} for rows in splits.values()]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    assert set(Counter(row["label"] for row in splits["train"]).values()) == {100}


def test_a_bag_of_words_learns_english_and_transfers_above_chance_but_worse():
    """Nearest class by word counts: what any model of the smoke study can do."""
    labels = list("abcd")
    votes = Counter(
        (token, row["label"])
        for row in fixture_rows("toy", "classification", "en", "train", labels)
        for token in row["text"].split()
    )

    def guess(text):
        return max(
            range(4), key=lambda label: sum(votes[token, label] ** 2 for token in text.split())
        )

    right = {
        code: np.mean(
            [
                guess(row["text"]) == row["label"]
                for row in fixture_rows("toy", "classification", code, "test", labels)
            ]
        )
        for code in ("en", "de", "fr", "ru", "ja")
    }
    foreign = np.mean([right[code] for code in ("de", "fr", "ru", "ja")])
    assert right["en"] > 0.9
    assert 0.35 < foreign < right["en"] - 0.1


def test_the_fixture_is_the_same_in_another_process():
    code = (
        "from xgrl.tasks.sources.fixture import fixture_rows as f; "
        "print(f('toy', 'retrieval', 'de', 'queries')[0]['text'])"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {fixture_rows("toy", "retrieval", "de", "queries")[0]["text"] + "\n"}


def test_the_fixture_refuses_other_formats():
    with pytest.raises(
        ValueError, match=r"format='taging': the fixture makes classification, .*tagging"
    ):
        fixture_rows("toy", "taging", "en", "test")


BIO = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("format", "labels"),
    [("multiple_choice", ()), ("span_qa", ()), ("tagging", BIO), ("tagging", ()), ("pairs", ())],
)
def test_rows_of_every_format_are_whole_and_of_the_vocabulary(format, labels):
    vocabulary = set(fixture_vocabulary())
    for language, split in (("en", "train"), ("th", "test")):
        rows = fixture_rows("toy", format, language, split, labels)
        checked = validate(rows, format, labels)
        assert not checked.dropped and len(checked.table.to_pylist()) == len(rows)
        tokens = " ".join(
            str(value)
            for row in rows
            for key, value in row.items()
            if key not in ("id", "tags", "label")
        )
        found = {
            token
            for token in re.findall("[a-z]{5,}", tokens)
            if token not in ("answer", "start", "answer_start")
        }
        assert found <= vocabulary


@pytest.mark.parametrize(
    ("format", "labels"),
    [("multiple_choice", ()), ("span_qa", ()), ("tagging", BIO), ("tagging", ("NOUN", "VERB"))],
)
def test_parallel_rows_of_every_format_have_the_same_solution(format, labels):
    english, german = (
        {row["id"]: row for row in fixture_rows("toy", format, code, "test", labels)}
        for code in ("en", "de")
    )
    meaning = {word(c, "en"): word(c, "de") for c in range(CONCEPTS)}
    assert english.keys() == german.keys()
    for key, row in english.items():
        assert all(german[key].get(same) == row.get(same) for same in ("label", "tags"))
        for field in ("prompt", "question", "context"):
            assert german[key].get(field, "").split() == [
                meaning[token] for token in row.get(field, "").split()
            ]
        if format == "span_qa":
            assert german[key]["answers"]["text"] == [
                " ".join(meaning[t] for t in text.split()) for text in row["answers"]["text"]
            ]


def test_the_right_choice_shares_most_with_its_prompt_and_is_anywhere():
    rows = fixture_rows("toy", "multiple_choice", "en", "train")
    for row in rows:
        shared = [
            len(set(choice.split()) & set(row["prompt"].split())) for choice in row["choices"]
        ]
        assert len(shared) == 4
        assert max(range(4), key=shared.__getitem__) == row["label"]
        assert sorted(shared)[-2] < max(shared)
    assert Counter(row["label"] for row in rows) == dict.fromkeys(range(4), 100)


def test_an_answer_follows_the_marker_that_its_question_names():
    for row in fixture_rows("toy", "span_qa", "fr", "test"):
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start:].startswith(text) and 1 <= len(text.split()) <= 2
        assert row["context"][:start].split()[-1] == row["question"].split()[1]


def test_only_squad2_has_questions_without_answer():
    def without(name, split):
        return [not row["answers"]["text"] for row in fixture_rows(name, "span_qa", "en", split)]

    assert 0.2 < np.mean(without("squad2", "train")) < 0.5
    assert 0.2 < np.mean(without("squad2", "dev")) < 0.5
    assert not any(without("squad", "train"))


def test_bio_tags_are_legal_and_every_tag_occurs():
    rows = fixture_rows("toy", "tagging", "en", "train", BIO)
    assert {tag for row in rows for tag in row["tags"]} == set(BIO)
    for row in rows:
        for before, tag in itertools.pairwise(["O", *row["tags"]]):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
    single = fixture_rows("toy", "tagging", "en", "train", ("O", "B-LOC"))
    assert {tag for row in single for tag in row["tags"]} == {"O", "B-LOC"}
    assert {
        tag for row in fixture_rows("toy", "tagging", "en", "train") for tag in row["tags"]
    } == set(range(8))


@pytest.mark.parametrize("labels", [BIO, tuple("abcdefgh")])
def test_tags_are_learnt_by_word_and_transfer_through_cognates(labels):
    """The most frequent tag of each word: right in English, above chance and worse elsewhere."""
    votes = Counter(
        (token, tag.removeprefix("I-").removeprefix("B-"))
        for row in fixture_rows("toy", "tagging", "en", "train", labels)
        for token, tag in zip(row["tokens"], row["tags"], strict=True)
    )
    kinds = sorted({label.removeprefix("I-").removeprefix("B-") for label in labels})
    right = {}
    for code in ("en", "de", "ru"):
        gold = [
            (token, tag.removeprefix("I-").removeprefix("B-"))
            for row in fixture_rows("toy", "tagging", code, "test", labels)
            for token, tag in zip(row["tokens"], row["tags"], strict=True)
            if tag != "O"
        ]
        guess = [max(kinds, key=lambda kind, token=token: votes[token, kind]) for token, _ in gold]
        right[code] = np.mean([g == tag for g, (_, tag) in zip(guess, gold, strict=True)])
    assert right["en"] > 0.98
    assert all(1 / len(labels) + 0.1 < right[code] < 0.8 for code in ("de", "ru"))


def test_choices_are_learnt_by_word_and_transfer_through_cognates():
    """The choice with most words that were in more right than wrong choices of training rows."""
    votes: Counter[str] = Counter()
    for row in fixture_rows("toy", "multiple_choice", "en", "train"):
        for k, choice in enumerate(row["choices"]):
            votes.update(dict.fromkeys(choice.split(), 3 if k == row["label"] else -1))
    right = {}
    for code in ("en", "de", "fr", "ru", "ja"):
        rows = fixture_rows("toy", "multiple_choice", code, "test")

        def score(choice):
            return sum(votes[token] > 20 for token in choice.split())

        right[code] = np.mean(
            [
                max(range(4), key=lambda k, row=row: score(row["choices"][k])) == row["label"]
                for row in rows
            ]
        )
    foreign = np.mean([right[code] for code in ("de", "fr", "ru", "ja")])
    assert right["en"] > 0.95 and 0.35 < foreign < right["en"] - 0.1


def test_answers_are_learnt_by_word_and_transfer_through_cognates():
    """Known answer words, and the word after a known marker: token F1 is 1 in English, lower and
    above chance elsewhere.
    """
    markers, words = set(), set()
    for row in fixture_rows("toy", "span_qa", "en", "train"):
        markers.add(row["context"][: row["answers"]["answer_start"][0]].split()[-1])
        words.update(row["answers"]["text"][0].split())
    f1 = {}
    for code in ("en", "de", "fr", "ru", "ja"):
        scores = []
        for row in fixture_rows("toy", "span_qa", code, "test"):
            tokens, answer = row["context"].split(), set(row["answers"]["text"][0].split())
            found = {
                after
                for before, after in itertools.pairwise(tokens)
                if before in markers or after in words
            }
            scores.append(2 * len(found & answer) / (len(found) + len(answer)))
        f1[code] = np.mean(scores)
    assert f1["en"] == 1 and all(0.25 < f1[code] < 0.9 for code in ("de", "fr", "ru", "ja"))


def test_pooled_candidates_are_of_every_language_and_a_query_has_one_in_each():
    languages = ("ar", "de", "en")

    def make(code, split):
        return fixture_rows(
            "toy", "retrieval", code, split, candidates="pooled", languages=languages
        )

    pool = {row["id"]: row["text"] for code in languages for row in make(code, "candidates")}
    assert len(pool) == 3 * 60 and all(row["text_pair"] for row in make("de", "candidates"))
    for query in make("de", "queries"):
        assert len(query["gold"]) == 3
        assert set(query["gold"]) <= set(pool)
        assert pool[f"{query['id']}-de"] == query["text"]
    assert {row["id"] for row in make("ar", "queries")} == {
        row["id"] for row in make("de", "queries")
    }


@pytest.mark.parametrize("stem", ["", "dev_"])
def test_half_of_the_mined_queries_have_no_partner(stem):
    queries, candidates = (
        fixture_rows("toy", "retrieval", "de", f"{stem}{side}", mined=True)
        for side in ("queries", "candidates")
    )
    found = validate(queries, "retrieval").table.to_pylist()
    ids = {row["id"] for row in candidates}
    assert 0.3 < np.mean([not row["gold"] for row in found]) < 0.7 and len(ids) == 60
    assert all((row["id"] in ids) == bool(row["gold"]) for row in found)
    assert not {row["id"] for row in fixture_rows("toy", "retrieval", "de", "queries")} & (
        ids if stem else set()
    )


def test_training_pairs_share_words_and_pooled_ones_have_a_context():
    for row in fixture_rows("toy", "pairs", "en", "train", candidates="pooled"):
        assert len(set(row["text"].split()) & set(row["candidate"].split())) == 4
        assert row["candidate_pair"]
    assert not any(row["candidate_pair"] for row in fixture_rows("toy", "pairs", "en", "train"))


@pytest.mark.embedded
def test_every_archive_of_the_study_is_the_pinned_one():
    for name, archive in packages.fetch_all(progress=False).items():
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == pins()[name].sha256
