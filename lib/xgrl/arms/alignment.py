"""Alignment: translations are brought together at the top of the encoder, which learns it itself.

With z the L2-normalised feature (mean of the trained part's hidden states) of each text of P
translation pairs (a_i, b_i), English and foreign, every text is to find its own translation among
those of the batch, in both directions:

    S_ij = s cos(z_ai, z_bj),
    L_arm = lambda/2 mean_i [CE(S_i., i) + CE(S_.i, i)]

It is what adversaries hope for as a side effect, asked for outright and with more to go by: pairs
say which texts mean the same, while a discriminator's texts only say which language they are in.
Texts that a batch holds twice are no negatives of each other's translations.

Differences from the paper: no additive margin; beside an intermediate task, negatives of one batch.

Hyperparameters: scale s = 20, that of the dual encoder's head; lambda_max (constant).

Source: Feng et al. 2022 (LaBSE, ACL, arXiv 2007.01852), section 2.2, after Yang et al. 2019 (IJCAI,
arXiv 1902.08564), equations 1 to 4.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from xgrl.arms.base import Arm
from xgrl.models.heads import mean_pool
from xgrl.models.task_model import Inputs, Step, Term

SCALE = 20.0
SAME = 0.01  # texts whose inputs differ less are the same text but for rounding


def ranking_loss(english: Tensor, foreign: Tensor, repeated: Tensor) -> Tensor:
    """Translation ranking in both directions, of P pairs of unit vectors (P, H).

    repeated: (P, P) bool, pairs i and j of which one text is the same; the diagonal counts for
    nothing.
    """
    own = torch.arange(len(english), device=english.device)
    others = repeated & (own[:, None] != own)
    scores = (SCALE * english @ foreign.T).masked_fill(others, -torch.inf)
    return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2


def repeated_pairs(inputs: Inputs) -> Tensor:
    """Which of P pairs share a text, (P, P) bool, true on the diagonal. inputs: what the encoder is
    called with for 2 P texts, those of a pair in turn.
    """
    texts = inputs.get("inputs_embeds", inputs.get("input_ids")).detach().flatten(1).float()
    same = torch.cdist(texts, texts, p=torch.inf) < SAME
    return same[0::2, 0::2] | same[1::2, 1::2]


class Alignment(Arm):
    """Each text of a pair finds the other one among those of its batch."""

    def forward(self, step: Step) -> Term:
        hidden, mask = step.hidden[step.count :], step.mask[step.count :]
        vectors = normalize(mean_pool(hidden, mask).float(), dim=-1)
        repeated = repeated_pairs({k: values[step.count :] for k, values in step.inputs.items()})
        return self.weighted(ranking_loss(vectors[0::2], vectors[1::2], repeated))
