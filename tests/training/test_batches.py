"""Batches: padded, by length, the same for every arm."""

import numpy as np
import pytest

from small_encoders import ragged
from xgrl.prepare.corpus import Corpus
from xgrl.training.batches import collate, length_buckets, other_labels


def test_collate_pads_and_masks_over_several_corpora():
    first, second = (
        Corpus([], None, ragged(lengths, seed=s)) for s, lengths in enumerate(([3, 6], [5]))
    )
    batch = collate([(first, [1, 0]), (second, [0])], pad_id=1)
    assert batch["attention_mask"].sum(1).tolist() == [6, 3, 5]
    assert batch["input_ids"].shape == (3, 6)
    for row, tokens in enumerate((first.tokens[1], first.tokens[0], second.tokens[0])):
        assert batch["input_ids"][row, : len(tokens)].tolist() == tokens.tolist()
        assert (batch["input_ids"][row, len(tokens) :] == 1).all()
    hidden = np.arange(18, dtype=np.float32).reshape(9, 2)
    batch = collate([(Corpus([], None, first.tokens, hidden), [0, 1])])
    assert batch["inputs_embeds"][0].tolist() == [*hidden[:3].tolist(), *[[0.0, 0.0]] * 3]
    assert batch["inputs_embeds"][1].tolist() == hidden[3:].tolist()


def padding(found, lengths) -> float:
    return sum(len(b) * lengths[b].max() for b in found) / sum(lengths[b].sum() for b in found)


def test_batches_barely_pad_and_do_not_come_in_order_of_length():
    rng = np.random.default_rng(0)
    lengths = np.minimum(np.exp(rng.normal(3.2, 0.7, 20_011)).astype(int) + 2, 128)
    found = list(length_buckets(lengths, 16, 1250, np.random.default_rng(1)))
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
    found = list(length_buckets(lengths, batch_size, steps, np.random.default_rng(3)))
    assert len(found) == steps and all(len(batch) == batch_size for batch in found)
    if steps:
        uses = np.bincount(np.concatenate(found), minlength=n)
        assert uses.min() >= steps * batch_size // n and uses.max() <= -(-steps * batch_size // n)
    again = list(length_buckets(lengths, batch_size, steps, np.random.default_rng(3)))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("n", [128, 250, 400])
def test_batches_of_few_texts_are_not_made_of_copies(n):
    lengths = np.random.default_rng(2).integers(2, 100, n)
    found = list(length_buckets(lengths, 16, 60, np.random.default_rng(3)))
    distinct = [len(set(batch.tolist())) for batch in found]
    assert min(distinct) >= 13 and np.mean(distinct) > 15


def test_batches_reshuffle_and_keep_lengths_together():
    lengths = np.random.default_rng(2).integers(2, 100, 6400)
    found = list(length_buckets(lengths, 16, 800, np.random.default_rng(3)))
    assert padding(found, lengths) < 1.1
    first, second = (
        {frozenset(batch.tolist()) for batch in found[half]}
        for half in (slice(400), slice(400, None))
    )
    assert len(first) == 400 and not first & second, "two epochs must not repeat a batch"


def test_batches_refuse_nonsense():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        next(length_buckets(np.array([3]), 0, 1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="empty corpus"):
        next(length_buckets(np.zeros(0, int), 4, 1, np.random.default_rng(0)))


def test_bins_of_length_are_quantiles():
    lengths, domains = np.random.default_rng(0).permutation(120), np.arange(120) % 4
    bins, groups = other_labels("length", domains, 0, lengths, None)
    assert np.bincount(bins).tolist() == [30] * 4 and groups is domains
    assert (np.diff(bins[np.argsort(lengths)]) >= 0).all()
