"""The split into frozen lower and trained upper layers."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from small_encoders import BUILD, IDS, SIZES, build, ragged
from xgrl.models import split
from xgrl.prepare.corpus import Corpus
from xgrl.prepare.prefix_cache import prefix_states
from xgrl.training.batches import collate


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("k", [0, 1, 2, 3])
@torch.no_grad()
def test_prefix_then_top_is_the_whole_model_bit_for_bit(kind, k):
    model = build(kind)
    batch = collate([(Corpus([], None, ragged()), range(4))], 1)
    whole = model(**batch, output_hidden_states=True)
    lower, upper = split.prefix(model, k), split.top(model, k)
    hidden = lower(**batch).last_hidden_state
    assert torch.equal(hidden, whole.hidden_states[k])
    given = (
        batch if k == 0 else {"inputs_embeds": hidden, "attention_mask": batch["attention_mask"]}
    )
    assert torch.equal(upper(**given).last_hidden_state, whole.last_hidden_state)
    again = model(**batch, output_hidden_states=True)
    assert len(again.hidden_states) == len(whole.hidden_states) == 5, (
        "splitting must not disturb the model"
    )
    assert torch.equal(again.last_hidden_state, whole.last_hidden_state)


@pytest.mark.parametrize("kind", BUILD)
@torch.no_grad()
def test_states_from_disk_give_what_the_whole_model_gives(kind, tmp_path):
    """Padding holds zeros then, not the prefix's output; no real token may notice."""
    model, tokens = build(kind), ragged((9, 9, 9, 5))
    path = prefix_states(split.prefix(model, 2), tokens, tmp_path / "hidden.npy")
    stored = collate([(Corpus([], None, tokens, np.load(path, mmap_mode="r")), range(4))])
    batch = collate([(Corpus([], None, tokens), range(4))], 1)
    given, wanted = (
        split.top(model, 2)(**stored).last_hidden_state,
        model(**batch).last_hidden_state,
    )
    real = batch["attention_mask"].bool()
    assert torch.allclose(given[real], wanted[real], atol=1e-5)


@pytest.mark.parametrize("kind", BUILD)
def test_training_the_top_trains_the_model_and_nothing_below(kind):
    model = build(kind)
    before = copy.deepcopy(model.state_dict())
    lower, upper = split.prefix(model, 2), split.top(model, 2).train()
    assert not any(parameter.requires_grad for parameter in lower.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters()), (
        "a prefix must not freeze the model itself"
    )
    batch = collate([(Corpus([], None, ragged()), range(4))], 1)
    optimiser = torch.optim.SGD(upper.parameters(), lr=0.1)
    hidden = lower(**batch).last_hidden_state
    upper(inputs_embeds=hidden, attention_mask=batch["attention_mask"]).last_hidden_state.pow(
        3
    ).mean().backward()
    optimiser.step()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    touched = {
        re.match(r"(?:encoder\.)?layers?\.(\d)\.|(final_norm)", name).group(0) for name in changed
    }
    assert {name.strip(".")[-1] for name in touched} - {"m"} == {"2", "3"}, (
        "layers 2 and 3, and ModernBERT's final norm"
    )

    # as in another process: an untrained encoder and the trained layers
    other = split.join(build(kind), upper)
    assert all(
        torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items()
    )


def test_a_split_that_does_not_exist_is_refused():
    model = build("bert")
    for k in (-1, 4):
        with pytest.raises(ValueError, match=f"k={k} frozen layers: 0 to 3"):
            split.top(model, k)
    wide = BertModel(BertConfig(**SIZES | {"hidden_size": 16}, **IDS), add_pooling_layer=False)
    with pytest.raises(ValueError, match="2 upper layers do not fit an encoder of 4"):
        split.join(model, split.top(wide, 2))
    with pytest.raises(ValueError, match="Linear cannot be split"):
        split.prefix(torch.nn.Linear(2, 2), 0)


def test_prefix_states_follow_from_the_corpus_alone(tmp_path):
    model, tokens = build("bert"), ragged(np.random.default_rng(1).integers(2, 30, 50))
    # left in training mode by mistake: dropout must be off all the same
    lower = split.prefix(model, 2).train()
    first = np.load(prefix_states(lower, tokens, tmp_path / "a.npy", max_tokens_per_batch=64))
    torch.manual_seed(99)
    second = np.load(
        prefix_states(split.prefix(model, 2), tokens, tmp_path / "b.npy", max_tokens_per_batch=64)
    )
    assert first.shape == (len(tokens.ids), 32) and first.dtype == np.float32
    assert np.array_equal(first, second)
    for i in (0, 17, 49):
        with torch.no_grad():
            alone = split.prefix(model, 2)(
                input_ids=torch.from_numpy(tokens[i].astype(np.int64))[None]
            ).last_hidden_state[0]
        assert np.allclose(
            first[tokens.offsets[i] : tokens.offsets[i + 1]], alone.numpy(), atol=1e-5
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]


@pytest.mark.parametrize("kind", ["bert", "bert-with-pooler"])
@torch.no_grad()
def test_segments_go_into_the_lowest_part_alone(kind, tmp_path):
    model, tokens = build(kind), ragged((9, 9, 9, 9))
    segments = np.tile(np.repeat([0, 1], [5, 4]), 4).astype(np.int8)
    pairs = replace(tokens, segments=segments)
    batch = collate([(Corpus([], None, pairs), range(4))], 1)
    plain = torch.from_numpy(segments.astype(np.int64)).reshape(4, 9)
    whole = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], token_type_ids=plain
    ).last_hidden_state
    other = model(**collate([(Corpus([], None, tokens), range(4))], 1)).last_hidden_state
    assert (whole - other).abs().max() > 0.1
    chain = split.Chain(split.prefix(model, 1), split.top(split.prefix(model, 3), 1))
    chain = split.Chain(*chain.parts, split.top(model, 3)).eval()
    path = prefix_states(split.prefix(model, 2), pairs, tmp_path / "hidden.npy")
    stored = collate([(Corpus([], None, pairs, np.load(path)), range(4))])
    for found in (model(**batch), chain(**batch), split.top(model, 2)(**stored)):
        torch.testing.assert_close(found.last_hidden_state, whole)
