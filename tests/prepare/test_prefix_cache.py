"""`xgrl.prepare.prefix_cache`: the same bits as computing anew, whatever the vocabulary; nothing
damaged is used; bounded.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from small_encoders import build, ragged
from xgrl.models import split
from xgrl.models.tokens import Tokens, kept_ids, remap, trim
from xgrl.prepare import prefix_cache


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prefix"


def tokens(seed: int = 0) -> Tokens:
    return ragged((9, 4, 17, 2, 7), seed=seed)


@pytest.mark.parametrize("kind", ["bert", "xlm-r", "modernbert"])
def test_a_second_call_gives_the_same_bits_without_computing(kind, tmp_path, monkeypatch):
    lower = split.prefix(build(kind), 2)
    assert prefix_cache.frozen_states(lower, tokens(), tmp_path / "a.npy") is False
    expected = np.load(prefix_cache.prefix_states(lower, tokens(), tmp_path / "expected.npy"))
    monkeypatch.setattr(prefix_cache, "prefix_states", lambda *_: pytest.fail("computed again"))
    assert prefix_cache.frozen_states(lower, tokens(), tmp_path / "b.npy") is True
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), expected)


def test_a_vocabulary_trimmed_otherwise_finds_the_same_entry_and_its_bits_are_the_same(tmp_path):
    model, text = build("bert"), tokens()
    lower = split.prefix(model, 2)
    prefix_cache.frozen_states(lower, text, tmp_path / "full.npy")
    kept = kept_ids([text, tokens(1)], range(4))
    trimmed, numbered = split.prefix(trim(model, kept), 2), remap(text, kept)
    assert prefix_cache.frozen_states(trimmed, numbered, tmp_path / "trimmed.npy")
    own = np.load(prefix_cache.prefix_states(trimmed, numbered, tmp_path / "own.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "trimmed.npy"), own)


def test_other_weights_words_texts_or_settings_are_another_entry(tmp_path, cache):
    def entries() -> int:
        return len(list(cache.glob("*.npy")))

    model = build("bert")
    prefix_cache.frozen_states(split.prefix(model, 2), tokens(), tmp_path / "x.npy")
    changes = [
        lambda m: m.encoder.layer[1].output.dense.bias.data.add_(1e-6),
        lambda m: m.get_input_embeddings().weight.data[int(tokens().ids[3])].add_(1e-6),
        lambda m: setattr(m.config, "layer_norm_eps", 1e-5),
    ]
    for number, change in enumerate(changes, start=2):
        with torch.no_grad():
            change(model)
        prefix_cache.frozen_states(split.prefix(model, 2), tokens(), tmp_path / "x.npy")
        assert entries() == number
    prefix_cache.frozen_states(split.prefix(model, 1), tokens(), tmp_path / "x.npy")
    prefix_cache.frozen_states(split.prefix(model, 2), tokens(1), tmp_path / "x.npy")
    assert entries() == 6
    with torch.no_grad():
        model.encoder.layer[3].output.dense.bias.add_(1)  # a layer that is not frozen
    assert prefix_cache.frozen_states(split.prefix(model, 2), tokens(), tmp_path / "x.npy")


def test_a_damaged_entry_is_computed_anew(tmp_path, cache, capfd):
    lower = split.prefix(build("bert"), 2)
    prefix_cache.frozen_states(lower, tokens(), tmp_path / "a.npy")
    expected = (tmp_path / "a.npy").read_bytes()
    entry = next(cache.glob("*.npy"))
    entry.unlink()
    entry.write_bytes(expected[:-1] + bytes([expected[-1] ^ 1]))
    assert not prefix_cache.frozen_states(lower, tokens(), tmp_path / "b.npy")
    assert "damaged and is made anew" in capfd.readouterr().err
    assert (tmp_path / "b.npy").read_bytes() == expected == next(cache.glob("*.npy")).read_bytes()


def test_the_cache_is_bounded_and_what_was_used_last_stays(tmp_path, cache, monkeypatch):
    lower = split.prefix(build("bert"), 2)
    for seed in range(4):
        prefix_cache.frozen_states(lower, tokens(seed), tmp_path / f"{seed}.npy")
        os.utime(max(cache.glob("*.npy"), key=lambda p: p.stat().st_ctime_ns), (seed, seed))
    assert prefix_cache.prune() == ""
    # used again, the others are older now
    prefix_cache.frozen_states(lower, tokens(0), tmp_path / "again.npy")
    monkeypatch.setenv("XGRL_PREFIX_GB", str(2.5 * (tmp_path / "0.npy").stat().st_size / 1e9))
    assert "2 of 4 entries removed, limit" in prefix_cache.prune()
    assert sum(p.stat().st_size for p in cache.glob("*.npy")) <= prefix_cache.limit()
    assert prefix_cache.frozen_states(lower, tokens(0), tmp_path / "x.npy")
    assert not prefix_cache.frozen_states(lower, tokens(1), tmp_path / "x.npy")
    # a study's own file stays when the entry goes
    assert np.load(tmp_path / "1.npy").shape[1] == 32


@pytest.mark.parametrize("size", ["much", "-1", "inf", "nan"])
def test_a_limit_that_is_none_is_refused(size, monkeypatch):
    monkeypatch.setenv("XGRL_PREFIX_GB", size)
    with pytest.raises(ValueError, match=r"XGRL_PREFIX_GB='.*0 or more"):
        prefix_cache.limit()


def test_no_cache_at_all(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("XGRL_PREFIX_GB", "0")
    for _ in range(2):
        assert not prefix_cache.frozen_states(
            split.prefix(build("bert"), 2), tokens(), tmp_path / "a.npy"
        )
    assert not cache.exists()
    monkeypatch.delenv("XGRL_PREFIX_GB")
    prefix_cache.frozen_states(split.prefix(build("bert"), 2), tokens(), tmp_path / "a.npy")
    monkeypatch.setenv("XGRL_PREFIX_GB", "0")
    assert not prefix_cache.frozen_states(
        split.prefix(build("bert"), 2), tokens(), tmp_path / "b.npy"
    )
    # what is there is neither read nor removed
    assert prefix_cache.prune() == "" and list(cache.glob("*.npy"))


def test_writers_at_the_same_time(tmp_path, cache):
    lower = split.prefix(build("bert"), 2)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(prefix_cache.frozen_states, lower, tokens(), tmp_path / f"{i}.npy")
            for i in range(8)
        ]
        assert all(job.exception() is None for job in jobs)
    assert len({(tmp_path / f"{i}.npy").read_bytes() for i in range(8)}) == 1
    assert len(list(cache.glob("*.npy"))) == 1
    assert not [p for p in cache.iterdir() if p.name.startswith(".")]


def test_other_segments_are_another_entry(tmp_path, cache):
    lower, text = split.prefix(build("bert"), 2), tokens()
    for second in (0, 1):
        segments = np.full(len(text.ids), second, np.int8)
        prefix_cache.frozen_states(lower, replace(text, segments=segments), tmp_path / "x.npy")
    assert len(list(cache.glob("*.npy"))) == 2
