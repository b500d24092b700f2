"""Language probes: what they must and must not find, in data where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta
from transformers import BertConfig, BertModel

from xgrl import probes

LANGUAGES = np.repeat(["de", "en", "fr", "ru"], 60)


def features(separation: float, seed: int = 0, d: int = 32) -> np.ndarray:
    """Normal clouds, one a language, whose means lie `separation` standard deviations out in random directions."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(4, d))
    return rng.normal(size=(240, d)) + separation * (means / np.linalg.norm(means, axis=1, keepdims=True)).repeat(60, axis=0)


def test_probe_finds_language_where_it_is_and_not_where_it_is_not():
    strong, weak, absent = (probes.language_probe(features(s), LANGUAGES, 0) for s in (12.0, 3.0, 0.0))
    assert strong.accuracy > 99 > weak.accuracy > absent.accuracy
    assert absent.low <= absent.chance <= absent.high
    assert strong.chance == 25.0 and strong.n_test == 120


def test_probe_on_noise_covers_chance_at_the_nominal_rate():
    runs = [probes.language_probe(features(0.0, seed=s, d=4), LANGUAGES, s) for s in range(60)]
    covered = np.mean([run.low <= 25 <= run.high for run in runs])
    assert covered > 0.85  # exact intervals cover at least 95 %; 60 runs of 95 % fall below .85 with probability .0007
    assert abs(np.mean([run.accuracy for run in runs]) - 25) < 2


def test_interval_is_clopper_pearson():
    probe = probes.language_probe(features(3.0), LANGUAGES, 3)
    k, n = round(probe.accuracy / 100 * probe.n_test), probe.n_test
    assert probe.low == pytest.approx(100 * beta.ppf(0.025, k, n - k + 1))
    assert probe.high == pytest.approx(100 * beta.ppf(0.975, k + 1, n - k))


def test_probe_does_not_depend_on_shift_or_scale_of_a_feature_nor_on_the_order_of_languages():
    x = features(3.0)
    probe = probes.language_probe(x, LANGUAGES, 1)
    moved = probes.language_probe(x * np.linspace(1, 50, x.shape[1]) + 7, LANGUAGES, 1)
    assert moved.accuracy == probe.accuracy
    assert probes.language_probe(x, LANGUAGES, 1) == probe  # same seed, same answer


def test_control_task_is_at_chance_for_distinct_texts_and_exposes_repeated_ones():
    distinct = probes.language_probe(features(12.0), LANGUAGES, 0)
    assert distinct.control < 45 and distinct.selectivity == pytest.approx(distinct.accuracy - distinct.control)
    few = np.random.default_rng(0).normal(size=(8, 32)) * 5
    repeated = probes.language_probe(few[np.arange(240) % 8], np.array(["a", "b"])[np.arange(240) % 2], 0)
    assert repeated.accuracy == 100 and repeated.control == 100 and repeated.selectivity == 0


def test_mlp_sees_what_a_linear_probe_cannot():
    rng = np.random.default_rng(0)
    signs = rng.choice([-3.0, 3.0], size=(600, 2))
    x = signs + rng.normal(0, 0.3, (600, 2))
    languages = np.where(signs.prod(1) > 0, "en", "de")  # exclusive or
    assert probes.language_probe(x, languages, 0).accuracy < 65
    assert probes.language_probe(x, languages, 0, kind="mlp").accuracy > 90


@pytest.mark.parametrize(
    ("x", "languages", "message"),
    [
        (np.full((240, 4), np.nan), LANGUAGES, "240 of 240 feature rows are not finite"),
        (np.zeros((239, 4)), LANGUAGES, r"expected \(n, d\)"),
        (np.zeros((8, 4)), ["en"] * 8, "found en 8"),
        (np.zeros((8, 4)), ["en"] * 6 + ["de"] * 2, "de 2"),
    ],
)
def test_probe_refuses_what_it_cannot_answer(x, languages, message):
    with pytest.raises(ValueError, match=message):
        probes.language_probe(x, languages)


def test_probe_names_the_kinds_it_knows():
    with pytest.raises(ValueError, match="'tree', allowed are linear, mlp"):
        probes.language_probe(features(1.0), LANGUAGES, kind="tree")


def test_a_distance_runs_from_nought_to_two():
    rng = np.random.default_rng(0)
    near = probes.a_distance(rng.normal(size=(400, 8)), rng.normal(size=(600, 8)))
    far = probes.a_distance(rng.normal(size=(400, 8)), rng.normal(size=(600, 8)) + 10)
    assert 0 <= near < 0.35 and far == 2.0


def test_mean_geometry_is_a_distance_without_scale():
    x = features(6.0)
    geometry = probes.mean_geometry(x, LANGUAGES)
    d = geometry.distances.to_numpy()
    assert list(geometry.distances.columns) == ["de", "en", "fr", "ru"]
    assert np.allclose(d, d.T) and np.allclose(np.diag(d), 0)
    assert all(d[i, j] <= d[i, k] + d[k, j] + 1e-12 for i in range(4) for j in range(4) for k in range(4))
    assert np.allclose(d, probes.mean_geometry(0.01 * x + 3, LANGUAGES).distances)
    assert probes.mean_geometry(features(0.0), LANGUAGES).share < 5 < geometry.share < 100
    with pytest.raises(ValueError, match="collapsed"):
        probes.mean_geometry(np.repeat(np.eye(4), 60, axis=0), LANGUAGES)


def test_cka_is_one_up_to_rotation_and_scale_and_small_for_unrelated_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert probes.cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    assert probes.cka(x, rng.normal(size=(400, 12))) < 0.1
    y = rng.normal(size=(400, 5)) + x[:, :5]
    kx, ky = (k - k.mean(0) - k.mean(1)[:, None] + k.mean() for k in (x @ x.T, y @ y.T))  # the kernel form, n x n
    assert probes.cka(x, y) == pytest.approx((kx * ky).sum() / np.sqrt((kx * kx).sum() * (ky * ky).sum()))
    with pytest.raises(ValueError, match="400 and 399 texts"):
        probes.cka(x, x[1:])
    with pytest.raises(ValueError, match="constant"):
        probes.cka(x, np.ones((400, 3)))


def test_project_keeps_most_variance_and_has_fixed_signs():
    x = features(6.0)
    plane = probes.project(x)
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    assert plane.shape == (240, 2) and np.allclose(plane.mean(0), 0)
    assert np.allclose((plane**2).sum(0), values[:2] ** 2)
    assert np.array_equal(plane, probes.project(x.copy())) and np.allclose(plane, probes.project(x + 100))
    assert np.allclose(np.abs(probes.project(-x)), np.abs(plane))


def letters(texts, truncation=True, max_length=128):
    """One token a letter, called like a Hugging Face tokenizer."""
    return {"input_ids": [[2 + ord(letter) % 28 for letter in text][:max_length] for text in texts]}


def test_layer_features_are_masked_means_in_the_order_of_the_texts():
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32),
        add_pooling_layer=False,
    ).train()
    texts = ["abcdefgh", "xy", "hello there", "q", "abc"]
    batched = probes.layer_features(texts, model, letters, batch_size=2)
    assert batched.shape == (4, 5, 16) and batched.dtype == np.float32
    for i, text in enumerate(texts):  # one text alone: no padding, no sorting
        ids = torch.tensor(letters([text])["input_ids"])
        with torch.no_grad():
            states = model.eval()(ids, output_hidden_states=True).hidden_states
        assert np.allclose(batched[:, i], torch.stack(states).mean(2)[:, 0], atol=1e-5)
    with pytest.raises(ValueError, match="no texts"):
        probes.layer_features([], model, letters)
