"""The best span of an answer; what needs a trained model is in test_predict."""

import numpy as np
import pytest

from xgrl.evaluation import readout


def best_by_hand(scores, origin):
    """Every legal pair of first and last token, one by one."""
    inside = [i for i in range(len(origin)) if origin[i][0] >= 0]
    legal = [
        (scores[i, 0] + scores[j, 1], i, j)
        for i in inside
        for j in inside
        if 0 <= j - i < readout.LONGEST_ANSWER
    ]
    value, i, j = max(legal)
    return value, (origin[i][0], origin[j][1])


def test_the_best_span_is_the_best_of_all(monkeypatch):
    monkeypatch.setattr(readout, "BEST", 100)
    monkeypatch.setattr(readout, "LONGEST_ANSWER", 4)
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.normal(size=(15, 2))
        origin = np.array([[-1, -1]] * 4 + [[3 * i, 3 * i + 2] for i in range(10)] + [[-1, -1]])
        value, span = readout._best_span(scores, origin)
        expected = best_by_hand(scores, origin)
        assert value == pytest.approx(expected[0]) and span == tuple(expected[1])
