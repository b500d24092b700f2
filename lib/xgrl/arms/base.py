"""What an arm is, and the plainest one.

The loss of intermediate training is

    L = L_task(labelled English) + L_arm(what the arm makes of the step).

An arm sees the whole step (`Step`): both halves of the batch, what the encoder made of them, and
the model itself. Most arms read the pooled features of the texts beside the labelled ones; some
change what goes into the encoder (`Arm.alter`), or need more of it than its trained layers
(`Arm.attach`).

`Standard` adds nothing: supplementary training on intermediate labelled-data tasks (STILTs, Phang
et al. 2018, arXiv 1811.01088).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xgrl.models.task_model import Inputs, Step, Term


@dataclass(frozen=True)
class ArmSettings:
    """What an arm may need to know before it sees a batch; ids are of the study's vocabulary.

    lambda_max is its strength: largest weight of its term for the encoder, or a radius; with the
    dose "ratio" that of its gradient's norm at the features as a share of the task's.
    """

    features: int  # size H of a feature vector
    domains: int  # number of domains that a discriminator tells apart
    lambda_max: float
    tokens: bool = False  # a discriminator reads every token instead of a text's mean
    layers: tuple[int, ...] = (-1,)  # of the trained part, one discriminator each; -1 is the last
    english: int = 0  # the domain of English text
    updates: int = 1  # steps of a discriminator for one of the encoder
    warmup: float = 0.0  # share of the steps before the reversal begins
    width: int = 256  # of a discriminator's hidden layers
    depth: int = 1  # number of these
    discriminators: int = 1  # on each layer, their losses' mean counts
    renewal: int = 0  # a fresh discriminator every so many steps; 0 never
    dose: str = "lambda"  # what lambda_max is: "lambda" or "ratio"
    classes: int = 0  # of the intermediate task, 0 where it has none
    mask_id: int | None = None  # of the mask token, None where the encoder has none
    special_ids: tuple[int, ...] = ()


def own_generator() -> torch.Generator:
    """A generator of an arm's own, seeded from torch's (`xgrl.training.trainer.initialised`)."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))


class Arm(nn.Module, ABC):
    """Adds a term to the loss; its own modules learn at the discriminator's learning rate."""

    def __init__(self, settings: ArmSettings | None = None):
        super().__init__()
        self.settings = settings

    @staticmethod
    def lacking(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
        """What an encoder lacks for this arm, "" for nothing; 01 asks, before any training."""
        return ""

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers of the trained part whose hidden states it reads; -1 is the last."""
        return self.settings.layers if self.settings else (-1,)

    def descend(self, loss: Tensor) -> None:
        """One step of its own modules alone down a loss of theirs. It is the trainer's while it
        trains; here the gradient is computed and nothing moves.
        """
        torch.autograd.grad(loss, list(self.parameters()), allow_unused=True)

    def renew(self, step: int) -> list[nn.Parameter]:
        """Start what is to be started afresh at a step; its weights, moments of which must go."""
        return []

    def attach(self, model: PreTrainedModel, trained: nn.Module) -> nn.Module:
        """What is trained in place of `trained`, the upper layers of `model`; called once."""
        return trained

    def detach(self, model: PreTrainedModel) -> None:
        """Write into `model` what changed below its trained layers; called after training."""

    @property
    def changes_lower_layers(self) -> bool:
        """Whether `detach` does anything; then stored output of frozen layers no longer holds."""
        return type(self).detach is not Arm.detach

    def alter(self, inputs: Inputs, count: int, encoder: nn.Module) -> Inputs:
        """What the encoder is called with instead of `inputs`, the first `count` labelled."""
        return inputs

    def weighted(self, loss: Tensor) -> Term:
        """A loss times lambda_max as the arm's term, with its curves."""
        weight = self.settings.lambda_max
        return weight * loss, {"arm_loss": loss.item(), "lambda": weight}

    @abstractmethod
    def forward(self, step: Step) -> Term:
        """The term, and what to draw as curves (`xgrl.training.trainer.CURVES`)."""


class Standard(Arm):
    """Task loss only."""

    def forward(self, step: Step) -> Term:
        return 0.0, {}
