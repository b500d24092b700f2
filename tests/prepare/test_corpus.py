"""Prepared corpora on disk."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from small_encoders import ragged
from xgrl.models.tokens import Tokens
from xgrl.prepare import corpus


def test_a_corpus_comes_back_from_disk_as_it_was_written(tmp_path):
    tokens = ragged([4, 9, 2])
    rows = pa.table({"id": ["x", "y", "z"], "label": [1, 0, 2], "context": ["a", "b", "c"]})
    corpus.save_corpus(tmp_path / "c", rows, "classification", corpus.Encoded(tokens))
    np.save(tmp_path / "c" / "hidden.npy", np.zeros((15, 3), np.float32))
    found = corpus.load_corpus(tmp_path / "c")
    assert found.ids == ["x", "y", "z"]
    assert found.labels.tolist() == [1, 0, 2]
    assert found.hidden.shape == (15, 3)
    assert found.format == "classification" and found.column("context") == ["a", "b", "c"]
    assert isinstance(found.tokens.ids, np.memmap) and np.array_equal(found.tokens.ids, tokens.ids)
    choices = corpus.Encoded(tokens, None, np.array([0, 2, 3]))
    corpus.save_corpus(tmp_path / "c", rows[:2].select(["id"]), "multiple_choice", choices)
    found = corpus.load_corpus(tmp_path / "c")
    assert found.labels is None and found.hidden is None, (
        "hidden states of an older corpus must not survive it"
    )
    assert found.first.tolist() == [0, 2, 3] and found.lengths.tolist() == [9, 2]
    assert found.tokens.segments is None and not (tmp_path / "c" / "segments.npy").exists()
    pairs = replace(tokens, segments=np.arange(15, dtype=np.int8) % 2)
    corpus.save_corpus(tmp_path / "p", rows.select(["id"]), "retrieval", corpus.Encoded(pairs))
    assert corpus.load_corpus(tmp_path / "p").tokens.segments.tolist() == [0, 1] * 7 + [0]
    empty = corpus.Encoded(Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64)))
    corpus.save_corpus(tmp_path / "e", rows[:0], "classification", empty)
    assert len(corpus.load_corpus(tmp_path / "e").tokens) == 0


def test_choices_stay_together_and_windows_do_not():
    tokens, first = ragged([4, 9, 2, 5, 3]), np.array([0, 2, 5])
    choices = corpus.Corpus(
        ["a", "b"], np.array([1, 0]), tokens, format="multiple_choice", first=first
    )
    assert choices.lengths.tolist() == [9, 5]
    assert choices.sequences(np.array([1, 0])).tolist() == [2, 3, 4, 0, 1]
    windows = corpus.Corpus(["a", "b"], None, tokens, format="span_qa", first=first)
    assert windows.lengths.tolist() == [4, 9, 2, 5, 3]
    assert windows.sequences(np.array([4, 1])).tolist() == [4, 1]


def test_a_corpus_with_unequal_counts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 examples need as many ids, found 1"):
        corpus.save_corpus(
            tmp_path / "c",
            pa.table({"id": ["x"]}),
            "classification",
            corpus.Encoded(ragged([4, 9, 2])),
        )
    with pytest.raises(ValueError, match="offsets must run from 0 to 3"):
        Tokens(np.zeros(3, np.int32), np.array([0, 2]))
    with pytest.raises(FileNotFoundError, match="no prepared corpus"):
        corpus.load_corpus(tmp_path / "nothing")
