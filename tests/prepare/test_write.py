"""01's choices: parallel where they must be, disjoint where they must be, the same every time."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModel, AutoTokenizer

from small_encoders import bert_tokenizer, build
from small_study import job, prepare
from xgrl.evaluation import predict, readout
from xgrl.models.encoder import load_encoder
from xgrl.models.heads import mean_pool
from xgrl.models.split import hidden_states, prefix
from xgrl.models.task_model import TaskModel
from xgrl.prepare import leaks, select_rows
from xgrl.prepare.folder import Prepared, frozen_layers
from xgrl.prepare.study import prepare_study
from xgrl.prepare.write import encode_all
from xgrl.runs import records


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("prepared"))


def test_the_same_parameters_prepare_the_same_bytes(prepared, tmp_path):
    assert prepare(tmp_path, workers=2).contents == prepared.contents
    assert prepare(tmp_path / "other", master_seed=1).contents != prepared.contents


def test_parallel_targets_share_ids_over_languages(prepared):
    english = set(prepared.corpus("target/sentiment/test-en").ids)
    assert len(english) == 15
    for language in prepared.languages("sentiment"):
        assert set(prepared.corpus(f"target/sentiment/test-{language}").ids) == english
    queries = prepared.corpus("target/emoji-names/queries-de")
    assert set(queries.ids) <= set(prepared.corpus("target/emoji-names/candidates").ids)


def test_no_text_is_in_two_splits():
    corpora, _ = select_rows.gather(job())
    for task in ("sentiment", "intent"):
        train, dev, test = (
            set(corpora[f"target/{task}/{split}"]["text"]) for split in ("train", "dev", "test-en")
        )
        assert not train & dev and not train & test and not dev & test


def test_a_planted_leak_is_found_and_dropped_from_training_only():
    corpora, _ = select_rows.gather(job())
    planted = corpora["target/sentiment/test-en"]["text"][3]
    rows = corpora["intermediate/sarcasm/train"]
    spoiled = Dataset.from_list(
        [*rows, rows[0] | {"id": "planted", "text": f"  {planted.upper()}! "}],
        features=rows.features,
    )
    cleaned, table = leaks.drop_leaked(corpora | {"intermediate/sarcasm/train": spoiled})
    assert "planted" not in cleaned["intermediate/sarcasm/train"]["id"]
    assert set(table.loc[table["exact"] > 0, "train"]) == {"intermediate/sarcasm/train"}
    assert (
        cleaned["target/sentiment/test-en"]["text"] == corpora["target/sentiment/test-en"]["text"]
    )


def test_unlabelled_text_is_matched_in_length_and_apart_from_the_probes():
    _, tokenizer = load_encoder("tiny")
    values = job()
    training_rows, probing = select_rows.choose_unlabelled(values, tokenizer, np.arange(5, 12))
    assert not set(training_rows["id"]) & set(probing["id"])
    frame = training_rows.to_pandas()
    assert frame.groupby("language").size().eq(values["unlabelled_rows"]).all()
    frame["length"] = encode_all({"unlabelled": training_rows}, tokenizer, 32)[
        "unlabelled"
    ].tokens.lengths
    means = frame.groupby("language")["length"].mean()
    assert means.max() - means.min() < 0.5
    with pytest.raises(ValueError, match="unlabelled_rows"):
        select_rows.choose_unlabelled(job(unlabelled_rows=100_000), tokenizer, np.arange(5, 12))


def test_probes_get_no_translation_and_no_neighbour_of_the_discriminator_s_text(tmp_path):
    """Of files whose line n is the same sentence in every language, each with some left out."""
    (tmp_path / "unlabelled").mkdir()
    for number, language in enumerate(("en", "de", "fr")):
        lines = (f"Sentence {k} of {language} {'x ' * (k % 7)}." for k in range(700))
        kept = [line if k % 5 != number else "" for k, line in enumerate(lines)]
        (tmp_path / "unlabelled" / f"{language}.txt").write_text("\n".join(kept))
    values = job(sources={"default": ["files"]}, path=str(tmp_path), unlabelled_rows=200)
    values |= {"unlabelled_languages": ["en", "de", "fr"], "probe_rows": 40, "targets": []}
    _, tokenizer = load_encoder("tiny")
    parts = select_rows.choose_unlabelled(values, tokenizer, np.arange(5, 12))
    blocks = [{int(id.rsplit("-", 1)[1]) // 10 for id in part["id"]} for part in parts]
    assert not blocks[0] & blocks[1]
    for part, rows in zip(parts, (200, 40), strict=True):
        assert part.to_pandas().groupby("language").size().to_dict() == dict.fromkeys(
            ("en", "de", "fr"), rows
        )
    again = select_rows.choose_unlabelled(values, tokenizer, np.arange(5, 12))
    assert [part["id"] for part in again] == [part["id"] for part in parts]


def test_texts_longer_than_the_encoder_takes_are_refused():
    _, tokenizer = load_encoder("tiny")
    with pytest.raises(ValueError, match=r"max_length=4096.*at most 128"):
        encode_all({"unlabelled": Dataset.from_dict({"text": ["a"]})}, tokenizer, 4096)


def test_hidden_states_are_those_of_the_frozen_layers(prepared):
    corpus = prepared.corpus("target/intent/dev")
    encoder = prepared.encoder()
    lower = prefix(encoder, prepared.frozen_layers(encoder))
    text = torch.from_numpy(np.array(corpus.tokens[4], dtype=np.int64))[None]
    with torch.no_grad():
        expected = (
            lower(input_ids=text, attention_mask=torch.ones_like(text)).last_hidden_state[0].numpy()
        )
    start, stop = corpus.tokens.offsets[4:6]
    np.testing.assert_allclose(corpus.hidden[start:stop], expected, atol=1e-5)


def test_training_all_layers_needs_no_hidden_states(tmp_path):
    everything = prepare(tmp_path, trained_layers=-1)
    assert everything.corpus("target/intent/dev").hidden is None
    model = TaskModel(
        everything.trainable(everything.encoder()), torch.nn.Identity(), torch.nn.Identity()
    )
    assert readout.features(model, everything.corpus("target/intent/dev")).shape == (20, 32)


@pytest.mark.parametrize(("trained", "layers", "frozen"), [(-1, 12, 0), (12, 12, 0), (2, 12, 10)])
def test_frozen_layers(trained, layers, frozen):
    assert frozen_layers(trained, layers) == frozen
    for bad in (0, 13):
        with pytest.raises(ValueError, match=f"trained_layers={bad}"):
            frozen_layers(bad, 12)


def test_what_was_not_prepared_is_named(prepared, tmp_path):
    with pytest.raises(ValueError, match="not finished"):
        Prepared.of(tmp_path, "smoke")
    with pytest.raises((ValueError, FileNotFoundError), match="nli"):
        prepared.corpus("intermediate/nli/train")


def test_retrieval_in_both_directions(prepared):
    model = TaskModel(
        prepared.trainable(prepared.encoder()), torch.nn.Identity(), torch.nn.Identity()
    )
    for target in ("emoji-names", "wikilingua"):
        frame, scores, _ = predict.predict(model, prepared, target)
        assert set(frame["example_id"].str.rsplit(" ", n=1).str[1]) == {"xx-en", "en-xx"}
        for language, rows in frame.groupby("language"):
            queries = prepared.corpus(f"target/{target}/queries-{language}")
            assert len(rows) == 2 * len(queries.ids) and set(rows["gold"]) == set(queries.ids)
        assert (frame["score"] == 100.0 * (frame["gold"] == frame["prediction"])).all()
        summary = predict.summarise(frame, scores)
        assert summary["english"] is None
        assert summary["macro"] == pytest.approx(frame.groupby("language")["score"].mean().mean())


def test_another_target_changes_only_its_own_part_and_older_checkpoints_still_fit(
    prepared, tmp_path
):
    fewer = prepare(tmp_path, targets=["intent"])
    changed = {part for part, found in fewer.contents.items() if prepared.contents[part] != found}
    assert changed <= {"vocabulary", "texts"} and "vocabulary" in changed
    assert set(prepared.contents) - set(fewer.contents) == {
        f"target/{x}" for x in ("sentiment", "emoji-names", "wikilingua")
    }
    checkpoint = prepared.encoder(fewer.folder / "encoder")
    texts, before = prepared.corpus("target/intent/dev"), fewer.corpus("target/intent/dev")
    assert not np.array_equal(texts.tokens.ids, before.tokens.ids)  # numbered anew
    found, expected = (hidden_states(model, corpus.tokens, np.arange(9))[0] for model, corpus in
                       ((checkpoint, texts), (fewer.encoder(), before)))  # fmt: skip
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert checkpoint.config.pad_token_id == prepared.encoder().config.pad_token_id


def test_a_run_whose_data_changed_is_refused_and_one_whose_did_not_is_not(prepared, tmp_path):
    fewer = prepare(tmp_path, targets=["intent"])
    run = {"parameters": {"study": "smoke"}, "metrics": {}, "started": 0.0, "phase": "intermediate"}
    records.finish(
        tmp_path / "a", inputs=fewer.inputs("intermediate", tasks=["sarcasm"], arm="dann"), **run
    )
    assert prepared.verify_run(tmp_path / "a")["phase"] == "intermediate"
    records.finish(
        tmp_path / "a",
        inputs=prepare(tmp_path / "b", master_seed=1).inputs("target", target="intent"),
        **run,
    )
    with pytest.raises(ValueError, match="trained on another 'target/intent'"):
        prepared.verify_run(tmp_path / "a")


@pytest.mark.parametrize("trained", [-1, 2])
@torch.no_grad()
def test_two_texts_give_what_plain_transformers_give_them(tmp_path, trained):
    folder, longest = tmp_path / "encoder", 40
    build("bert").save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    small = {"train_rows": 12, "dev_rows": 8, "test_rows": 6, "probe_rows": 5, "workers": 1}
    names = {"intermediate": ["mnli"], "targets": ["xnli", "xcopa", "xquad"]}
    settings = small | names | {"languages": ["en", "zh"], "trained_layers": trained}
    settings |= {"outputs": str(tmp_path), "encoder": str(folder), "max_length": longest}
    prepared = prepare_study(job(**settings))
    corpora, _ = select_rows.gather(job(**settings))
    plain = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options = {"truncation": True, "max_length": longest, "return_tensors": "pt"}
    windows = options | {"truncation": "only_second", "stride": longest // 4, "padding": True}
    windows |= {"return_overflowing_tokens": True}

    def means(first: str, second: str, columns: str) -> list[np.ndarray]:
        if columns.startswith("question"):
            first = tokenizer.decode(tokenizer(first)["input_ids"][1 : 1 + longest // 3])
            out = tokenizer(first, second, **windows)
            out.pop("overflow_to_sample_mapping")
        else:
            out = tokenizer(first, second, **options)
        return [
            mean_pool(plain(**inputs).last_hidden_state, out["attention_mask"]).numpy()
            for inputs in (out, {k: v for k, v in out.items() if k != "token_type_ids"})
        ]

    stages = {"intermediate/mnli/dev": "text text_pair", "target/xnli/test-zh": "text text_pair"}
    stages |= {"target/xcopa/test-zh": "prompt choices", "target/xquad/test-zh": "question context"}
    for name, columns in stages.items():
        first, second = columns.split()
        texts = [
            (row[first], text)
            for row in corpora[name]
            for text in (row[second] if second == "choices" else [row[second]])
        ]
        pairs = [means(*pair, columns) for pair in texts]
        expected, without = map(np.concatenate, zip(*pairs, strict=True))
        assert np.abs(expected - without).max() > 0.1
        assert (prepared.corpus(name).hidden is None) == (trained == -1)
        for source in (prepared, prepared.uncached()):
            model = TaskModel(source.trainable(source.encoder()), *[torch.nn.Identity()] * 2)
            found = readout.features(model, source.corpus(name))
            np.testing.assert_allclose(found, expected, atol=1e-5)
