"""A prepared folder of the tiny encoder and synthetic data, for tests: all of notebook 01 but its
prose.
"""

from __future__ import annotations

import numpy as np

from xgrl.models.encoder import load_encoder
from xgrl.prepare import arm_texts, select_rows
from xgrl.prepare.folder import Prepared, frozen_layers
from xgrl.prepare.parts import write_contents
from xgrl.prepare.write import encode_all, heads, special_ids, write_prepared, write_texts
from xgrl.runs import params, records

SMALL = {
    "targets": ["sentiment", "intent", "emoji-names", "wikilingua"],
    "train_rows": 60,
    "dev_rows": 20,
    "test_rows": 15,
    "retrieval_rows": 15,
    "unlabelled_rows": 30,
    "probe_rows": 10,
}


def job(**changes) -> dict:
    return params.validate("01_prepare", SMALL | changes)


def prepare(folder, **changes) -> Prepared:
    values = job(outputs=str(folder), **changes)
    home = records.run_folder(folder, values["study"], "prepare")
    started = records.start(home, values["study"])
    model, tokenizer = load_encoder(values["encoder"])
    corpora, left_out = select_rows.gather(values)
    corpora, _ = select_rows.drop_leaked(corpora)
    encoded = encode_all(corpora, tokenizer, values["max_length"])
    labelled = [
        c.tokens.lengths
        for name, c in encoded.items()
        if name.startswith("intermediate/") and "train" in name
    ]
    lengths = np.concatenate(labelled)
    unlabelled, _ = select_rows.choose_unlabelled(values, tokenizer, lengths)
    domain = values["unlabelled_languages"]
    unlabelled = unlabelled.add_column(
        "label", [domain.index(language) for language in unlabelled["language"]]
    )
    parallel_texts = arm_texts.choose_parallel(values, corpora)
    more = arm_texts.text_of_arms(values, corpora, unlabelled, parallel_texts, tokenizer, lengths)
    more = {"unlabelled": unlabelled} | more
    corpora |= more
    encoded |= encode_all(more, tokenizer, values["max_length"])
    frozen = frozen_layers(values["trained_layers"], model.config.num_hidden_layers)
    write_prepared(
        home, model, tokenizer, values["encoder"], corpora, encoded, frozen, values["workers"]
    )
    write_texts(home / "parallel_texts.parquet", parallel_texts)
    metrics = {
        "special_ids": special_ids(home, tokenizer),
        "text_languages": arm_texts.text_languages(values),
        "languages": {
            t: select_rows.target_languages(t, values["languages"]) for t in values["targets"]
        },
        "heads": heads(corpora),
        "contents": write_contents(home, corpora, heads(corpora)),
    }
    records.finish(
        home,
        phase="prepare",
        parameters=values,
        metrics=metrics,
        started=started,
        warnings=left_out,
    )
    return Prepared.of(folder, values["study"])
