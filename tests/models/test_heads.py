"""Heads: each loss against its definition, and blind to what it must not see."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from xgrl.models import heads

B, T, H = 5, 7, 6


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def mask() -> torch.Tensor:
    found = torch.ones(B, T, dtype=torch.long)
    found[1, 4:] = 0
    return found


@pytest.mark.parametrize("kind", [k for k in heads.HEADS if k != "pairs"])
def test_dropout_is_off_in_evaluation_and_a_gradient_reaches_every_weight(kind):
    head = heads.HEADS[kind](H, 3).train()
    features = torch.randn(B, H) if head.pooled else torch.randn(B, T, H)
    labels = {
        "classification": torch.tensor([0, 1, 2, 1, 0]),
        "multiple_choice": torch.tensor([[1, 2], [0, 3]]),
        "span_qa": torch.tensor([[1, 2]] * B),
        "tagging": torch.randint(0, 3, (B, T)),
    }[kind]
    head.loss(head(features), labels, mask()).backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    head.eval()
    assert torch.equal(head(features), head(features))


def test_choice_loss_is_a_softmax_over_each_example_s_own_choices():
    head, scores = heads.ChoiceHead(H), torch.randn(9)
    labels = torch.tensor([[1, 4], [0, 2], [2, 3]])
    by_hand, start = 0.0, 0
    for right, count in labels.tolist():
        by_hand -= float(log_softmax(scores[start : start + count], 0)[right]) / 3
        start += count
    assert float(head.loss(scores, labels, None)) == pytest.approx(by_hand, rel=1e-5)


def test_span_loss_does_not_see_padding():
    head, scores, labels = (
        heads.SpanHead(H),
        torch.randn(B, T, 2),
        torch.tensor([[0, 0], [1, 3], [2, 2], [4, 6], [5, 6]]),
    )
    first = head.loss(scores, labels, mask())
    louder = scores.clone()
    louder[1, 4:] += 100
    assert torch.equal(first, head.loss(louder, labels, mask()))
    assert not torch.equal(first, head.loss(louder, labels, torch.ones(B, T)))
    alone = (
        cross_entropy(scores[1:2, :4, 0], labels[1:2, 0])
        + cross_entropy(scores[1:2, :4, 1], labels[1:2, 1])
    ) / 2
    assert float(head.loss(scores[1:2], labels[1:2], mask()[1:2])) == pytest.approx(
        float(alone), rel=1e-6
    )


def test_tagging_loss_is_the_mean_over_first_pieces():
    head, scores = heads.TaggingHead(H, 4), torch.randn(B, T, 4)
    labels = torch.full((B, T), -100)
    labels[0, 2], labels[3, 5], labels[3, 6] = 1, 3, 0
    by_hand = -np.mean(
        [float(log_softmax(scores[i, j], -1)[labels[i, j]]) for i, j in ((0, 2), (3, 5), (3, 6))]
    )
    assert float(head.loss(scores, labels, None)) == pytest.approx(by_hand, rel=1e-5)


def test_dual_encoder_pairs_each_query_with_its_own_candidate():
    head, vectors = heads.DualEncoderHead(scale=50.0), torch.eye(4)
    features = vectors.repeat_interleave(2, 0)  # query, candidate, query, candidate, ...
    apart = torch.arange(4)
    assert float(head.loss(head(features), apart, None).detach()) < 1e-3
    swapped = features.clone()
    swapped[1], swapped[3] = features[3], features[1]
    assert float(head.loss(head(swapped), apart, None).detach()) > 10
    # the first pair once more: its candidate is right for both
    twice = torch.cat([features, features[:2]])
    assert float(head.loss(head(twice), torch.tensor([0, 1, 2, 3, 0]), None).detach()) < 1e-3
    assert float(head.loss(head(twice), torch.arange(5), None).detach()) > 0.2
    assert torch.allclose(head(features), head(3 * features)), "length of a vector does not matter"
