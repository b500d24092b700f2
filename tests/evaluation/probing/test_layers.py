"""Features of every layer at every stage, and the tables made of them."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel

from xgrl.evaluation.probing import layers, probes, similarity
from xgrl.models.split import top
from xgrl.runs import records
from xgrl.training import diagnostics

TEXTS = ["abcdefgh", "xy", "hello there", "q", "abc"]


def letters(texts, truncation=True, max_length=128):
    """One token a letter, called like a Hugging Face tokenizer."""
    return {"input_ids": [[2 + ord(letter) % 28 for letter in text][:max_length] for text in texts]}


letters.model_max_length = 512


def bert(seed: int) -> BertModel:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
    )
    return BertModel(config, add_pooling_layer=False).train()


def alone(text: str, model: BertModel) -> np.ndarray:
    """One text without padding: (layers + 1, d)."""
    with torch.no_grad():
        states = model.eval()(
            torch.tensor(letters([text])["input_ids"]), output_hidden_states=True
        ).hidden_states
    return torch.stack(states).mean(2)[:, 0].numpy()


def test_features_are_masked_means_in_the_order_of_the_texts():
    model = bert(0)
    found = layers.stage_features(TEXTS, {"public": model}, letters, batch_size=2)["public"]
    assert found.shape == (4, 5, 16) and found.dtype == np.float32
    for i, text in enumerate(TEXTS):
        assert np.allclose(found[:, i], alone(text, model), atol=1e-5)
    with pytest.raises(ValueError, match="no texts"):
        layers.stage_features([], {"public": model}, letters)


def test_features_that_are_the_same_but_for_rounding_are_the_same():
    public, collapsed = bert(0), bert(0)
    with torch.no_grad():
        last = collapsed.encoder.layer[-1].output.LayerNorm
        last.weight.fill_(1e-8)
        last.bias.normal_()
    stages = {"public": public, "tuned": collapsed}
    found = layers.stage_features(TEXTS, stages, letters, batch_size=2)
    assert np.ptp(alone(TEXTS[0], collapsed)[-1] - alone(TEXTS[1], collapsed)[-1]) > 0
    assert (found["tuned"][-1] == found["tuned"][-1, :1]).all()
    assert np.allclose(found["tuned"][-1, 0], last.bias.detach().numpy(), atol=1e-6)
    assert np.array_equal(found["tuned"][:-1], found["public"][:-1])
    assert diagnostics.effective_rank(found["public"][-1]) > 1


def test_texts_are_cut_where_the_encoder_has_no_more_positions(monkeypatch):
    monkeypatch.setattr(letters, "model_max_length", 5)
    model = bert(0)
    found = layers.stage_features(TEXTS, {"public": model}, letters)["public"]
    assert np.allclose(found[:, 2], alone(TEXTS[2][:5], model), atol=1e-5)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_are_shared_bit_for_bit_and_the_others_are_the_stages_own(frozen):
    public, trained = bert(0), bert(0)
    with torch.no_grad():
        for layer in trained.encoder.layer[frozen:]:
            layer.output.dense.weight *= 30
    found = layers.stage_features(
        TEXTS, {"public": public, "tuned": top(trained, frozen)}, letters, frozen, batch_size=2
    )
    assert np.array_equal(found["tuned"][: frozen + 1], found["public"][: frozen + 1])
    assert not any(np.allclose(found["tuned"][k], found["public"][k]) for k in range(frozen + 1, 4))
    for i, text in enumerate(TEXTS):
        assert np.allclose(found["tuned"][:, i], alone(text, trained), atol=1e-5)


@pytest.mark.parametrize("changed", [False, True])
def test_lower_layers_that_an_arm_changed_are_its_checkpoint_s(tmp_path, monkeypatch, changed):
    """With layer 1 of the checkpoint moved, as merged adapters move it, all layers are its own."""
    models = {"public": bert(0), "intermediate": bert(0)}
    with torch.no_grad():
        if changed:
            models["intermediate"].encoder.layer[0].output.dense.weight *= 30
        models["intermediate"].encoder.layer[2].output.dense.weight *= 30
    folders = {"public": tmp_path / "encoder", "intermediate": tmp_path / "run" / "checkpoint"}
    names = {folder: name for name, folder in folders.items()}
    monkeypatch.setattr(layers, "load_encoder", lambda folder: (models[names[folder]], letters))
    prepared = SimpleNamespace(
        folder=tmp_path, frozen_layers=lambda _: 2, encoder=lambda folder: models[names[folder]]
    )
    records.write_json(
        tmp_path / "run" / "run.json", {"metrics": {"lower_layers_changed": changed}}
    )
    monkeypatch.setattr(
        layers.records, "read", lambda folder: json.loads((folder / "run.json").read_bytes())
    )
    found, shared = layers.load_features(TEXTS, folders, prepared)
    assert shared == (0 if changed else 2)
    for stage, model in models.items():
        for i, text in enumerate(TEXTS):
            assert np.allclose(found[stage][:, i], alone(text, model), atol=1e-4)
    same = [np.array_equal(*layer) for layer in zip(*found.values(), strict=True)]
    assert same == [True, not changed, not changed, False]


def test_documents_are_never_in_both_halves_of_any_probe(stages, monkeypatch):
    sentence, halves = np.tile(np.arange(40), 3), []
    split = probes._halves
    monkeypatch.setattr(probes, "_halves", lambda *a: halves.append((a[2], split(*a))) or split(*a))
    layers.measure_layers({"public": stages["public"]}, LANGUAGES, 0, sentence)
    assert len(halves) == 6  # two probes and the A-distance, of two layers
    for documents, (fit, test) in halves:
        assert not set(documents[fit]) & set(documents[test])
        assert set(documents) == set(documents[fit]) | set(documents[test])


@pytest.fixture(scope="module")
def stages() -> dict[str, np.ndarray]:
    """Two stages of two layers: layer 1 differs, and hides the language in the second stage."""
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(2, 120, 32)) + 6 * np.repeat(np.eye(3, 32), 40, axis=0)
    return {"public": apart, "intermediate": np.stack([apart[0], rng.normal(size=(120, 32))])}


LANGUAGES = np.repeat(["de", "en", "fr"], 40)


def test_layer_table_holds_what_the_single_measures_say(stages):
    table = layers.measure_layers(stages, LANGUAGES, seed=3).set_index(["stage", "layer"])
    x = stages["intermediate"][1]
    row, linear = table.loc["intermediate", 1], probes.language_probe(x, LANGUAGES, 3)
    mlp = probes.language_probe(x, LANGUAGES, 3, "mlp")
    assert (row.accuracy, row.low, row.high, row.chance, row.control, row.n_test) == (
        linear.accuracy, linear.low, linear.high, linear.chance, linear.control, linear.n_test
    )  # fmt: skip
    assert (row.mlp_accuracy, row.mlp_selectivity, row.mlp_converged) == (
        mlp.accuracy,
        mlp.selectivity,
        mlp.converged,
    )
    assert row["rank"] == pytest.approx(diagnostics.effective_rank(x))
    assert row.norm == pytest.approx(np.linalg.norm(x, axis=1).mean())
    assert row.cka == pytest.approx(similarity.cka(x, stages["public"][1]))
    assert row.a_distance == probes.a_distance(x[40:80], np.delete(x, np.s_[40:80], axis=0), 3)
    for name in ("accuracy", "mlp_accuracy", "norm", "rank", "cka"):
        low, high = (
            ("low", "high")
            if name == "accuracy"
            else (f"{name.removesuffix('_accuracy')}_{end}" for end in ("low", "high"))
        )
        assert row[low] <= row[name] <= row[high] and row[low] < row[high]


def test_layer_table_says_that_the_language_went_and_repeats_what_did_not_move(stages):
    table = layers.measure_layers(stages, LANGUAGES)
    last = table[table.layer == 1].set_index("stage")
    for prefix in ("", "mlp_"):
        assert last.loc["intermediate", f"{prefix}high"] < last.loc["public", f"{prefix}low"]
    assert last.cka["public"] == pytest.approx(1) and last.cka["intermediate"] < 0.3
    first = table[table.layer == 0].drop(columns="stage")
    assert first.iloc[0].equals(first.iloc[1])
    assert list(table.stage) == ["public"] * 2 + ["intermediate"] * 2
    assert not table.isna().any().any()


NOT_ESTIMABLE = ["language_share", "cka", "cka_low", "cka_high"]


@pytest.mark.filterwarnings("error")
def test_a_layer_that_collapsed_is_recorded(stages):
    public, x = stages["public"], stages["intermediate"][1]
    one_language = x.copy()
    one_language[LANGUAGES == "fr"] = x[0]
    collapsed = np.stack([np.tile(x[0], (120, 1)), x[:3].repeat(40, axis=0)])
    stages = {"public": public, "intermediate": collapsed}
    stages["fine-tuned"] = np.stack([public[0], one_language])
    table = layers.measure_layers(stages, LANGUAGES).set_index(["stage", "layer"])
    gone, apart = table.loc["intermediate", 0], table.loc["intermediate", 1]
    assert gone.index[gone.isna()].tolist() == NOT_ESTIMABLE
    assert gone.accuracy == gone.mlp_accuracy == gone.chance and gone.mlp_converged
    assert gone["rank"] == gone.rank_high == gone.a_distance == 0
    assert gone.norm == pytest.approx(np.linalg.norm(x[0]))
    assert apart.accuracy == apart.language_share == 100 and apart["rank"] < 2.1
    assert apart.notna().all() and table.drop(index=("intermediate", 0)).notna().all(axis=None)
    nothing = pd.DataFrame(columns=layers.PARALLEL)
    assert layers.collapsed(table.reset_index(), nothing) == [
        "intermediate, layer 0: collapsed features, effective rank 0.0; not estimable: "
        "language_share, cka, distances of languages",
        f"intermediate, layer 1: collapsed features, effective rank {apart['rank']:.1f}; "
        "not estimable: distances of languages",
    ]


def parallel() -> tuple[pd.DataFrame, np.ndarray]:
    """Six sentences in English, five of them in fr, four in de; features (1, 15, 8) where fr is a
    copy and de is noise.
    """
    rng = np.random.default_rng(1)
    ids = {"fr": list("abcde"), "en": list("fedcba"), "de": list("cdef")}
    rows = [(i, language) for language, own in ids.items() for i in own]
    english = {i: rng.normal(size=8) for i in "abcdef"}
    x = np.stack([rng.normal(size=8) if language == "de" else english[i] for i, language in rows])
    return pd.DataFrame(rows, columns=["id", "language"]), x[None]


def test_translations_are_paired_by_id_and_seen_languages_come_first():
    texts, x = parallel()
    table = layers.measure_translations({"public": x, "tuned": x}, texts, seen=["en", "fr"])
    assert table.language.tolist() == ["fr", "fr", "de", "de"]
    assert table.stage.tolist() == ["public", "tuned"] * 2
    assert table.seen.tolist() == [True, True, False, False] and table.n.tolist() == [5, 5, 4, 4]
    french, german = table[table.language == "fr"].iloc[0], table[table.language == "de"].iloc[0]
    assert french.cosine == pytest.approx(1)
    assert french.cka == pytest.approx(1)
    assert german.cosine < 0.9
    assert layers.measure_translations({"public": x}, texts, []).language.tolist() == ["de", "fr"]
    # de has 3 left
    assert layers.measure_translations({"public": x}, texts.iloc[:-1], []).language.tolist() == [
        "fr"
    ]
    nothing = layers.measure_translations({"public": x[:, :0]}, texts.iloc[:0], [])
    assert nothing.empty and list(nothing.columns) == list(table.columns)


@pytest.mark.filterwarnings("error")
def test_translations_whose_features_collapsed_are_recorded():
    texts, x = parallel()
    french = x.copy()
    french[0, texts.language == "fr"] = x[0, 0]
    stages = {"public": x, "intermediate": french, "fine-tuned": 0 * x}
    table = layers.measure_translations(stages, texts, [])
    lost = table[table.isna().any(axis=1)].set_index(["stage", "language"])
    languages = [("fine-tuned", "de"), ("intermediate", "fr"), ("fine-tuned", "fr")]
    assert lost.index.tolist() == languages
    french = lost.loc["intermediate", "fr"]
    assert french.index[french.isna()].tolist() == ["cka"] and french.gap == pytest.approx(0)
    assert lost.loc["fine-tuned"].gap.isna().all() and lost.n.tolist() == [4, 5, 5]
    estimable = {"layer": 0, "rank": 5.0, "language_share": 50.0, "cka": 1.0}
    measured = pd.DataFrame([{"stage": stage} | estimable for stage in stages])
    assert layers.collapsed(measured, table) == [
        f"{stage}, layer 0: collapsed features, effective rank 5.0; not estimable: "
        f"cka of translations ({languages})"
        for stage, languages in {"intermediate": "fr", "fine-tuned": "de, fr"}.items()
    ]


def test_translations_refuse_what_cannot_be_paired():
    texts, x = parallel()
    with pytest.raises(ValueError, match="no English, found de, fr"):
        layers.measure_translations({"public": x}, texts[texts.language != "en"], [])
    with pytest.raises(ValueError, match="none of de shares 4"):
        layers.measure_translations({"public": x}, texts.iloc[5:-1], [])
    with pytest.raises(ValueError, match="twice"):
        layers.measure_translations({"public": x}, pd.concat([texts, texts[:1]]), [])


@pytest.mark.parametrize(("target", "format"), [("", ""), ("intent", "classification"),
                                                ("panx", "tagging")])  # fmt: skip
def test_the_last_layer_is_as_an_arm_that_erases_language_hands_it_on(monkeypatch, target, format):
    """Before fine-tuning as for retrieval, after it as the target's head gets it."""
    fitted = []

    def fit(prepared, encoder, layer, tokens):
        fitted.append(tokens)
        return SimpleNamespace(vectors=lambda x: x + (200 if tokens else 100))

    monkeypatch.setattr(layers, "fit_erasure", fit)
    start = SimpleNamespace(encoder=lambda checkpoint: checkpoint)
    monkeypatch.setattr(layers, "starting_point", lambda job, prepared: (start, "checkpoint"))
    prepared = SimpleNamespace(head=lambda name: (format, 3))
    stages = ["public", "intermediate"] + ["fine-tuned"] * bool(target)
    job = {"arm": "leace-dann", "probe_target": target}
    features = {stage: np.zeros((3, 4, 2)) for stage in stages}
    assert layers.erased(features, job | {"arm": "dann"}, prepared) is features and not fitted
    assert not any(x.any() for x in features.values())
    found = layers.erased(features, job, prepared)
    assert not any(x[:-1].any() for x in found.values()) and not found["public"].any()
    assert (found["intermediate"][-1] == 100).all()
    assert sorted(fitted) == ([False, True] if format == "tagging" else [False])
    if target:
        assert (found["fine-tuned"][-1] == (200 if format == "tagging" else 100)).all()
