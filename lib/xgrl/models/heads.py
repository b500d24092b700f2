"""What stands on the encoder: pooling and one head a format.

A head turns what it reads into scores, and scores and labels into a loss. S sequences of T tokens,
H features:

==================  ==================  ============  ============================================
head                reads               scores        labels
==================  ==================  ============  ============================================
ClassificationHead  pooled (S, H)       (S, classes)  (S,) class
ChoiceHead          pooled (S, H)       (S,)          (examples, 2): right choice, number of choices
SpanHead            tokens (S, T, H)    (S, T, 2)     (S, 2) first and last token; 0 0 for no answer
TaggingHead         tokens (S, T, H)    (S, T, tags)  (S, T) tag, -100 where none is asked for
DualEncoderHead     pooled (S, H)       (S/2, S/2)    (S/2,) the candidate's number, one for a text
==================  ==================  ============  ============================================

Sources: Devlin et al. 2019 (arXiv 1810.04805) for the first four; Roy et al. 2020 (LAReQA, arXiv
2004.05484) for the dual encoder with in-batch softmax.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over all tokens: hidden (B, T, H), mask (B, T) of 0 and 1 -> (B, H)."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1)


class Head(nn.Module):
    """Dropout and one linear layer of `outputs` numbers, or of `scores` where a format has so many;
    `pooled` says whether it reads the pooled features or every token.
    """

    pooled, scores = True, 0

    def __init__(self, features: int, outputs: int = 0, dropout: float = 0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, self.scores or outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(features))

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Mean cross-entropy; mask (S, T) is 1 where a sequence has a token."""
        return cross_entropy(scores, labels)


class ClassificationHead(Head):
    """One of several classes."""


class ChoiceHead(Head):
    """One of the choices of an example, whose number may differ: softmax over their scores."""

    scores = 1

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).squeeze(-1)

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        examples = scores.split(labels[:, 1].tolist())
        choices = pad_sequence(examples, batch_first=True, padding_value=-torch.inf)
        return cross_entropy(choices, labels[:, 0])


class SpanHead(Head):
    """First and last token of the answer, each a softmax over the window's tokens."""

    pooled, scores = False, 2

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        scores = scores.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf)
        first, last = (cross_entropy(scores[..., i], labels[:, i]) for i in (0, 1))
        return (first + last) / 2


class TaggingHead(Head):
    """A tag for the first piece of every word."""

    pooled = False

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        # -100 is torch's own ignore_index
        return cross_entropy(scores.flatten(0, 1), labels.flatten())


class DualEncoderHead(nn.Module):
    """Queries against the batch's candidates: cosine times a learned scale; they take turns."""

    pooled = True

    def __init__(self, features: int = 0, outputs: int = 0, scale: float = 20.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, features: Tensor) -> Tensor:
        vectors = normalize(features, dim=-1)
        return self.log_scale.exp() * vectors[0::2] @ vectors[1::2].T

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        own = torch.arange(len(scores), device=scores.device)
        # a query's candidate, once more
        repeated = (labels[:, None] == labels[None]) & (own[:, None] != own[None])
        return cross_entropy(scores.masked_fill(repeated, -torch.inf), own)


HEADS = {
    "classification": ClassificationHead, "multiple_choice": ChoiceHead, "span_qa": SpanHead,
    "tagging": TaggingHead, "pairs": DualEncoderHead,
}  # fmt: skip
