"""Domain-adversarial training: gradient reversal, language discriminator, lambda schedule.

Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks" (JMLR 17), section 4. With
features f = F(x), task loss L_y and domain loss L_d, the discriminator D descends L_d while the
encoder F descends

    L_y(f) - lambda * L_d(D(f)),

which a layer R between f and D gives that is the identity forwards and times -lambda backwards:

    R(f) = f,        dR/df = -lambda * I.

lambda follows lambda_max * (2 / (1 + exp(-10 p)) - 1), p in [0, 1] the progress of training, so
that the discriminator can learn before the encoder is turned against it. `steered` sends back a
gradient whose norm, or direction too, is prescribed.
"""

import math
from itertools import pairwise

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


class _Steer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states: Tensor, weight: float, norm: Tensor | None, direction: Tensor | None):
        ctx.weight, ctx.norm, ctx.direction = weight, norm, direction
        return states.view_as(states)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        direction = -gradient if ctx.direction is None else ctx.direction
        size = ctx.weight * (norm_of(gradient) if ctx.norm is None else ctx.norm)
        return (direction * (size / norm_of(direction).clamp_min(1e-30))).to(gradient), *[None] * 3


def steered(
    states: Tensor, weight: float, norm: Tensor | None = None, direction: Tensor | None = None
) -> Tensor:
    """`states` of any shape; their gradient becomes one of norm ``weight * norm`` (None: that of
    the gradient itself) along `direction`, of the same shape (None: against the gradient).
    """
    return _Steer.apply(states, weight, norm, direction)


def norm_of(gradient: Tensor) -> Tensor:
    """The Frobenius norm, in double precision."""
    return torch.linalg.vector_norm(gradient, dtype=torch.float64)


def lambda_at(progress: float, lambda_max: float, warmup: float = 0.0) -> float:
    """Weight of the reversed gradient at `progress` in [0, 1]; nearly `lambda_max` from 1/2.

    warmup: share of the training, below 1, in which it is 0; the rise takes what is left.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress={progress!r}: must lie between 0 and 1")
    progress = max(0.0, progress - warmup) / (1 - warmup)
    return lambda_max * (2 / (1 + math.exp(-10 * progress)) - 1)


def perceptron(features: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    """`depth` hidden layers of `width`, each with a ReLU, and then a linear one."""
    sizes = [features, *[width] * depth]
    hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


class Discriminator(nn.Module):
    """Which of several languages is a feature vector of size `features` from? One hidden layer, as
    in Ganin et al. 2016 section 5, unless `depth` says otherwise.
    """

    def __init__(self, features: int, domains: int, width: int = 256, depth: int = 1):
        super().__init__()
        if domains < 2:
            raise ValueError(f"domains={domains}: a discriminator needs at least two")
        self.layers = perceptron(features, domains, width, depth)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, H) to logits (B, domains)."""
        return self.layers(features)
