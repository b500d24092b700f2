"""Robust training: the task is learned around each English text, where other languages may lie.

If a translation is a small step away from its English text in embedding space, a model that is
right in a whole neighbourhood of the English one is right on the translation, too. With x (T, H)
what goes into the trained layers (word embeddings, or the output of the frozen layers where there
are any) and radius r = lambda_max:

    Adversarial:  g = dL_task/dx;  L_arm = L_task(x + r ||x||_F g / ||g||_F), one step in the worst
                  direction (FGM)
    Smoothing:    L_task(x + delta) in place of L_task(x),  delta_t = r ||x_t|| v_t, v_t uniform on
                  the unit sphere

Norms are taken over the real tokens of one text (Adversarial) and of each token (Smoothing), so
that r is a share of the text's own size and means the same for every encoder and layer. Adversarial
keeps the clean loss beside the perturbed one and costs a second pass over the labelled half;
Smoothing costs nothing. Neither sees text without labels.

The paper perturbs word embeddings. These arms do so only in a study that trains all layers; where
lower layers are frozen x is their *output*, and both arms are variants of the paper's that carry
its names: a neighbourhood there is not one of words.

Further deviations: one ascent step instead of several; of its two kinds of randomised smoothing the
one by random perturbation, not the one by synonyms, which needs a list of synonyms that no openly
packaged source has.

Hyperparameters: r.

Source: Huang et al. 2021, "Improving Zero-Shot Cross-Lingual Transfer Learning via Robust Training"
(EMNLP, arXiv 2104.08645); Miyato et al. 2017 (ICLR, arXiv 1605.07725) for the step.
"""

import torch
from torch import Tensor, nn

from xgrl.arms.base import Arm, ArmSettings, own_generator
from xgrl.models.task_model import Inputs, Step, Term


def _as_vectors(inputs: Inputs, encoder: nn.Module) -> Inputs:
    """The same call with vectors (B, T, H) in the place of token ids."""
    if "inputs_embeds" in inputs:
        return inputs
    words = encoder.get_input_embeddings()(inputs["input_ids"])
    return {k: v for k, v in inputs.items() if k != "input_ids"} | {"inputs_embeds": words}


class Adversarial(Arm):
    """The task's loss again where it is largest nearby."""

    def alter(self, inputs: Inputs, count: int, encoder: nn.Module) -> Inputs:
        inputs = _as_vectors(inputs, encoder)
        x = inputs["inputs_embeds"]
        return inputs | {"inputs_embeds": x if x.requires_grad else x.detach().requires_grad_()}

    def perturbation(self, step: Step) -> Tensor:
        """(B, T, H), of Frobenius norm r times that of the text it is for, no gradient."""
        x, mask = step.inputs["inputs_embeds"], step.mask.unsqueeze(-1)
        slope = torch.autograd.grad(step.task_loss, x, retain_graph=True)[0] * mask
        size, steep = (
            torch.linalg.vector_norm(v * mask, dim=(1, 2), keepdim=True)
            for v in (x.detach(), slope)
        )
        return self.settings.lambda_max * size * slope / steep.clamp_min(1e-12)

    def forward(self, step: Step) -> Term:
        x = step.inputs["inputs_embeds"] + self.perturbation(step)
        hidden = step.model.hidden(**step.inputs | {"inputs_embeds": x})
        loss = step.model.task_loss(hidden, step.mask, step.labels, step.task)
        return loss, {"arm_loss": loss.item(), "lambda": self.settings.lambda_max}


class Smoothing(Arm):
    """The task's loss at a random place nearby."""

    def __init__(self, settings: ArmSettings):
        super().__init__(settings)
        self.generator = own_generator()

    def alter(self, inputs: Inputs, count: int, encoder: nn.Module) -> Inputs:
        inputs = _as_vectors(inputs, encoder)
        x = inputs["inputs_embeds"]
        noise = torch.randn(x.shape, generator=self.generator).to(x)
        size = x.detach().norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
        return inputs | {"inputs_embeds": x + self.settings.lambda_max * size * noise}

    def forward(self, step: Step) -> Term:
        return 0.0, {"lambda": self.settings.lambda_max}
