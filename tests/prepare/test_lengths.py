"""`xgrl.prepare.lengths`: every language gets texts of the same lengths."""

import numpy as np
import pytest

from xgrl.prepare.lengths import match_lengths


def test_match_lengths_gives_every_language_the_same_lengths():
    random = np.random.default_rng(0)
    lengths = {language: random.integers(3, 60, size=4000) for language in ("en", "de", "ru")}
    target = random.integers(5, 30, size=2000)
    chosen = match_lengths(lengths, target, 600, np.random.default_rng(1))
    for language, index in chosen.items():
        assert len(set(index.tolist())) == 600
        assert (lengths[language][index] == lengths["en"][chosen["en"]]).all()
    means = [lengths[language][index].mean() for language, index in chosen.items()]
    assert abs(means[0] - target.mean()) < 1 and len(set(means)) == 1


def test_match_lengths_takes_the_nearest_that_is_left():
    chosen = match_lengths(
        {"en": np.array([10, 12, 30])}, np.array([11, 11, 11]), 3, np.random.default_rng(0)
    )
    assert chosen["en"].tolist() == [0, 1, 2]
    lengths = {"en": np.array([10, 13, 30])}
    chosen = match_lengths(lengths, np.array([12, 12, 12]), 3, np.random.default_rng(0))
    assert chosen["en"].tolist() == [1, 0, 2]


def test_match_lengths_refuses_too_few_texts():
    with pytest.raises(ValueError, match="language 'de' has 2 texts, fewer than the 3 wanted"):
        match_lengths({"de": np.array([1, 2])}, np.array([1, 2, 3]), 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="target is empty"):
        match_lengths({"de": np.array([1, 2])}, np.array([]), 1, np.random.default_rng(0))
