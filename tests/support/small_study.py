"""A prepared folder of the tiny encoder and synthetic data, for tests."""

from xgrl.prepare.folder import Prepared
from xgrl.prepare.study import prepare_study
from xgrl.runs import params

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
    return prepare_study(job(outputs=str(folder), **changes))
