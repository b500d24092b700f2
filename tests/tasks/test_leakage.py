"""`xgrl.tasks.leakage`: what comparing every pair would find is found, and no more."""

import itertools
import unicodedata

import numpy as np
import pytest

from xgrl.tasks.leakage import SHORT, WORD, distinct, leakage, near_pairs, normalise


def jaccard(a: str, b: str) -> float:
    a, b = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (a, b))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("alphabet", ["abcde", "漢字仮名交", "กขคงจ"])
def test_near_pairs_finds_exactly_what_comparing_all_pairs_finds(alphabet):
    random = np.random.default_rng(3)
    words = ["".join(random.choice(list(alphabet), size=random.integers(1, 7))) for _ in range(12)]
    base = [" ".join(random.choice(words, size=random.integers(3, 16))) for _ in range(60)]
    edited = [
        " ".join(w if random.random() < 0.92 else random.choice(words) for w in text.split())
        for text in base
    ]
    found = set(zip(*(index.tolist() for index in near_pairs(base, edited)), strict=True))
    long = [[len(WORD.findall(text)) >= SHORT for text in texts] for texts in (base, edited)]
    wanted = {
        (i, j)
        for i, j in itertools.product(range(60), range(60))
        if long[0][i] and long[1][j] and jaccard(base[i], edited[j]) >= 0.8
    }
    assert found == wanted and len(wanted) > 10


def test_leakage_counts_exact_and_near_and_leaves_short_texts_to_exact():
    train = {
        "t": [
            "The cat sat on the mat, quietly!",
            "A short one",
            "Quite another sentence altogether",
            "...",
        ]
    }
    test = {
        "exact": ["the cat sat on the mat - QUIETLY", "nothing of the kind is in there", "..."],
        "near": ["The cat sat on the mats, quietly", "A short one too"],
        "short": ["a short one!"],
        "none": [],
    }
    table, leaked = leakage(train, test)
    table = table.set_index("test")
    assert table["exact"].to_dict() == {"exact": 1, "near": 0, "short": 1, "none": 0}
    assert table["near"].to_dict() == {"exact": 0, "near": 1, "short": 0, "none": 0}
    assert table.loc["near", "examples"] == [
        "The cat sat on the mat, quietly! | The cat sat on the mats, quietly"
    ]
    table, leaked_in_some = leakage(train, test, near_in={"short"})
    assert table["near"].sum() == 0 and leaked_in_some["t"].sum() == 2 < leaked["t"].sum() + 1
    kept = [text for text, found in zip(train["t"], leaked["t"], strict=True) if not found]
    assert kept == ["Quite another sentence altogether", "..."]
    assert leakage({"kept": kept}, test)[0][["exact", "near"]].to_numpy().sum() == 0


def test_distinct_keeps_the_first_of_each_group_and_joins_groups_through_translations():
    english = [
        "I recommend this hotel to all",
        "i recommend this hotel to all!",
        "I recommend this hotel to alls",
        "Go",
        "Leave",
        "",
        "!",
    ]
    german = ["a", "b", "c", "Geh", "geh!", "d", "e"]
    assert distinct(english).tolist() == [0, 3, 4]
    assert distinct(english, german).tolist() == [0, 3]
    assert distinct(english, german[:4]).tolist() == [0, 3, 4]


def test_normalise_folds_width_case_and_punctuation():
    assert normalise(" Ｈｅｌｌｏ,\u00a0 WORLD_!") == "hello world" and normalise("...") == ""


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("लड़का स्कूल जाता है और खाना खाता है।", "लड़की स्कूल जाती है और खाना खाती है।", 8),
        ("বাতি জ্বালাও", "বাতি জ্বেলো", 2),
        ("விளக்கு எரிகிறது.", "விளக்கை எரிகிறது.", 2),
        ("กิน", "กัน", 1),
        ("ကား", "ကီး", 1),
        ("كَتَبَ الولد", "كُتِبَ الولد", 2),
        ("a\u0331 b", "a b", 2),
    ],
)
def test_texts_that_differ_in_a_vowel_sign_or_another_mark_differ(one, other, words):
    assert normalise(one) != normalise(other)
    assert [len(WORD.findall(normalise(text))) for text in (one, other)] == [words, words]
    train, test = {"t": [one, "something else"]}, {"x": [other]}
    assert leakage(train, test)[0]["exact"].sum() == 0
    assert distinct(["a", "b"], [one, other]).tolist() == [0, 1]


def test_what_is_kept_is_letters_marks_and_numbers_and_a_mark_needs_a_letter():
    for char in map(chr, range(0x20000)):
        category, text = unicodedata.category(char), f"a{char}b"
        stable = unicodedata.normalize("NFKC", text).casefold() == text
        if stable and category not in ("Cn", "Co", "Cs"):  # a newer Unicode assigns some
            wanted = text if category[0] in "LMN" else "a b"
            assert normalise(text) == wanted, f"{ord(char):x} {category}"
    assert normalise("great \u2764\ufe0f!") == "great" and normalise("\u2764\ufe0f") == ""
