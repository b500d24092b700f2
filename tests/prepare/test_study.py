"""Notebook 01 in one call: every corpus is looked through for leaks and encoded once."""

from collections import Counter

import pandas as pd
import pytest
from datasets import Dataset, Features, Value

from file_layouts import SIQA, write
from small_study import job
from xgrl.models.encoder import load_encoder
from xgrl.prepare import study
from xgrl.runs import records
from xgrl.tasks.sources import SourceError

CODES = ["en", "de"]


def test_every_corpus_is_checked_and_encoded_once(monkeypatch, tmp_path):
    encoded, checked = Counter(), Counter()
    encode_all, leakage = study.encode_all, study.drop_leaked

    def counting(corpora, *options):
        encoded.update(list(corpora))
        return encode_all(corpora, *options)

    def checking(corpora):
        clean, table = leakage(corpora)
        checked.update(set(table["train"]))
        return clean, table

    monkeypatch.setattr(study, "encode_all", counting)
    monkeypatch.setattr(study, "drop_leaked", checking)
    values = job(outputs=str(tmp_path), arms=["mlm", "lexical"])
    prepared = study.prepare_study(values)
    metrics, trained = prepared.record["metrics"], set(checked)
    assert set(encoded) == set(metrics["rows"]) and set(encoded.values()) == {1}
    assert {"unlabelled", "language-modelling", "pairs"} <= trained
    assert {name for name in metrics["rows"] if name.endswith("/train")} < trained
    assert set(checked.values()) == {1}
    assert set(metrics["leaked_rows_dropped"]) == trained - {"pairs, translations"}
    table = pd.read_csv(prepared.folder / "leakage.csv")
    assert set(table["train"]) == trained and "target/intent/test-de" in set(table["test"])
    card = pd.read_csv(prepared.folder / "data_card.csv")
    assert {"intermediate", "target"} <= set(card["role"])
    assert records.verify_hashes(prepared.folder)["parameters"] == values


def test_training_rows_are_dropped_where_a_test_set_has_them():
    values = job()
    rows = study.StudyRows(values, load_encoder("tiny")[1])
    corpora, _ = study.gather(values)
    name = "intermediate/sarcasm/train"
    leaked = corpora["target/sentiment/test-en"]["text"][3]
    spoiled = corpora[name].to_pandas()
    spoiled.loc[0, "text"] = leaked
    features = corpora[name].features
    rows.add(corpora | {name: type(corpora[name]).from_pandas(spoiled, features=features)})
    assert rows.dropped[name] == 1 and leaked not in rows.corpora[name]["text"]
    assert len(rows.encoded[name].tokens) == len(rows.corpora[name]) == len(spoiled) - 1


def test_texts_longer_than_the_encoder_takes_are_refused_before_any_row_is_read():
    with pytest.raises(ValueError, match="max_length=129: the encoder takes at most 128 tokens"):
        study.StudyRows(job(max_length=129), load_encoder("tiny")[1])


@pytest.mark.parametrize("copied", [2, 20, 35, 60])
def test_many_training_rows_in_a_test_set_are_told_and_more_than_half_refused(copied):
    rows = study.StudyRows(job(), load_encoder("tiny")[1])
    label = Features({"id": Value("string"), "text": Value("string"), "label": Value("int64")})
    texts = [f"word{i} other{i * 7} third{i * 13} last{i * 17}" for i in range(60)]
    train = {"id": list(map(str, range(60))), "text": texts, "label": [0] * 60}
    test = {key: values[:copied] for key, values in train.items()}
    name = "intermediate/sarcasm/train"
    corpora = {name: train, "target/sentiment/test-en": test}
    corpora = {key: Dataset.from_dict(value, features=label) for key, value in corpora.items()}
    said = f"{name}: left out {copied} rows that are in a test set; {60 - copied} rows remain"
    if copied > 30:
        with pytest.raises(SourceError, match=f"more than half .*{said}, {copied / 60:.0%} lost"):
            rows.add(corpora)
        return
    rows.add(corpora)
    assert rows.dropped[name] == copied
    assert rows.left_out == ([f"{said}, 33% lost"] if copied == 20 else [])


def no_package(languages):
    raise SourceError("no package index in a test")


def test_01_records_and_shows_what_its_files_are(tmp_path, monkeypatch):
    words = [f"wort{number}" for number in range(12)]
    tagged = "".join(f"{word}\tB-LOC\nruft\tO\n\n" for word in words)
    sentences = "".join(f"A sentence on {word} and no more than that.\n" for word in words)
    siqa = [SIQA | {"context": f"Kai saw {word}."} for word in words]
    files = {f"siqa/{split}.jsonl": siqa for split in ("train", "dev")}
    files |= {f"siqa/{split}-labels.lst": "2\n" * len(words) for split in ("train", "dev")}
    files |= {f"panx/{name}.tsv": tagged for name in ("train-en", "dev-en")}
    other = tagged.replace("wort", "Berg").replace("ruft", "steht")
    files |= {f"panx/test-{code}.tsv": other for code in CODES}
    files |= {f"unlabelled/{code}.txt": sentences.replace("A", code.title()) for code in CODES}
    files |= {"parallel/de.tsv": "".join(f"{word} da\t{word} there\n" for word in words)}
    text = "panx: {licence: ours, test: {status: development, note: half}}\n"
    files |= {"provenance.yaml": f"{text}parallel: {{train: {{status: official}}}}\n"}
    monkeypatch.setenv("XGRL_DATA", str(write(tmp_path / "data", files)))
    monkeypatch.setattr("xgrl.prepare.arm_texts.typology.distances", no_package)
    asked = {"intermediate": ["siqa"], "targets": ["panx"], "languages": CODES}
    asked |= {"unlabelled_languages": CODES, "unlabelled_rows": 4, "probe_rows": 2}
    prepared = study.prepare_study(job(outputs=str(tmp_path), sources=["files"], **asked))
    stated = {"target/panx/test-en": "development", "target/panx/test-de": "development"}
    other = ["intermediate/siqa/train", "intermediate/siqa/dev", "unlabelled"]
    other += ["target/panx/train", "target/panx/dev"]
    stated |= dict.fromkeys(other, "not stated") | {"parallel_texts": "official"}
    assert prepared.record["metrics"]["provenance"] == stated
    assert prepared.record["parameters"]["path"] == ""
    card = pd.read_csv(prepared.folder / "data_card.csv", keep_default_na=False)
    card = card.set_index("task")
    assert card.loc["panx", ["licence", "provenance"]].tolist() == [
        "ours",
        "test: development (half)",
    ]
    assert card.loc["siqa", "provenance"] == card.loc["unlabelled", "provenance"] == "not stated"
