"""Domain-adversarial training: gradient reversal, language discriminator, lambda schedule.

Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks" (JMLR 17), section 4. With
features f = F(x), task loss L_y and domain loss L_d, the discriminator D descends L_d while the
encoder F descends

    L_y(f) - lambda * L_d(D(f)),

which one backward pass gives if a layer R between f and D is the identity forwards and multiplies
by -lambda backwards:

    R(f) = f,        dR/df = -lambda * I.

lambda follows lambda_max * (2 / (1 + exp(-10 p)) - 1), p in [0, 1] the progress of training, so
that the discriminator can learn before the encoder is turned against it.
"""

import math

import torch
from torch import Tensor, nn


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return -ctx.weight * gradient, None


def gradient_reversal(features: Tensor, weight: float) -> Tensor:
    """`features` of any shape; their gradient is multiplied by ``-weight`` (lambda, at least 0)."""
    if not weight >= 0:
        raise ValueError(f"weight={weight!r}: gradient reversal needs a weight of at least 0")
    return _Reverse.apply(features, float(weight))


def lambda_at(progress: float, lambda_max: float) -> float:
    """Weight of the reversed gradient at `progress` in [0, 1]; nearly `lambda_max` from 1/2."""
    if not 0 <= progress <= 1:
        raise ValueError(f"progress={progress!r}: must lie between 0 and 1")
    return lambda_max * (2 / (1 + math.exp(-10 * progress)) - 1)


class Discriminator(nn.Module):
    """Which of several languages is a feature vector of size `features` from? One hidden layer, as
    in Ganin et al. 2016 section 5.
    """

    def __init__(self, features: int, domains: int, hidden: int = 256):
        super().__init__()
        if domains < 2:
            raise ValueError(f"domains={domains}: a discriminator needs at least two")
        layers = nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, domains)
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, H) to logits (B, domains)."""
        return self.layers(features)
