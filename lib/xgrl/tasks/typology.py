"""How far languages are from English: distances of URIEL (Littell et al. 2017, EACL, aclanthology
E17-2002).

Read from the data files of the package lang2vec (CC BY-SA 4.0); nothing of it is installed or run.

* syntactic, phonological, inventory: 1 - cos(a, b) of the binary features of two languages, in
  which values that no source states are predicted from similar languages (``syntax_knn``,
  ``phonology_knn``, ``inventory_knn``);
* genetic: 1 - cos(a, b) of the memberships in language families and their branches (``fam``, from
  Glottolog);
* geographic: the great-circle distance as a share of the longest possible one, half the Earth's
  circumference. The vector (``geo``) holds such distances to 299 fixed points, and so the largest
  difference of two vectors, max |a - b|, is a lower bound of it, which a point on the line beyond
  either language attains. A language is one point: Russian lies in Siberia.

URIEL's own distances are cosine ones; if the published took cosine or angle is unclear (Toossi et
al. 2024, arXiv 2405.11125). The angle grows with 1 - cos, so their order is the same.

Languages are named by ISO 639-3 through the package's own table of two-letter codes; a variant
(pt-BR, zh-TW, sr-Latn) is its language. A distance is NaN where a language has no entry: no family
is there for eu (which has no relatives), nb and qu.
"""

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from xgrl.tasks.sources.packages import read_json, read_member

DISTANCES = ("syntactic", "phonological", "inventory", "geographic", "genetic")
KNN = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_"}  # prefixes of features
FILES = dict.fromkeys(KNN, "feature_predictions")
FILES |= {"geographic": "geocoord_features", "genetic": "family_features"}


def distances(languages: Sequence[str], reference: str = "en") -> pd.DataFrame:
    """Distances of languages (codes as in the tables of tasks) to one of them, the reference: one
    row a language, in the order given: language and the five DISTANCES, from 0 to 1, NaN where
    unknown. SourceError: the package is unavailable.
    """
    rows = [[_distance(kind, code, reference) for kind in DISTANCES] for code in languages]
    table = pd.DataFrame(rows, columns=DISTANCES)
    table.insert(0, "language", list(languages))
    return table


def iso_639_3(language: str) -> str:
    """The three-letter code of a language or variant; a code that is not known, as it is."""
    base = language.partition("-")[0]
    return _codes().get(base, base)


def _distance(kind: str, language: str, reference: str) -> float:
    a, b = (_vector(kind, iso_639_3(code)) for code in (language, reference))
    if not a.any() or not b.any():
        return float("nan")
    if kind == "geographic":
        return float(np.abs(a - b).max())
    return float(max(0.0, 1 - a @ b / np.sqrt((a @ a) * (b @ b))))


def _vector(kind: str, code: str) -> np.ndarray:
    """The features (f,) of one language, none where it is not in the file."""
    vectors, names = _file(FILES[kind])
    vector = vectors.get(code, np.zeros(len(names)))
    return vector[np.char.startswith(names, KNN[kind])] if kind in KNN else vector


@cache
def _codes() -> dict[str, str]:
    return read_json("lang2vec", "lang2vec/data/letter_codes.json")


@cache
def _file(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One file of one source: the features (f,) of each language, and their names (f,)."""
    content = io.BytesIO(read_member("lang2vec", f"lang2vec/data/{name}.npz"))
    with np.load(content, allow_pickle=False) as file:
        values = file["data"][:, :, 0].astype(float)
        return dict(zip(file["langs"].tolist(), values, strict=True)), file["feats"]
