"""Encoder, head and arm as one module: what a step computes, and what an arm sees of it.

The loss of a run is L_task + L_arm (`xgrl.arms.base`). One forward pass serves both: labelled and
other texts go through the encoder together, the head reads the labelled ones, the arm the step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xgrl.models.dropout import CheapDropout
from xgrl.models.heads import mean_pool

Inputs = dict[str, Tensor]
Term = tuple[Tensor | float, dict[str, float]]
BFLOAT16 = frozenset({"cuda"})  # kinds of device that compute in it


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, elsewhere a context that does nothing. Weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type in BFLOAT16)


@dataclass(frozen=True)
class Step:
    """One step as an arm sees it: B sequences of T tokens, the first `count` labelled, U others.

    inputs: what the encoder was called with, ``input_ids`` (B, T) or ``inputs_embeds`` (B, T, H),
    and ``attention_mask``; hidden: last hidden states (B, T, H); read: those of each layer that the
    arm reads; labels: of the labelled ones, as the head's format wants them (`xgrl.models.heads`);
    domains: (U,) of the others, language, or whatever the arm's text is labelled with; task: its
    name in a mixture, else ""; task_loss: of the labelled ones; progress: in [0, 1], of training.
    """

    model: "TaskModel"
    inputs: Inputs
    hidden: Tensor
    read: list[Tensor]
    count: int
    labels: Tensor
    domains: Tensor
    task: str
    task_loss: Tensor
    progress: float

    @property
    def mask(self) -> Tensor:
        """Where there is a token, (B, T) of 0 and 1."""
        return self.inputs["attention_mask"]


class TaskModel(nn.Module):
    """Encoder, head and arm together, as the trainer sees them.

    encoder: the trainable part, called with ``inputs_embeds`` (B, T, H) or ``input_ids`` (B, T) and
    ``attention_mask``; head: see `xgrl.models.heads`, a `ModuleDict` of them for a mixture of
    tasks; arm: adds a term to the loss (`xgrl.arms.base.Arm`), `Standard` at the target stage;
    shared: name of the head of each task of a mixture. Between encoder and head lies `erasure`,
    which only the arm leace replaces; it is part of the last layer's hidden states.
    """

    micro_batch_size = 0  # sequences that go through the encoder at once in training; 0 for all

    def __init__(
        self, encoder: nn.Module, head: nn.Module, arm: nn.Module, shared: Mapping[str, str] = {}
    ):
        super().__init__()
        self.encoder, self.head, self.arm, self.shared = encoder, head, arm, dict(shared)
        self.erasure = nn.Identity()

    def head_of(self, task: str = "") -> nn.Module:
        """The head that serves a task; a model of one task has one, without a name."""
        return self.head[self.shared[task]] if task else self.head

    def hidden(self, layer: int = -1, **inputs: Tensor) -> Tensor:
        """Hidden states (B, T, H) after the last layer, or layer `layer` (0 = what goes in)."""
        return self.states([layer], **inputs)[0]

    def states(self, layers: Sequence[int], **inputs: Tensor) -> list[Tensor]:
        """Hidden states (B, T, H) of a padded batch after each of `layers`, counted as in `hidden`.

        A larger batch than `micro_batch_size` is worked on in parts: their activations are dropped,
        computed anew, dropout included, when the backward pass comes to them, and gradients add up
        over the parts. Labelled and other texts still meet in one loss, so that neither a mean over
        tokens nor negatives in the batch change; the price is one more forward pass. Source: Chen
        et al. 2016 (arXiv 1604.06174); for losses over a whole batch Gao et al. 2021 (arXiv
        2101.06983).
        """
        size, count = self.micro_batch_size, len(inputs["attention_mask"])
        if not size or count <= size or not torch.is_grad_enabled():
            return self._states(layers, inputs)
        starts = range(0, count, size)
        micro_batches = ({k: v[i : i + size] for k, v in inputs.items()} for i in starts)
        states = [checkpoint(self._states, layers, x, use_reentrant=False) for x in micro_batches]
        return [torch.cat(same) for same in zip(*states, strict=True)]

    def _states(self, layers: Sequence[int], inputs: Inputs) -> list[Tensor]:
        with CheapDropout():
            out = self.encoder(**inputs, output_hidden_states=max(layers) >= 0)
        last = self.erasure(out.last_hidden_state)
        return [out.hidden_states[k] if k >= 0 else last for k in layers]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """What is trained, by part; what an arm trains inside the encoder is the arm's."""
        own = {id(weight) for weight in self.arm.parameters()}
        weights = {"encoder": [w for w in self.encoder.parameters() if id(w) not in own]}
        weights |= {"head": self.head.parameters(), "arm": self.arm.parameters()}
        return {name: [w for w in part if w.requires_grad] for name, part in weights.items()}

    def task_loss(self, hidden: Tensor, mask: Tensor, labels: Tensor, task: str) -> Tensor:
        """The loss of a task's head on hidden states (S, T, H) of its texts, mask (S, T)."""
        head = self.head_of(task)
        return head.loss(head(mean_pool(hidden, mask) if head.pooled else hidden), labels, mask)

    def forward(
        self, labels: Tensor, domains: Tensor, progress: float, task: str = "", **inputs: Tensor
    ) -> tuple[Tensor, Tensor | float, dict[str, float]]:
        """The task's loss, the arm's term, and the step's curves."""
        count = len(inputs["attention_mask"]) - len(domains)
        inputs = self.arm.alter(inputs, count, self.encoder)
        mask = inputs["attention_mask"]
        layers = [-1, *(layer for layer in self.arm.layers if layer >= 0)]
        states = dict(zip(layers, self.states(layers, **inputs), strict=True))
        hidden, read = states[-1], [states[layer] for layer in self.arm.layers]
        loss = self.task_loss(hidden[:count], mask[:count], labels, task)
        step = Step(self, inputs, hidden, read, count, labels, domains, task, loss, progress)
        term, curves = self.arm(step)
        norm = mean_pool(hidden[:count].detach(), mask[:count]).norm(dim=-1).mean().item()
        return loss, term, {"task_loss": loss.item(), "feature_norm": norm} | curves
