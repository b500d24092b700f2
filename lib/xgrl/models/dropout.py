"""Dropout on a CPU, from cheaper random numbers than torch's, and attention around it.

Torch draws a number for each element there, one after another, a tenth of a training step. Here
four elements share one of 64 bits, which also comes from torch's own generator: what seeds, keeps
or restores that one (checkpoints, parts of a batch computed anew) does so here.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LEVELS = 2**16  # to which a rate is rounded


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `torch.nn.functional.dropout`; on a GPU, or in place, it is that."""
    lost, number = round(p * LEVELS), input.numel()
    if not training or inplace or not 0 < lost < LEVELS or input.device.type != "cpu":
        return functional.dropout(input, p, training, inplace)
    bits = torch.empty(-(-number // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = bits.view(torch.int16)[:number].view(input.shape)
    # 0 and 1 at once in the type of the values: from bool it would take several times as long
    kept = torch.ge(bits, lost - LEVELS // 2, out=torch.empty(input.shape, dtype=input.dtype))
    return input * kept.mul_(LEVELS / (LEVELS - lost))


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """As `torch.nn.functional.scaled_dot_product_attention`, and that where nothing is dropped.

    Its own way with dropout also looks for queries that see no key; here they see all.
    """
    if not dropout_p or is_causal or enable_gqa or query.device.type != "cpu":
        given = query, key, value, attn_mask, dropout_p, is_causal
        options = {"scale": scale, "enable_gqa": enable_gqa}
        return functional.scaled_dot_product_attention(*given, **options)
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.mT
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        lowest = torch.finfo(scores.dtype).min
        attn_mask = torch.zeros_like(attn_mask, dtype=scores.dtype).masked_fill_(~attn_mask, lowest)
    scores = scores if attn_mask is None else scores + attn_mask
    return dropout(scores.softmax(-1), dropout_p) @ value


OURS = {functional.dropout: dropout, functional.scaled_dot_product_attention: attention}


class CheapDropout(TorchFunctionMode):
    """Within it, modules that call torch's dropout or attention get the functions above; not while
    a backward pass computes a part anew, unless that part enters it itself.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return OURS.get(func, func)(*args, **(kwargs or {}))
