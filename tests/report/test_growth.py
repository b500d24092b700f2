"""The analysis grows no faster than the study; counted in operations and bytes, not seconds."""

import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from simulate import simulate
from simulated_predictions import predictions
from xgrl import stats
from xgrl.report import load_study, robustness
from xgrl.stats import alignment, randomisation


def compact(seeds, items=400):
    """Predictions as a study holds them: categories, and right or wrong in one byte."""
    frame = predictions(seeds=seeds, items=items, languages=("de", "fr"), targets=("news",))
    frame["score"] = (100 * (frame.score > 60)).astype(np.int8)
    keys = [*alignment.KEYS]
    return frame[[*keys, "score"]].astype(dict.fromkeys(keys, "category"))


def peak(call, *arguments):
    tracemalloc.start()
    try:
        call(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_of_an_alignment_grows_with_the_predictions():
    few, many = compact(4), compact(16)
    small, large = (peak(alignment.align, rows, "standard", "dann") for rows in (few, many))
    assert large / small < 1.1 * len(many) / len(few)
    assert large < 40 * len(many)  # bytes a prediction


def test_one_byte_a_score_gives_what_floating_point_gives():
    rows = compact(3)
    one, other = (stats.compare(rows.assign(score=rows.score.astype(t))) for t in ("int8", float))
    assert one.summary() == other.summary()
    left, same = (
        robustness.leave_one_out(rows.assign(score=rows.score.astype(t)), "standard", "dann")
        for t in ("int8", float)
    )
    pd.testing.assert_frame_equal(left, same, check_exact=True)


@pytest.mark.parametrize("seeds", [2, 12])  # enumerated, and drawn
def test_leaving_blocks_out_draws_the_flips_once(seeds, monkeypatch):
    calls = Counter()
    flipped = randomisation._flipped_sums

    def counted(m, *arguments):
        calls["flips"] += 1
        return flipped(m, *arguments)

    rows = compact(seeds, items=20)
    monkeypatch.setattr(randomisation, "_flipped_sums", counted)
    left = robustness.leave_one_out(rows, "standard", "dann")
    assert calls["flips"] == 3  # all blocks, without one task, without one block
    monkeypatch.undo()
    blocks = stats.compare(rows).blocks.sort_values(
        ["intermediate", "seed"], key=lambda c: c.map(str)
    )
    alone = [stats.sign_flip(np.delete(blocks.m_b.to_numpy(), k)) for k in range(len(blocks))]
    assert left.p[left.kind == "block"].tolist() == pytest.approx(alone, abs=1e-12)


def test_a_simulated_study_flips_all_signs_only_while_they_are_few():
    m = np.random.default_rng(0).normal(0.3, 1, (20, 5))
    few = randomisation.sign_flip_columns(m, draws=4095)
    assert few == pytest.approx(randomisation.sign_flip_columns(m), abs=0.03)
    exact = randomisation.sign_flip_columns(m[:13], draws=4095)
    assert exact.tolist() == randomisation.sign_flip_columns(m[:13]).tolist()
    assert sum(map(len, randomisation._flipped_sums(m, 0, 4095))) == 4095


def test_what_is_kept_of_a_run_are_a_few_bytes_a_prediction(tmp_path):
    targets = {"sentiment": (("es", "fr"), 2000, 55.0, True, "accuracy")}
    data = load_study.collect(
        simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1), targets=targets)
    )
    assert data.predictions.score.dtype == np.int8
    bytes_of = data.predictions.memory_usage(deep=True, index=False)
    # codes alone: what the categories are called does not grow with the runs
    codes = sum(data.predictions[key].cat.codes.to_numpy().nbytes for key in alignment.KEYS)
    assert codes + bytes_of["score"] <= 10 * len(data.predictions)


def test_stretches_cut_rows_where_a_key_changes_and_nowhere_else():
    rows = compact(2, items=20)
    heads, lengths = alignment.stretches(rows, [*alignment.RUN, "language"])
    assert lengths.sum() == len(rows)
    for key in heads:
        assert (np.repeat(heads[key].to_numpy(), lengths) == rows[key].to_numpy()).all()
    shuffled = rows.sample(frac=1, random_state=0)
    heads, lengths = alignment.stretches(shuffled, ["arm"])
    assert (np.repeat(heads.arm.to_numpy(), lengths) == shuffled.arm.to_numpy()).all()
    assert stats.compare(shuffled).summary() == stats.compare(rows).summary()
