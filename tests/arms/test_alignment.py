"""Translations find each other among the texts of a batch."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from tiny_runs import pairs, tiny_run
from xgrl.arms.alignment import SCALE, ranking_loss
from xgrl.evaluation.readout import unit_features

NONE = torch.zeros(4, 4, dtype=torch.bool)


def test_the_loss_where_it_is_known():
    same = normalize(torch.ones(4, 8), dim=-1)
    assert ranking_loss(same, same, NONE).item() == pytest.approx(math.log(4))
    apart = torch.eye(4)
    expected = math.log(1 + 3 * math.exp(-SCALE))
    assert ranking_loss(apart, apart, NONE).item() == pytest.approx(expected, abs=1e-6)
    away = apart.roll(1, 0)  # each finds another one's translation
    assert ranking_loss(apart, away, NONE).item() == pytest.approx(SCALE, abs=1e-3)


def test_both_directions_count_alike():
    torch.manual_seed(0)
    english, foreign = normalize(torch.randn(2, 4, 8), dim=-1)
    there, back = ranking_loss(english, foreign, NONE), ranking_loss(foreign, english, NONE)
    torch.testing.assert_close(there, back)


def test_a_text_that_is_there_twice_is_no_negative_of_its_translation():
    vectors = torch.eye(4)[[0, 0, 1, 2]]
    repeated = torch.eye(4, dtype=torch.bool)
    repeated[0, 1] = repeated[1, 0] = True
    known, unknown = (ranking_loss(vectors, vectors, each).item() for each in (repeated, NONE))
    assert known == pytest.approx(0, abs=1e-6) and unknown == pytest.approx(math.log(2) / 2)


def test_pairs_come_nearer_than_other_texts():
    gaps = {}
    for strength in (0.0, 1.0):
        run = tiny_run("alignment", steps=40, lambda_max=strength)
        corpus = run.data.arm_texts.corpus
        vectors = unit_features(run.model, corpus)
        cosine = vectors[0::2] @ vectors[1::2].T
        gaps[strength] = cosine.diagonal().mean() - cosine.mean()
        assert corpus.ids == pairs().ids
    assert gaps[1.0] > gaps[0.0] + 0.02
