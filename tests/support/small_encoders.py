"""Random small encoders of the three architectures that the library splits and trims, for tests."""

from string import ascii_letters, punctuation

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from xgrl.models.encoder import load_encoder
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


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
NAMES = dict(
    zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), SPECIAL, strict=True)
)


def bert_tokenizer() -> BertTokenizer:
    """One piece a letter, of a kind that tells the texts of a pair apart; it states no limit."""
    letters = [*SPECIAL, *ascii_letters, *punctuation, *(f"##{c}" for c in ascii_letters)]
    vocabulary = {piece: i for i, piece in enumerate(letters)}
    return BertTokenizer(vocab=vocabulary, do_lower_case=False, **NAMES)


def byte_tokenizer(**options) -> RobertaTokenizer:
    """On bytes: a blank is folded into the word after it, and "cat" after a blank is one piece."""
    merges = [("c", "a"), ("ca", "t"), ("Ġ", "cat")]
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=64, **options)


def folding_tokenizer(removed: bool) -> PreTrainedTokenizerFast:
    """Whole words with the blank before them, as sentencepiece has them; marks of direction and
    byte order become blanks, or are removed with the blanks at both ends.
    """
    words = [*SPECIAL, *(f"▁{word}" for word in ("Bob", "in", "Rome", "who", ""))]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    steps = [normalizers.Replace(Regex("[\u200f\ufeff]"), "" if removed else " ")]
    steps += [normalizers.Replace(Regex(r"\s+"), " ")]
    steps += [normalizers.Strip()] if removed else []
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **NAMES)


def encoder_folder(kind: str, folder, positions: int = 132, layers: int = 2) -> str:
    """A random encoder of another architecture ("xlm-r" or "modernbert") over the fixture's words,
    as a folder that AutoModel loads; positions: of XLM-R, two more than it takes tokens.
    """
    _, tokenizer = load_encoder("tiny")
    torch.manual_seed(0)
    sizes = SIZES | IDS | {"vocab_size": len(tokenizer), "num_hidden_layers": layers}
    if kind == "xlm-r":
        model = XLMRobertaModel(XLMRobertaConfig(**sizes, max_position_embeddings=positions))
    else:
        model = ModernBertModel(
            ModernBertConfig(**sizes, cls_token_id=0, sep_token_id=2, local_attention=8)
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
