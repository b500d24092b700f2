"""Tokenisation and vocabulary trimming."""

import copy

import numpy as np
import pytest
import torch

from small_encoders import bert_tokenizer, build, ragged
from xgrl.models.encoder import load_encoder
from xgrl.models.tokens import CHUNK, Tokens, kept_ids, remap, restore, tokenise, trim
from xgrl.prepare.corpus import Corpus
from xgrl.tasks.sources.fixture import fixture_vocabulary
from xgrl.training.batches import collate, length_buckets


@pytest.fixture(scope="module")
def tokenizer():
    return load_encoder("tiny")[1]


def test_tokenise_equals_the_tokenizer_one_text_at_a_time(tokenizer):
    words = fixture_vocabulary()
    texts = [" ".join(words[i : i + n]) for i, n in enumerate((3, 0, 40, 1, 7))]
    tokens = tokenise(texts, tokenizer, max_length=20)
    assert tokens.ids.dtype == np.int32 and tokens.offsets.dtype == np.int64 and len(tokens) == 5
    for i, one in enumerate(texts):
        assert tokens[i].tolist() == tokenizer(one, truncation=True, max_length=20)["input_ids"]
    assert tokens.lengths.tolist() == [5, 2, 20, 3, 9]


def test_pairs_and_rows_without_a_second_text_share_a_corpus(tokenizer):
    a, b, c = fixture_vocabulary()[:3]
    tokens = tokenise([(a, b), (b, ""), (c, a)], tokenizer, 32)
    assert tokens[0].tolist() == tokenizer(a, b)["input_ids"]
    assert tokens[1].tolist() == tokenizer(b)["input_ids"]
    assert tokens[2].tolist() == tokenizer(c, a)["input_ids"]
    assert (
        tokenise([(a, "")], tokenizer, 32).ids.tolist() == tokenise([a], tokenizer, 32).ids.tolist()
    )


def test_tokenise_refuses_what_is_not_text(tokenizer):
    with pytest.raises(TypeError, match="NoneType"):
        tokenise(["a", None], tokenizer, 8)
    with pytest.raises(TypeError, match="NoneType"):
        tokenise([("a", None)], tokenizer, 8)
    assert len(tokenise([], tokenizer, 8)) == 0


def test_texts_are_read_in_chunks_and_no_order_is_lost(tokenizer):
    words = fixture_vocabulary()
    many = [" ".join(words[i % 50 : i % 50 + i % 7]) for i in range(2 * CHUNK + 3)]
    tokens = tokenise(iter(many), tokenizer, 20)
    assert len(tokens) == len(many)
    for i in (0, CHUNK - 1, CHUNK, 2 * CHUNK + 2):
        assert tokens[i].tolist() == tokenizer(many[i], truncation=True, max_length=20)["input_ids"]


def test_kept_ids_and_remap_are_inverse():
    corpora = [ragged([5, 8], 60, seed=1), ragged([4], 60, seed=2)]
    kept = kept_ids(corpora, [0, 1, 2, 3])
    assert set(kept.tolist()) == {0, 1, 2, 3, *corpora[0].ids.tolist(), *corpora[1].ids.tolist()}
    for tokens in corpora:
        mapped = remap(tokens, kept)
        assert mapped.ids.dtype == np.int32 and np.array_equal(kept[mapped.ids], tokens.ids)
        assert np.array_equal(mapped.offsets, tokens.offsets)
    missing = next(i for i in range(60) if i not in set(kept.tolist()))
    with pytest.raises(ValueError, match=f"the first is {missing}"):
        remap(Tokens(np.array([0, missing], np.int32), np.array([0, 2])), kept)
    with pytest.raises(ValueError, match="not negative"):
        kept_ids(corpora, [-1])


def train(model, tokens, pad, clip: float, steps: int = 6):
    """A few AdamW steps on all layers with dropout, weight decay and clipping; the model and its
    gradient norms.
    """
    torch.manual_seed(7)
    model = model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    norms = []
    for index in length_buckets(tokens.lengths, 4, steps, np.random.default_rng(1)):
        output = model(**collate([(Corpus([], None, tokens), index)], pad)).last_hidden_state
        output.pow(4).mean().mul(3).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip)))
        optimiser.step()
        optimiser.zero_grad()
    return model, norms


