"""What stands on the encoder: pooling and one head a format."""

from __future__ import annotations

from torch import Tensor, nn


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over a text's tokens, special tokens included: hidden (B, T, H), mask (B, T) of 0 and 1 -> (B, H)."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1)


class ClassificationHead(nn.Module):
    """Dropout and one linear layer on the pooled features: (B, H) -> logits (B, classes)."""

    def __init__(self, features: int, classes: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.dropout(features))
