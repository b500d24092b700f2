"""Language probes: what they must and must not find, in data where the answer is known."""

import numpy as np
import pytest
import torch
from scipy.stats import beta

from xgrl.evaluation.probing import probes

LANGUAGES = np.repeat(["de", "en", "fr", "ru"], 60)


def features(separation: float, seed: int = 0, d: int = 32) -> np.ndarray:
    """Normal clouds, one a language, whose means lie `separation` standard deviations out in random
    directions.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(4, d))
    return rng.normal(size=(240, d)) + separation * (
        means / np.linalg.norm(means, axis=1, keepdims=True)
    ).repeat(60, axis=0)


def test_probe_finds_language_where_it_is_and_not_where_it_is_not():
    strong, weak, absent = (
        probes.language_probe(features(s), LANGUAGES, 0) for s in (12.0, 3.0, 0.0)
    )
    assert strong.accuracy > 99 > weak.accuracy > absent.accuracy
    assert absent.low <= absent.chance <= absent.high
    assert strong.chance == 25.0 and strong.n_test == 120


def test_probe_on_noise_covers_chance_at_the_nominal_rate():
    runs = [probes.language_probe(features(0.0, seed=s, d=4), LANGUAGES, s) for s in range(60)]
    covered = np.mean([run.low <= 25 <= run.high for run in runs])
    # exact intervals cover at least 95 %; 60 runs of 95 % fall below .85 with probability .0007
    assert covered > 0.85
    assert abs(np.mean([run.accuracy for run in runs]) - 25) < 2


def test_translations_in_one_half_leave_a_probe_without_language_at_chance():
    """Content alone, the same in all languages: a translation in the other half misleads a probe
    that does not know of it, below chance; one that does is at chance, and finds strong language.
    """
    rng = np.random.default_rng(0)
    content, sentence = rng.normal(size=(60, 64)), np.tile(np.arange(60), 4)
    aligned = content[sentence] + 0.01 * rng.normal(size=(240, 64))
    for kind, seeds in (("linear", 4), ("mlp", 1)):
        known, unknown = (
            [probes.language_probe(aligned, LANGUAGES, s, kind, units) for s in range(seeds)]
            for units in (sentence, None)
        )
        assert all(run.high < 25 for run in unknown)
        assert all(run.low < 25 < run.high and abs(run.accuracy - 25) < 8 for run in known)
    strong = aligned + 8 * rng.normal(size=(4, 64)).repeat(60, axis=0)
    assert probes.language_probe(strong, LANGUAGES, 0, documents=sentence).accuracy > 95
    apart = probes.a_distance(
        strong[60:120], np.delete(strong, np.s_[60:120], 0), 0, np.tile(np.arange(60), 4)
    )
    assert apart > 1.5
    with pytest.raises(ValueError, match="too few documents"):
        probes.language_probe(aligned, LANGUAGES, documents=np.zeros(240))


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
    backwards = np.repeat(["ru", "fr", "en", "de"], 60)
    assert probes.language_probe(x, backwards, 1) == probe
    assert probes.language_probe(x, LANGUAGES, 1) == probe  # same seed, same answer


def test_control_task_is_at_chance_for_distinct_texts_and_exposes_repeated_ones():
    distinct = probes.language_probe(features(12.0), LANGUAGES, 0)
    assert distinct.control < 45
    assert distinct.selectivity == pytest.approx(distinct.accuracy - distinct.control)
    few = np.random.default_rng(0).normal(size=(8, 32)) * 5
    repeated = probes.language_probe(
        few[np.arange(240) % 8], np.array(["a", "b"])[np.arange(240) % 2], 0
    )
    assert repeated.accuracy == 100 and repeated.control == 100 and repeated.selectivity == 0


@pytest.mark.parametrize("kind", probes.KINDS)
@pytest.mark.parametrize("vector", [np.zeros(8), np.random.default_rng(0).normal(size=8)])
@pytest.mark.filterwarnings("error")
def test_probe_of_collapsed_features_is_at_chance(kind, vector):
    x = np.tile(vector, (240, 1)).astype(np.float32)
    probe = probes.language_probe(x, LANGUAGES, 0, kind)
    assert probe.accuracy == probe.chance == 25 and probe.converged
    # one distinct text has one control label, which is right wherever it is guessed
    assert probe.control == 100 and probe.selectivity == -75
    assert probes.a_distance(x[:60], x[60:]) == 0
    # a vector a language: all there is to read is read
    apart = probes.language_probe(np.eye(4).repeat(60, axis=0), LANGUAGES, 0, kind)
    assert apart.accuracy == apart.control == 100 and apart.selectivity == 0


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


def test_a_distance_is_that_of_the_linear_probe_on_two_equal_samples():
    x = features(1.5)[:120]
    probe = probes.language_probe(x, ["source"] * 60 + ["target"] * 60, 5)
    assert probes.a_distance(x[:60], x[60:], 5) == pytest.approx(4 * probe.accuracy / 100 - 2)
    with pytest.raises(ValueError, match="source 3, target 3"):
        probes.a_distance(x[:3], x[60:])


def test_retrained_discriminator_says_whether_it_converged(monkeypatch):
    x = features(3.0)
    done = probes.language_probe(x, LANGUAGES, 0, kind="mlp")
    assert done.converged and done.accuracy > 60
    monkeypatch.setattr(probes, "ITERATIONS", 2)
    assert not probes.language_probe(x, LANGUAGES, 0, kind="mlp").converged


def test_retrained_discriminator_is_the_trainings_own_at_a_stationary_point_of_its_loss():
    x, y = torch.from_numpy(features(3.0)).float(), torch.arange(4).repeat_interleave(60)
    model, converged = probes._retrain(x, y, 4, 0)
    assert converged
    assert [tuple(p.shape) for p in model.parameters()] == [(256, 32), (256,), (4, 256), (4,)]
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss = loss + probes.PENALTY / 480 * sum(
        (p**2).sum() for p in model.parameters() if p.ndim == 2
    )
    assert (
        max(g.abs().max() for g in torch.autograd.grad(loss, list(model.parameters())))
        <= probes.FLAT
    )


def test_retrained_discriminator_leaves_the_global_generator_alone_and_follows_the_seed():
    x, state = features(2.0), torch.get_rng_state()
    first = probes.language_probe(x, LANGUAGES, 1, kind="mlp")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert probes.language_probe(x, LANGUAGES, 1, kind="mlp") == first
