"""Random small encoders of the three architectures that the library splits and trims, for tests."""

from __future__ import annotations

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from xgrl.models.tokens import Tokens

SIZES = {
    "vocab_size": 900,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
BUILD = {
    "bert": lambda: BertModel(
        BertConfig(**SIZES, **IDS, max_position_embeddings=40), add_pooling_layer=False
    ),
    "bert-with-pooler": lambda: BertModel(BertConfig(**SIZES, **IDS, max_position_embeddings=40)),
    "xlm-r": lambda: XLMRobertaModel(
        XLMRobertaConfig(**SIZES, **IDS, max_position_embeddings=40), add_pooling_layer=False
    ),
    "modernbert": lambda: ModernBertModel(
        ModernBertConfig(**SIZES, **IDS, cls_token_id=0, sep_token_id=2, local_attention=8)
    ),
}


def build(kind: str) -> PreTrainedModel:
    """One of BUILD, in evaluation mode, always with the same weights; no norm is 1 and no bias 0,
    so a lost one shows.
    """
    torch.manual_seed(3)
    model = BUILD[kind]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def ragged(lengths=(9, 4, 17, 2), vocabulary: int = 900, seed: int = 0) -> Tokens:
    """Random texts of the given lengths between <s> = 0 and </s> = 2, as XLM-R has them; pad is 1
    and unk is 3.
    """
    rng = np.random.default_rng(seed)
    rows = [[0, *rng.integers(4, vocabulary, length - 2), 2] for length in lengths]
    return Tokens(np.concatenate(rows).astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