@pytest.mark.parametrize("kind", ["bert", "xlm-r", "modernbert"])
@pytest.mark.parametrize("clip", [1e9, 0.05])
def test_training_with_a_trimmed_vocabulary_is_the_same_bit_for_bit(kind, clip):
    full = build(kind)
    tokens = ragged(np.random.default_rng(0).integers(3, 20, 24))
    kept = kept_ids([tokens], [0, 1, 2, 3])
    assert len(kept) < 400
    trimmed = trim(full, kept)
    assert trimmed.config.vocab_size == len(kept)
    assert trimmed.config.eos_token_id == 2
    assert full.config.vocab_size == 900
    mapped = remap(tokens, kept)
    (full, norms), (trimmed, same) = (
        train(full, tokens, 1, clip),
        train(trimmed, mapped, trimmed.config.pad_token_id, clip),
    )
    assert max(norms) > 0.06, "clipping must have been at work"
    assert norms == same
    words, rows = full.get_input_embeddings().weight, trimmed.get_input_embeddings().weight
    assert torch.equal(words[torch.from_numpy(kept)], rows)
    others = dict(trimmed.named_parameters())
    for name, value in full.named_parameters():
        assert value is words or torch.equal(value, others[name]), name


def test_trim_leaves_the_original_alone_and_restore_undoes_it():
    full = build("xlm-r").eval()
    before = copy.deepcopy(full.state_dict())
    tokens = ragged([7, 5])
    kept = kept_ids([tokens], [0, 1, 2, 3])
    trimmed = trim(full, kept).eval()
    batch = collate([(Corpus([], None, tokens), [0, 1])], 1)
    small = collate([(Corpus([], None, remap(tokens, kept)), [0, 1])], 1)
    with torch.no_grad():
        assert torch.equal(full(**batch).last_hidden_state, trimmed(**small).last_hidden_state)
        trimmed.get_input_embeddings().weight += 1
    restored = restore(trimmed, kept, full)
    assert restored.config.to_dict() == full.config.to_dict()
    rows = restored.get_input_embeddings().weight
    assert torch.equal(rows[kept], trimmed.get_input_embeddings().weight)
    rest = np.setdiff1d(np.arange(900), kept)
    assert torch.equal(rows[rest], full.get_input_embeddings().weight[rest])
    assert all(torch.equal(value, before[name]) for name, value in full.state_dict().items())


def test_the_padding_id_moves_in_bert_and_may_not_in_xlm_r():
    kept = np.array([1, 2, 5, 9])
    trimmed = trim(build("bert"), kept)
    assert trimmed.config.pad_token_id == 0 == trimmed.get_input_embeddings().padding_idx
    assert trimmed.config.eos_token_id == 1 and trimmed.config.bos_token_id is None
    with pytest.raises(ValueError, match="numbers positions from its padding id 1"):
        trim(build("xlm-r"), kept)
    with pytest.raises(ValueError, match="padding id 1 must be kept"):
        trim(build("bert"), np.array([0, 2]))
    with pytest.raises(ValueError, match="sorted, unique"):
        trim(build("bert"), np.array([0, 1, 900]))
    with pytest.raises(ValueError, match="does not fit"):
        restore(build("bert"), kept, build("bert"))


@torch.no_grad()
def test_pairs_have_the_segments_of_their_tokenizer_in_mixed_batches():
    model, tokenizer = build("bert"), bert_tokenizer()
    tokens = tokenise([("ab c", "de"), ("f", ""), ("g", "h")], tokenizer, 32)
    assert tokens.segments.dtype == np.int8
    single = tokenise(["hi j"], tokenizer, 32)
    kept = kept_ids([tokens, single], tokenizer.all_special_ids)
    trimmed, single = trim(model, kept), remap(single, kept)
    assert single.segments is None
    assert set(collate([(Corpus([], None, single), [0])])) == {"input_ids", "attention_mask"}
    corpora = [Corpus([], None, remap(tokens, kept)), Corpus([], None, single)]
    batch = collate([(corpora[0], [2, 1, 0]), (corpora[1], [0])], trimmed.config.pad_token_id)
    expected = tokenizer(["g", "f", "ab c", "hi j"], ["h", "", "de", ""])["token_type_ids"]
    expected[1], expected[3] = [0, 0, 0], [0] * 5  # single texts
    for row, types in zip(batch["token_type_ids"].tolist(), expected, strict=True):
        assert row == types + [0] * (len(row) - len(types))
    found = trimmed(**batch).last_hidden_state[2]
    wanted = model(**tokenizer("ab c", "de", return_tensors="pt")).last_hidden_state[0]
    torch.testing.assert_close(found[: len(wanted)], wanted)
    assert not any(tokenise([("a", "b")], load_encoder("tiny")[1], 9).types(0))
