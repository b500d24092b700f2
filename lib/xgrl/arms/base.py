"""What an arm is, and the plainest one.

The loss of intermediate training is

    L = L_task(labelled English) + L_arm(features of unlabelled text, their domains, progress).

`Standard` adds nothing: supplementary training on intermediate labelled-data tasks (STILTs, Phang et al. 2018,
arXiv 1811.01088).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ArmSettings:
    """What an arm may need to know.

    Args:
        features: size of a feature vector.
        domains: number of domains the unlabelled text is from.
        lambda_max: largest weight of the arm's term for the encoder.
    """

    features: int
    domains: int
    lambda_max: float


class Arm(nn.Module, ABC):
    """Adds a term to the loss. `needs_unlabelled` says whether the batches hold unlabelled text."""

    needs_unlabelled = False

    def __init__(self, settings: ArmSettings | None = None):
        super().__init__()
        self.settings = settings

    @abstractmethod
    def forward(self, features: Tensor, domains: Tensor, progress: float) -> tuple[Tensor | float, dict[str, float]]:
        """The term and what to draw as curves.

        Args:
            features: (U, H), pooled features of the unlabelled texts.
            domains: (U,), their domains as integers.
            progress: share of training done, in [0, 1].
        """


class Standard(Arm):
    """Task loss only."""

    def forward(self, features: Tensor, domains: Tensor, progress: float) -> tuple[float, dict[str, float]]:
        return 0.0, {}
