"""Prepared corpora on disk, and batches by length."""

from __future__ import annotations

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
    assert (
        found.ids == ["x", "y", "z"]
        and found.labels.tolist() == [1, 0, 2]
        and found.hidden.shape == (15, 3)
    )
    assert found.format == "classification" and found.column("context") == ["a", "b", "c"]
    assert isinstance(found.tokens.ids, np.memmap) and np.array_equal(found.tokens.ids, tokens.ids)
    choices = corpus.Encoded(tokens, None, np.array([0, 2, 3]))
    corpus.save_corpus(tmp_path / "c", rows[:2].select(["id"]), "multiple_choice", choices)
    found = corpus.load_corpus(tmp_path / "c")
    assert found.labels is None and found.hidden is None, (
        "hidden states of an older corpus must not survive it"
    )
    assert found.first.tolist() == [0, 2, 3] and found.lengths.tolist() == [9, 2]
    empty = corpus.Encoded(Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64)))
    corpus.save_corpus(tmp_path / "e", rows[:0], "classification", empty)
    assert len(corpus.load_corpus(tmp_path / "e").tokens) == 0


def test_choices_stay_together_and_windows_do_not():
    tokens, first = ragged([4, 9, 2, 5, 3]), np.array([0, 2, 5])
    choices = corpus.Corpus(
        ["a", "b"], np.array([1, 0]), tokens, format="multiple_choice", first=first
    )
    assert choices.lengths.tolist() == [9, 5] and choices.sequences(np.array([1, 0])).tolist() == [
        2,
        3,
        4,
        0,
        1,
    ]
    windows = corpus.Corpus(["a", "b"], None, tokens, format="span_qa", first=first)
    assert windows.lengths.tolist() == [4, 9, 2, 5, 3] and windows.sequences(
        np.array([4, 1])
    ).tolist() == [4, 1]


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


def test_collate_pads_and_masks_over_several_corpora():
    first, second = (
        corpus.Corpus([], None, ragged(lengths, seed=s)) for s, lengths in enumerate(([3, 6], [5]))
    )
    batch = corpus.collate([(first, [1, 0]), (second, [0])], pad_id=1)
    assert batch["attention_mask"].sum(1).tolist() == [6, 3, 5] and batch["input_ids"].shape == (
        3,
        6,
    )
    for row, tokens in enumerate((first.tokens[1], first.tokens[0], second.tokens[0])):
        assert batch["input_ids"][row, : len(tokens)].tolist() == tokens.tolist()
        assert (batch["input_ids"][row, len(tokens) :] == 1).all()
    hidden = np.arange(18, dtype=np.float32).reshape(9, 2)
    batch = corpus.collate([(corpus.Corpus([], None, first.tokens, hidden), [0, 1])])
    assert batch["inputs_embeds"][0].tolist() == [*hidden[:3].tolist(), *[[0.0, 0.0]] * 3]
    assert batch["inputs_embeds"][1].tolist() == hidden[3:].tolist()


def padding(found, lengths) -> float:
    return sum(len(b) * lengths[b].max() for b in found) / sum(lengths[b].sum() for b in found)


def test_batches_barely_pad_and_do_not_come_in_order_of_length():
    rng = np.random.default_rng(0)
    lengths = np.minimum(np.exp(rng.normal(3.2, 0.7, 20_011)).astype(int) + 2, 128)
    found = list(corpus.batches(lengths, 16, 1250, np.random.default_rng(1)))
    assert (
        padding(found, lengths)
        < 1.05
        < 1.5
        < padding(np.array_split(rng.permutation(len(lengths)), 1251), lengths)
    )
    sizes = [lengths[batch].mean() for batch in found]
    assert abs(np.corrcoef(sizes[:-1], sizes[1:])[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("n", "batch_size", "steps"),
    [(10, 4, 7), (3, 8, 5), (1000, 16, 63), (1000, 16, 250), (5, 5, 0)],
)
def test_batches_are_full_exactly_so_many_and_balanced(n, batch_size, steps):
    lengths = np.random.default_rng(2).integers(2, 50, n)
    found = list(corpus.batches(lengths, batch_size, steps, np.random.default_rng(3)))
    assert len(found) == steps and all(len(batch) == batch_size for batch in found)
    if steps:
        uses = np.bincount(np.concatenate(found), minlength=n)
        assert uses.min() >= steps * batch_size // n and uses.max() <= -(-steps * batch_size // n)
    again = list(corpus.batches(lengths, batch_size, steps, np.random.default_rng(3)))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_batches_reshuffle_and_keep_lengths_together():
    lengths = np.random.default_rng(2).integers(2, 100, 6400)
    found = list(corpus.batches(lengths, 16, 800, np.random.default_rng(3)))
    assert padding(found, lengths) < 1.1
    first, second = (
        {frozenset(batch.tolist()) for batch in found[half]}
        for half in (slice(400), slice(400, None))
    )
    assert len(first) == 400 and not first & second, "two epochs must not repeat a batch"


def test_batches_refuse_nonsense():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        next(corpus.batches(np.array([3]), 0, 1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="empty corpus"):
        next(corpus.batches(np.zeros(0, int), 4, 1, np.random.default_rng(0)))
