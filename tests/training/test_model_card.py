"""Model cards: the Hub reads them, they say which run made the weights, and the weights load as the
card says.
"""

import re

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModel

import small_study
from xgrl.models.encoder import save_checkpoint
from xgrl.runs import params, records
from xgrl.training import model_card

METRICS = {
    "dev_accuracy": 84.4,
    "learned": True,
    "majority_accuracy": 51.2,
    "steps": 20,
    "train_seconds": 987.654,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return small_study.prepare(tmp_path_factory.mktemp("cards"), languages=["en", "de"])


def job(notebook: str, **values: object) -> dict:
    return params.validate(notebook, {"study": "smoke", "arm": "dann", "seed": 4} | values)


def squeezed(text: str) -> str:
    """Without the padding of tables."""
    return re.sub(" +", " ", text)


def trained(prepared):
    """The prepared encoder with weights that training has moved."""
    model = prepared.encoder()
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias += 1
    return model


def written(prepared, folder, card=None):
    kept = np.load(prepared.folder / "encoder" / "kept_ids.npy")
    return save_checkpoint(
        trained(prepared), folder, kept, prepared.record["parameters"]["encoder"], card
    )


def test_the_card_is_read_back_and_names_the_run(prepared, tmp_path):
    folder = written(
        prepared,
        tmp_path / "checkpoint",
        model_card.card(job("02_intermediate"), METRICS, prepared),
    )
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "feature-extraction"
    assert card.data.license == "mit" and card.data.language == ["en", "multilingual"]
    assert {"xgrl", "arm-dann", "task-sarcasm"} <= set(card.data.tags)
    assert card.data.model_name == "smoke: sarcasm.dann, seed 4"
    assert card.data.eval_results[0].metric_value == 84.4
    assert "| smoke | sarcasm | dann | 4 | – |" in card.text
    assert "| dev_accuracy | 84.40 |" in squeezed(card.text)
    assert "987" not in card.content  # nothing that differs between two runs of one job


def test_the_card_says_which_target_was_trained_instead(prepared):
    values = {"intermediate": "sarcasm", "target": "xquad", "train_from": "tydiqa"}
    metrics = {"dev_accuracy": 50.0, "macro": 40.0, "scores": {"de": 40.0}}
    text = model_card.card(job("03_target", **values), metrics, prepared).text
    assert "fine-tuned in English on *tydiqa* and tested on *xquad*." in text
    assert '"train_from": "tydiqa"' in text and "03 on tydiqa" in text
    own = model_card.card(job("03_target", **values | {"train_from": ""}), metrics, prepared).text
    assert "fine-tuned in English on *xquad*." in own and "train_from" not in own


def test_the_weights_load_as_the_card_says(prepared, tmp_path):
    bare = written(prepared, tmp_path / "bare")
    folder = written(
        prepared,
        tmp_path / "checkpoint",
        model_card.card(job("02_intermediate"), METRICS, prepared),
    )
    assert {path.name for path in folder.iterdir()} - {path.name for path in bare.iterdir()} == {
        "README.md"
    }
    assert records.hash_file(folder / "model.safetensors") == records.hash_file(
        bare / "model.safetensors"
    )
    plain, how = (
        None,
        ModelCard.load(folder / "README.md").text.split("## How to load")[1].split("\n## ")[0],
    )
    for code in re.findall(r"```python\n(.*?)```", how, re.S):
        exec(code.replace("FOLDER", str(folder)), found := {})
        plain = plain or found["model"]
    assert isinstance(plain, type(AutoModel.from_pretrained(folder)))
    rows = re.search(r"the ([\d,]+) rows", how).group(1).replace(",", "")
    assert len(plain.get_input_embeddings().weight) == int(rows)
    whole, tokenizer = found["model"], found["tokenizer"]
    assert len(whole.get_input_embeddings().weight) == len(tokenizer) > int(rows)
    for model in (plain, whole):
        pairs = zip(model.encoder.parameters(), trained(prepared).encoder.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    ids = tokenizer(["Guten Morgen"], return_tensors="pt")
    assert torch.isfinite(whole(**ids).last_hidden_state).all()
    assert found["vectors"].shape == (2, 32)


def test_a_target_s_card_has_its_scores_and_says_what_was_trained(prepared):
    metrics = {"dev_accuracy": 70.0, "macro": 55.5, "scores": {"en": 61.0, "de": 55.5}}
    text = str(model_card.card(job("03_target", target="intent"), metrics, prepared))
    assert "fine-tuned in English on *intent*" in text and "| test, de | 55.50 |" in squeezed(text)
    text = str(
        model_card.card(
            job("03_target", target="emoji-names"), metrics | {"dev_accuracy": None}, prepared
        )
    )
    assert "tested without further training on *emoji-names*" in text


def test_a_diverged_run_and_a_public_encoder_are_called_that(prepared):
    values = job("03_target", target="intent", arm="none", intermediate="none")
    card = model_card.card(
        values,
        {"dev_accuracy": None, "macro": None, "scores": {"de": None}},
        prepared,
        "loss is nan at step 3",
    )
    assert "This run diverged: loss is nan at step 3" in card.text
    assert "no intermediate task" in card.text


@pytest.mark.parametrize(
    ("base", "hub", "licence"),
    [
        ("embedded", "intfloat/multilingual-e5-small", "mit"),
        ("FacebookAI/xlm-roberta-large", "FacebookAI/xlm-roberta-large", "unknown"),
        ("/data/mine", None, "unknown"),
    ],
)
def test_the_base_encoder_as_the_hub_knows_it(prepared, monkeypatch, base, hub, licence):
    monkeypatch.setitem(prepared.record["parameters"], "encoder", base)
    data = model_card.card(job("02_intermediate"), METRICS, prepared).data
    assert (data.base_model, data.license) == (hub, licence)
