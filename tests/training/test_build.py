"""What a run consists of: the same for all arms of a block but for what the arm adds."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_model

from small_study import prepare
from xgrl.evaluation import predict, readout
from xgrl.models.split import Chain
from xgrl.prepare.folder import Prepared
from xgrl.runs import params, records
from xgrl.training import build, diagnostics, erasure, trainer
from xgrl.training.batches import hidden_batches


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("build"), arms=["mlm", "translated", "lexical"])


def intermediate(arm: str, **changes) -> dict:
    return params.validate("02_intermediate", {"arm": arm, "steps": 4, "seed": 3} | changes)


def target(prepared: Prepared, name: str, **changes) -> dict:
    outputs = str(prepared.folder.parents[1])
    values = {"outputs": outputs, "target": name, "steps": 4, "arm": "none", "intermediate": "none"}
    return params.validate("03_target", values | changes)


def test_arms_of_a_block_share_head_and_labelled_batches(prepared):
    runs = {arm: build.build_intermediate(intermediate(arm), prepared) for arm in
            ("standard", "dann", "mlm", "translated", "lexical")}  # fmt: skip
    first = runs.pop("standard")
    assert first.stages["train"].arm_texts is None and len(first.stages["train"]) == 4
    for arm, run in runs.items():
        pairs = zip(first.stages["train"].rows, run.stages["train"].rows, strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs), arm
        heads = zip(first.model.head.parameters(), run.model.head.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in heads), arm
        texts = run.stages["train"].arm_texts
        assert texts.corpus.folder.name == {"dann": "unlabelled", "mlm": "language-modelling"}.get(
            arm, {"translated": "translated", "lexical": "pairs"}.get(arm)
        )
        assert texts.translations == (arm == "translated")
        # these change what the frozen layers read or compute
        stored = "inputs_embeds" if arm in ("dann", "translated") else "input_ids"
        assert stored in run.stages["train"][0]
        assert isinstance(run.model.encoder, Chain) == (stored == "input_ids")


def test_domains_are_languages_or_english_and_the_rest(prepared):
    job = intermediate("dann", domains="binary", unlabelled_batch_size=8)
    assert build.domain_of_languages(job, prepared).tolist() == [0, 1, 1, 1]
    assert build.domain_of_languages(intermediate("dann"), prepared).tolist() == [0, 1, 2, 3]
    batch = build.build_intermediate(job, prepared).stages["train"][0]
    assert batch["domains"].bincount().tolist() == [4, 4]


def batches_of(prepared, arm, **changes):
    return build.build_intermediate(intermediate(arm, **changes), prepared).stages["train"]


@pytest.mark.parametrize("domains", ["languages", "binary"])
def test_controls_see_dann_s_texts_with_other_labels(prepared, domains):
    dann, pseudo, again, length, other = (
        batches_of(prepared, arm, domains=domains, seed=seed) for arm, seed in
        (("dann", 3), ("pseudo-domains", 3), ("pseudo-domains", 3), ("length-adversary", 3),
         ("pseudo-domains", 4))
    )  # fmt: skip
    for one in (pseudo, length):
        rows = zip(one.arm_rows, dann.arm_rows, strict=True)
        assert all(np.array_equal(a, b) for a, b in rows)
    own, count = dann.arm_texts.labels, dann.arm_texts.labels.max() + 1
    dealt = pseudo.arm_texts.labels
    assert np.array_equal(dealt, again.arm_texts.labels)  # once, for the block
    assert not np.array_equal(dealt, other.arm_texts.labels)
    for domain in range(count):  # as many, and they say nothing about language
        sizes = np.bincount(dealt[own == domain], minlength=count)
        assert sizes.max() - sizes.min() <= 1 and len(sizes) == count
    lengths, bins = length.arm_texts.corpus.lengths, length.arm_texts.labels
    order = np.argsort(lengths, kind="stable")
    assert (np.diff(bins[order]) >= 0).all() and set(bins) <= set(range(count))
    assert all(len(set(bins[lengths == n])) == 1 for n in lengths)


def test_the_source_and_its_genre(prepared):
    source = build.build_intermediate(intermediate("dann-source"), prepared)
    assert source.model.arm.settings.english == prepared.unlabelled_languages.index("en")
    assert (
        source.model.arm.settings.domains
        == 4
        == build.domain_count(intermediate("dann-source"), prepared)
    )
    job = intermediate("dann-source-genre")
    genre = build.build_intermediate(job, prepared)
    assert genre.model.arm.settings.domains == 2 == build.domain_count(job, prepared)
    assert genre.model.arm.settings.english == 0
    data, english = genre.stages["train"], prepared.unlabelled_languages.index("en")
    languages = data.arm_texts.corpus.labels[np.concatenate(data.arm_rows)]
    assert (languages == english).all() and (data[0]["domains"] == 1).all()


NEW = ("dann-source", "dann-source-genre", "noise", "pseudo-domains", "length-adversary")


@pytest.mark.parametrize("arm", NEW)
@pytest.mark.parametrize("dose", ["lambda", "ratio"])
def test_an_arm_trains_on_a_prepared_study(prepared, arm, dose):
    job = intermediate(arm, steps=6, dose=dose, discriminator_updates=2, lambda_max=0.3)
    run = build.build_intermediate(job, prepared)
    fit = trainer.fit(run.model, run.stages["train"], job, run.streams["dropout"])
    assert fit.diverged is None and fit.curves.discriminator_accuracy.between(0, 100).all()
    felt = fit.curves.dropna(subset=["gradient_ratio"]).set_index("step")
    assert len(felt) and (felt.arm_feature_gradient[felt.index > 0] > 0).all()
    chance = 100 / build.domain_count(job, prepared)
    metrics, _ = diagnostics.diagnose(fit.curves, chance, 16)
    assert metrics["gradient_ratio"] == pytest.approx(felt.gradient_ratio.mean())
    assert diagnostics.training_flops(run.model, run.stages["train"]) > 0


def test_a_discriminator_as_its_job_says(prepared):
    changes = {"discriminator_updates": 2, "discriminator_warmup": 0.25, "discriminator_width": 8,
               "discriminator_depth": 2, "discriminators": 3, "discriminator_renewal": 5,
               "dose": "ratio", "discriminator_layer": "all"}  # fmt: skip
    arm = build.build_intermediate(intermediate("dann", **changes), prepared).model.arm
    found = arm.settings
    assert (found.updates, found.warmup, found.width, found.depth) == (2, 0.25, 8, 2)
    assert (found.discriminators, found.renewal, found.dose) == (3, 5, "ratio")
    assert found.layers == (1, -1) and len(arm.discriminators) == 6
    plain = build.build_intermediate(intermediate("dann"), prepared).model.arm.settings
    assert plain == type(plain)(
        plain.features, 4, plain.lambda_max, classes=plain.classes, mask_id=plain.mask_id,
        special_ids=plain.special_ids, english=plain.english,
    )  # fmt: skip


def test_another_seed_is_another_block_and_a_wrong_layer_is_refused(prepared):
    rows = [build.build_intermediate(intermediate("standard", seed=seed), prepared).stages["train"]
            for seed in (0, 0, 1)]  # fmt: skip
    assert np.array_equal(rows[0].rows, rows[1].rows)
    assert not np.array_equal(rows[0].rows, rows[2].rows)
    with pytest.raises(ValueError, match="discriminator_layer=1: allowed: -1"):
        build.build_intermediate(intermediate("dann", discriminator_layer=1), prepared)
    with pytest.raises(ValueError, match="not an arm that trains"):
        build.build_intermediate(intermediate("standard") | {"arm": "centring"}, prepared)


def test_a_target_is_trained_or_only_searched(prepared):
    trained = build.build_target(target(prepared, "intent"), prepared)
    assert list(trained.stages) == ["train"] and trained.model.head.linear.out_features > 2
    plain = build.build_target(target(prepared, "emoji-names"), prepared)
    assert not plain.stages and isinstance(plain.model.head, torch.nn.Identity)


def test_a_target_is_tested_with_the_model_of_another_one(tmp_path):
    borrowed = {"xquad": "tydiqa", "lareqa": "tydiqa"}
    prepared = prepare(
        tmp_path, targets=["tydiqa", "xquad", "lareqa"], languages=["en", "de", "ru"],
        train_from=borrowed, max_length=48,
    )  # fmt: skip
    assert prepared.head("xquad") == prepared.head("tydiqa")
    assert not prepared.has("target/xquad/train")
    job = target(prepared, "xquad", train_from="tydiqa")
    with pytest.raises(ValueError, match=r"tydiqa.*not finished"):
        build.build_target(job, prepared)
    trained = build.build_target(target(prepared, "tydiqa"), prepared)
    with torch.no_grad():  # as if it had been trained
        for weight in trained.model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    run = records.run_folder(job["outputs"], "smoke", "target", target="tydiqa", arm="none")
    inputs = prepared.inputs("target", target="tydiqa")
    about = {"phase": "target", "parameters": {"study": "smoke"}, "metrics": {}, "started": 0.0}
    records.finish(run, inputs=inputs, **about)
    with pytest.raises(ValueError, match=r"no model\.safetensors; run 03_target for 'tydiqa' with"):
        build.fine_tuned(job, prepared)
    save_model(trained.model, run / build.MODEL)
    records.finish(run, inputs=inputs, **about)
    tested = build.build_target(job, prepared)
    assert not tested.stages and not tested.model.training
    pairs = [(tested.model, trained.model), (tested.encoder, trained.encoder)]
    for one, other in pairs:
        weights = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in weights)
    found, expected = (
        predict.predict(built.model.eval(), prepared, "xquad")[0] for built in (tested, trained)
    )
    assert found.equals(expected) and found.prediction.nunique() > 1
    lareqa = build.build_target(target(prepared, "lareqa", train_from="tydiqa"), prepared)
    assert list(lareqa.stages) == ["train"]
    with pytest.raises(ValueError, match=r"train_from='': 01 has prepared 'xquad' with .*tydiqa"):
        build.build_target(target(prepared, "xquad"), prepared)
    (run / build.MODEL).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is damaged"):
        build.fine_tuned(job, prepared)


def test_a_target_starts_from_its_arm_s_checkpoint(prepared):
    job = target(prepared, "intent", arm="dann", intermediate="sarcasm")
    with pytest.raises(ValueError, match="not finished"):
        build.starting_point(job, prepared)
    outputs, about = job["outputs"], {"intermediate": "sarcasm", "arm": "standard", "seed": 0}
    run = records.run_folder(outputs, "smoke", "intermediate", **about)
    inputs = prepared.inputs("intermediate", tasks=["sarcasm"], arm="standard")
    for changed in (False, True):
        about = {"metrics": {"lower_layers_changed": changed}, "inputs": inputs, "started": 0.0}
        records.finish(run, phase="intermediate", parameters={"study": "smoke"}, **about)
        own, checkpoint = build.starting_point(job | {"arm": "centring"}, prepared)
        assert checkpoint == run / "checkpoint" and own.cached is not changed
    assert build.starting_point(target(prepared, "intent"), prepared) == (prepared, None)


def test_language_is_erased_between_encoder_and_head(prepared, monkeypatch):
    """By a map that is fitted before training and does not move in it; other arms have none."""
    monkeypatch.setattr(build, "starting_point", lambda job, prepared: (prepared, None))
    names = {"intermediate": "sarcasm", "seed": 3}
    jobs = {a: target(prepared, "intent", arm=a, **names) for a in ("standard", "leace")}
    standard, leace = (build.build_target(job, prepared) for job in jobs.values())
    extra = set(leace.model.state_dict()) - set(standard.model.state_dict())
    assert extra == {"erasure.mean", "erasure.down", "erasure.up"}
    heads = zip(standard.model.head.parameters(), leace.model.head.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in heads)
    unlabelled = prepared.corpus("unlabelled")

    def between_means(model):
        x, y = readout.features(model, unlabelled).astype(float), unlabelled.labels
        return np.abs([x[y == k].mean(0) - x.mean(0) for k in range(4)]).max()

    assert between_means(leace.model) < 1e-4 < 0.01 < between_means(standard.model)
    change = erasure.retrieval_change("leace", prepared, leace.encoder)
    found = change(readout.features(standard.model, unlabelled))
    np.testing.assert_allclose(found, readout.features(leace.model, unlabelled), atol=1e-4)
    before = leace.model.erasure.down.clone()
    trainer.fit(leace.model, leace.stages["train"], jobs["leace"], leace.streams["dropout"])
    assert torch.equal(leace.model.erasure.down, before)
    assert between_means(leace.model) > 1e-4  # the encoder has moved


def test_heads_that_read_tokens_get_the_map_of_tokens(prepared, monkeypatch):
    monkeypatch.setattr(Prepared, "head", lambda self, task: ("tagging", 3))
    job = target(prepared, "intent", arm="leace", intermediate="sarcasm")
    streams = trainer.generators(2005, "sarcasm", "intent", seed=0)
    model = build.target_model(job, prepared, prepared.encoder(), streams)
    unlabelled, x, y = prepared.corpus("unlabelled"), [], []
    for rows, hidden, mask in hidden_batches(model, unlabelled):
        x.append(hidden[mask == 1].numpy())
        y.append(np.repeat(unlabelled.labels[rows], mask.sum(1)))
    x, y = np.concatenate(x).astype(float), np.concatenate(y)
    assert np.abs([x[y == k].mean(0) - x.mean(0) for k in range(4)]).max() < 1e-4
