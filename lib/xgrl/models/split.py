"""An encoder in two parts: frozen lower layers, computed once, and upper layers that are trained.

The frozen part is a fixed function of the text, so the study computes its output for every text
once (`xgrl.prepare.prefix_cache`) and each job trains `top` on it. `prefix` followed by `top` is
the whole model, bit for bit, for BERT, XLM-R and ModernBERT: the parts are copies of the model with
fewer layers, and above the split the embeddings give way to a module that passes inputs_embeds on.
"""

import copy
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from xgrl.models.tokens import Tokens, encoder_inputs


def hidden_states(
    part: PreTrainedModel, tokens: Tokens, index: np.ndarray
) -> tuple[Tensor, Tensor]:
    """The last hidden states (B, L, H) of some texts, and their mask (B, L)."""
    batch = encoder_inputs([(tokens, i) for i in index], part.config.pad_token_id or 0)
    batch = {name: values.to(part.device) for name, values in batch.items()}
    return part(**batch).last_hidden_state, batch["attention_mask"]


class _PassThrough(nn.Module):
    """Stands where the embeddings were: hidden states go into the layers unchanged."""

    def forward(self, *, inputs_embeds: Tensor, **_: object) -> Tensor:
        return inputs_embeds


def layer_stack(model: PreTrainedModel) -> nn.ModuleList:
    """The stack of layers: `.encoder.layer` in BERT and XLM-R, `.layers` in ModernBERT."""
    layers = getattr(getattr(model, "encoder", model), "layer", None)
    layers = getattr(model, "layers", None) if layers is None else layers
    if not isinstance(layers, nn.ModuleList):
        name = type(model).__name__
        raise ValueError(f"{name} cannot be split: no stack of layers at .encoder.layer or .layers")
    return layers


def keep_layers(model: PreTrainedModel, start: int, end: int) -> None:
    """Drop all layers but start to end - 1, in place, in the config too."""
    layers = layer_stack(model)
    del layers[end:]
    del layers[:start]
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[start:end]
    model.config.num_hidden_layers = end - start


def _validate_split(model: PreTrainedModel, k: int) -> None:
    depth = len(layer_stack(model))
    if not 0 <= k < depth:
        raise ValueError(f"k={k} frozen layers: 0 to {depth - 1} of {depth} may be frozen")


def _without(model: PreTrainedModel, start: int, end: int, shared: dict[int, object]) -> nn.Module:
    """A copy with layers start to end - 1, no pooler; what is in `shared`, by id, is replaced."""
    part = copy.deepcopy(model, shared)
    keep_layers(part, start, end)
    if hasattr(part, "pooler"):
        part.pooler = None
    return part


def prefix(model: PreTrainedModel, k: int) -> PreTrainedModel:
    """Embeddings and lowest k layers, frozen, in evaluation mode; last_hidden_state: layer k's.

    It shares weights with `model`, not modules. k = 0: embeddings alone. ValueError for another k.
    """
    _validate_split(model, k)
    frozen = {id(w): nn.Parameter(w.data, requires_grad=False) for w in model.parameters()}
    lower = _without(model, 0, k, frozen)
    if hasattr(lower, "final_norm"):  # ModernBERT normalises once more after its last layer
        lower.final_norm = nn.Identity()
    return lower.eval()


def top(model: PreTrainedModel, k: int) -> PreTrainedModel:
    """The layers above k, to train, called with inputs_embeds (B, T, H), the prefix's output, and
    attention_mask.

    They share their weights with `model`, so that training them trains it, and `model` is then
    saved as a whole. k = 0: the model itself, called with input_ids. ValueError for another k.
    """
    _validate_split(model, k)
    if k == 0:
        return model
    shared: dict[int, object] = {id(weight): weight for weight in model.parameters()}
    shared |= {id(layer): nn.Identity() for layer in layer_stack(model)[:k]}
    shared[id(model.embeddings)] = _PassThrough()
    return _without(model, k, len(layer_stack(model)), shared)


class Chain(nn.Module):
    """Consecutive parts of an encoder, called as one with input_ids; the loss trains the last.

    It stands in for the stored output of the frozen layers where that cannot be used. Parts below
    the last run without dropout and without gradient.
    """

    def __init__(self, *parts: PreTrainedModel):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.train(self.training)

    @property
    def config(self) -> PreTrainedConfig:
        """The last part's."""
        return self.parts[-1].config

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self.parts[:-1]:
            part.eval()
        return self

    def forward(
        self, *, attention_mask: Tensor, output_hidden_states: bool = False, **texts: Tensor
    ) -> ModelOutput:
        """As the last part's."""
        first, *between, last = self.parts
        with torch.no_grad():
            states = first(**texts, attention_mask=attention_mask).last_hidden_state
            for part in between:
                states = part(inputs_embeds=states, attention_mask=attention_mask).last_hidden_state
        options = {"attention_mask": attention_mask, "output_hidden_states": output_hidden_states}
        return last(inputs_embeds=states, **options)


def join(model: PreTrainedModel, trained: PreTrainedModel | Chain) -> PreTrainedModel:
    """Load upper layers back into a whole encoder, as when another process trained them.

    model: the encoder that `top` was taken from, or an equal one; changed in place. trained: what
    `top` returned, or a `Chain` that ends in it. Returns `model`. ValueError where they do not fit.
    """
    trained = trained.parts[-1] if isinstance(trained, Chain) else trained
    upper, layers = len(layer_stack(trained)), len(layer_stack(model))
    target = top(model, layers - upper) if layers >= upper else model
    try:
        target.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        given = f"{upper} upper layers do not fit an encoder of {layers}"
        raise ValueError(f"{given}: {error}") from None
    return model
