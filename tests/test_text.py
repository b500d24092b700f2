"""Tokenisation, prepared corpora, length buckets and vocabulary trimming."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from small_encoders import build, ragged
from xgrl import text
from xgrl.models.encoder import load_encoder
from xgrl.sources.fixture import fixture_vocabulary


@pytest.fixture(scope="module")
def tokenizer():
    return load_encoder("tiny")[1]


def test_tokenise_equals_the_tokenizer_one_text_at_a_time(tokenizer):
    words = fixture_vocabulary()
    texts = [" ".join(words[i : i + n]) for i, n in enumerate((3, 0, 40, 1, 7))]
    tokens = text.tokenise(texts, tokenizer, max_length=20)
    assert tokens.ids.dtype == np.int32 and tokens.offsets.dtype == np.int64 and len(tokens) == 5
    for i, one in enumerate(texts):
        assert tokens[i].tolist() == tokenizer(one, truncation=True, max_length=20)["input_ids"]
    assert tokens.lengths.tolist() == [5, 2, 20, 3, 9]


def test_pairs_and_rows_without_a_second_text_share_a_corpus(tokenizer):
    a, b, c = fixture_vocabulary()[:3]
    tokens = text.tokenise([a, b, c], tokenizer, 32, text_pairs=[b, "", a])
    assert tokens[0].tolist() == tokenizer(a, b)["input_ids"]
    assert tokens[1].tolist() == tokenizer(b)["input_ids"]
    assert tokens[2].tolist() == tokenizer(c, a)["input_ids"]
    assert text.tokenise([a], tokenizer, 32, [""]).ids.tolist() == text.tokenise([a], tokenizer, 32).ids.tolist()


def test_tokenise_refuses_what_is_not_text(tokenizer):
    with pytest.raises(ValueError, match="2 texts but 1"):
        text.tokenise(["a", "b"], tokenizer, 8, ["c"])
    with pytest.raises(TypeError, match="NoneType"):
        text.tokenise(["a", None], tokenizer, 8)
    assert len(text.tokenise([], tokenizer, 8)) == 0


def test_a_corpus_comes_back_from_disk_as_it_was_written(tmp_path):
    tokens = ragged([4, 9, 2])
    text.save_corpus(tmp_path / "c", ["x", "y", "z"], [1, 0, 2], tokens)
    np.save(tmp_path / "c" / "hidden.npy", np.zeros((15, 3), np.float32))
    corpus = text.load_corpus(tmp_path / "c")
    assert corpus.ids == ["x", "y", "z"] and corpus.labels.tolist() == [1, 0, 2] and corpus.hidden.shape == (15, 3)
    assert isinstance(corpus.tokens.ids, np.memmap) and np.array_equal(corpus.tokens.ids, tokens.ids)
    text.save_corpus(tmp_path / "c", ["x", "y", "z"], None, tokens)
    corpus = text.load_corpus(tmp_path / "c")
    assert corpus.labels is None and corpus.hidden is None, "hidden states of an older corpus must not survive it"
    text.save_corpus(tmp_path / "e", [], [], text.Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64)))
    assert len(text.load_corpus(tmp_path / "e").tokens) == 0


def test_a_corpus_with_unequal_counts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 texts need as many"):
        text.save_corpus(tmp_path / "c", ["x"], None, ragged([4, 9, 2]))
    with pytest.raises(ValueError, match="offsets must run from 0 to 3"):
        text.Tokens(np.zeros(3, np.int32), np.array([0, 2]))
    with pytest.raises(FileNotFoundError, match="no prepared corpus"):
        text.load_corpus(tmp_path / "nothing")


def test_collate_pads_and_masks_over_several_corpora():
    first, second = (text.Corpus([], None, ragged(lengths, seed=s)) for s, lengths in enumerate(([3, 6], [5])))
    batch = text.collate([(first, [1, 0]), (second, [0])], pad_id=1)
    assert batch["attention_mask"].sum(1).tolist() == [6, 3, 5] and batch["input_ids"].shape == (3, 6)
    for row, tokens in enumerate((first.tokens[1], first.tokens[0], second.tokens[0])):
        assert batch["input_ids"][row, : len(tokens)].tolist() == tokens.tolist()
        assert (batch["input_ids"][row, len(tokens) :] == 1).all()
    hidden = np.arange(18, dtype=np.float32).reshape(9, 2)
    batch = text.collate([(text.Corpus([], None, first.tokens, hidden), [0, 1])])
    assert batch["inputs_embeds"][0].tolist() == [*hidden[:3].tolist(), *[[0.0, 0.0]] * 3]
    assert batch["inputs_embeds"][1].tolist() == hidden[3:].tolist()


def padding(found, lengths) -> float:
    return sum(len(b) * lengths[b].max() for b in found) / sum(lengths[b].sum() for b in found)


def test_batches_barely_pad_and_do_not_come_in_order_of_length():
    rng = np.random.default_rng(0)
    lengths = np.minimum(np.exp(rng.normal(3.2, 0.7, 20_011)).astype(int) + 2, 128)
    found = list(text.batches(lengths, 16, 1250, np.random.default_rng(1)))
    assert padding(found, lengths) < 1.05 < 1.5 < padding(np.array_split(rng.permutation(len(lengths)), 1251), lengths)
    sizes = [lengths[batch].mean() for batch in found]
    assert abs(np.corrcoef(sizes[:-1], sizes[1:])[0, 1]) < 0.2


@pytest.mark.parametrize(("n", "batch_size", "steps"), [(10, 4, 7), (3, 8, 5), (1000, 16, 63), (1000, 16, 250), (5, 5, 0)])
def test_batches_are_full_exactly_so_many_and_balanced(n, batch_size, steps):
    lengths = np.random.default_rng(2).integers(2, 50, n)
    found = list(text.batches(lengths, batch_size, steps, np.random.default_rng(3)))
    assert len(found) == steps and all(len(batch) == batch_size for batch in found)
    if steps:
        uses = np.bincount(np.concatenate(found), minlength=n)
        assert uses.min() >= steps * batch_size // n and uses.max() <= -(-steps * batch_size // n)
    again = list(text.batches(lengths, batch_size, steps, np.random.default_rng(3)))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_batches_reshuffle_and_keep_lengths_together():
    lengths = np.random.default_rng(2).integers(2, 100, 6400)
    found = list(text.batches(lengths, 16, 800, np.random.default_rng(3)))
    assert padding(found, lengths) < 1.1
    first, second = ({frozenset(batch.tolist()) for batch in found[half]} for half in (slice(400), slice(400, None)))
    assert len(first) == 400 and not first & second, "two epochs must not repeat a batch"


def test_batches_refuse_nonsense():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        next(text.batches(np.array([3]), 0, 1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="empty corpus"):
        next(text.batches(np.zeros(0, int), 4, 1, np.random.default_rng(0)))


def test_kept_ids_and_remap_are_inverse():
    corpora = [ragged([5, 8], 60, seed=1), ragged([4], 60, seed=2)]
    kept = text.kept_ids(corpora, [0, 1, 2, 3])
    assert set(kept.tolist()) == {0, 1, 2, 3, *corpora[0].ids.tolist(), *corpora[1].ids.tolist()}
    for tokens in corpora:
        mapped = text.remap(tokens, kept)
        assert mapped.ids.dtype == np.int32 and np.array_equal(kept[mapped.ids], tokens.ids)
        assert np.array_equal(mapped.offsets, tokens.offsets)
    missing = next(i for i in range(60) if i not in set(kept.tolist()))
    with pytest.raises(ValueError, match=f"the first is {missing}"):
        text.remap(text.Tokens(np.array([0, missing], np.int32), np.array([0, 2])), kept)
    with pytest.raises(ValueError, match="not negative"):
        text.kept_ids(corpora, [-1])


def train(model, tokens, pad, clip: float, steps: int = 6):
    """A few AdamW steps on all layers with dropout, weight decay and clipping; the model and its gradient norms."""
    torch.manual_seed(7)
    model = model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    norms = []
    for index in text.batches(tokens.lengths, 4, steps, np.random.default_rng(1)):
        output = model(**text.collate([(text.Corpus([], None, tokens), index)], pad)).last_hidden_state
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
    kept = text.kept_ids([tokens], [0, 1, 2, 3])
    assert len(kept) < 400
    trimmed = text.trim(full, kept)
    assert trimmed.config.vocab_size == len(kept) and trimmed.config.eos_token_id == 2 and full.config.vocab_size == 900
    mapped = text.remap(tokens, kept)
    (full, norms), (trimmed, same) = train(full, tokens, 1, clip), train(trimmed, mapped, trimmed.config.pad_token_id, clip)
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
    kept = text.kept_ids([tokens], [0, 1, 2, 3])
    trimmed = text.trim(full, kept).eval()
    batch = text.collate([(text.Corpus([], None, tokens), [0, 1])], 1)
    small = text.collate([(text.Corpus([], None, text.remap(tokens, kept)), [0, 1])], 1)
    with torch.no_grad():
        assert torch.equal(full(**batch).last_hidden_state, trimmed(**small).last_hidden_state)
        trimmed.get_input_embeddings().weight += 1
    restored = text.restore(trimmed, kept, full)
    assert restored.config.to_dict() == full.config.to_dict()
    rows = restored.get_input_embeddings().weight
    assert torch.equal(rows[kept], trimmed.get_input_embeddings().weight)
    rest = np.setdiff1d(np.arange(900), kept)
    assert torch.equal(rows[rest], full.get_input_embeddings().weight[rest])
    assert all(torch.equal(value, before[name]) for name, value in full.state_dict().items())


def test_the_padding_id_moves_in_bert_and_may_not_in_xlm_r():
    kept = np.array([1, 2, 5, 9])
    trimmed = text.trim(build("bert"), kept)
    assert trimmed.config.pad_token_id == 0 == trimmed.get_input_embeddings().padding_idx
    assert trimmed.config.eos_token_id == 1 and trimmed.config.bos_token_id is None
    with pytest.raises(ValueError, match="numbers positions from its padding id 1"):
        text.trim(build("xlm-r"), kept)
    with pytest.raises(ValueError, match="padding id 1 must be kept"):
        text.trim(build("bert"), np.array([0, 2]))
    with pytest.raises(ValueError, match="sorted, unique"):
        text.trim(build("bert"), np.array([0, 1, 900]))
    with pytest.raises(ValueError, match="does not fit"):
        text.restore(build("bert"), kept, build("bert"))
