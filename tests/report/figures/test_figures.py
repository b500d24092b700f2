"""Figures: the same bytes for the same numbers, an interval on every estimate, no state left
behind.
"""

from __future__ import annotations

import json
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from simulate import simulate
from tiers import slow_except
from xgrl import stats
from xgrl.arms import ARMS
from xgrl.models.grl import lambda_at
from xgrl.report import by_language, figures, load_study, robustness, tables
from xgrl.report.figures import style
from xgrl.stats import calibration_tables


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    arms = ("none", "standard", "control", "dann", "dann-0.01", "centring")
    return load_study.collect(
        simulate(tmp_path_factory.mktemp("plots"), arms=arms, seeds=(0, 1, 2))
    )


@pytest.fixture(scope="module")
def comparison(study):
    return stats.compare(study.predictions)


@pytest.fixture(scope="module")
def drawn(study, comparison):
    rates = calibration_tables.verdicts(comparison, 50)
    calibrated = calibration_tables.calibration(
        calibration_tables.design(comparison), comparison.components.iloc[-1], 1.0, 50
    )
    arms = stats.against_baseline(
        study.predictions, "standard", ["control", "dann", "dann-0.01", "centring"]
    )
    gained = by_language.language_effects(study, "standard", "dann")
    return {
        "manipulation_check": lambda: figures.manipulation_check(study.runs),
        "curves": lambda: figures.curves(study.curves, 25.0),
        "forest": lambda: figures.forest(comparison.per_task, comparison.per_language, 1.0),
        "heatmap": lambda: figures.heatmap(comparison.per_language),
        "paired_blocks": lambda: figures.paired_blocks(
            comparison.blocks, "standard", "dann", comparison.theta, comparison.ci
        ),
        "probe_layers": lambda: figures.probe_layers(
            study.probes[study.probes.stage == "intermediate"]
        ),
        "language_map": lambda: figures.language_map(study.maps[study.maps.seed == 0]),
        "error_rates": lambda: figures.error_rates(calibrated),
        "power_curve": lambda: figures.power_curve(
            rates[rates["shift"] >= 0], *calibration_tables.power(comparison), 50
        ),
        "verdict_rates": lambda: figures.verdict_rates(rates, 1.0, 50),
        "arms_forest": lambda: figures.arms_forest(arms, 1.0),
        "dose_response": lambda: figures.dose_response(
            robustness.dose_response(study, "standard", "dann", 1.0), 1.0
        ),
        "cost": lambda: figures.cost(tables.costs(study, "standard")),
        "typology": lambda: figures.typology(gained.table, by_language.typology(gained)),
        "schedule": lambda: figures.schedule(0.05),
    }


NAMES = [
    "manipulation_check", "curves", "forest", "heatmap", "paired_blocks", "probe_layers",
    "language_map", "error_rates", "power_curve", "verdict_rates", "arms_forest", "dose_response",
    "cost", "typology", "schedule",
]  # fmt: skip


@pytest.mark.parametrize("name", slow_except({"forest", "paired_blocks"}, NAMES))
def test_same_numbers_same_bytes_and_no_state(drawn, name, tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        assert (
            figures.save(drawn[name](), tmp_path / folder, name)
            == tmp_path / folder / f"{name}.png"
        )
    for kind in ("svg", "png"):
        first, second = (
            (tmp_path / folder / f"{name}.{kind}").read_bytes() for folder in ("a", "b")
        )
        assert first == second and len(first) > 1000
    assert b"<dc:date>" not in (tmp_path / "a" / f"{name}.svg").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_every_figure_function_is_tried_here(drawn):
    public = {
        n
        for n in figures.__all__
        if vars(figures)[n].__module__
        not in ("xgrl.report.figures.probing", "xgrl.report.figures.style")
    }
    assert public | {"probe_layers", "language_map"} == set(drawn) == set(NAMES)


def test_no_figure_stays_open(drawn):
    drawn["forest"]()
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_forest_draws_each_estimate_inside_its_interval(drawn, comparison):
    ax = drawn["forest"]().axes[0]
    intervals = [
        line.get_xdata()
        for line in ax.lines
        if len(line.get_xdata()) == 2 and not np.array_equal(line.get_xdata(), [0, 0])
    ]
    ends = sorted(tuple(map(float, each)) for each in intervals)
    tables = pd.concat([comparison.per_task, comparison.per_language])
    assert np.allclose(ends, sorted(zip(tables.low, tables.high, strict=True)))
    assert len(ax.get_yticklabels()) == len(tables)


def test_heatmap_is_centred_on_nought_and_says_every_number(drawn, comparison):
    ax = drawn["heatmap"]().axes[0]
    norm = ax.images[0].norm
    assert norm.vcenter == 0 and norm.vmin == -norm.vmax
    assert sorted(t.get_text() for t in ax.texts) == sorted(
        f"{row.theta:+.1f} ±{(row.high - row.low) / 2:.1f}"
        for row in comparison.per_language.itertuples()
    )


def test_heatmap_without_an_interval_and_without_a_difference():
    table = pd.DataFrame(
        {
            "target": ["a", "b"],
            "language": ["de", "de"],
            "theta": [0.0, 0.0],
            "low": np.nan,
            "high": np.nan,
        }
    )
    assert [t.get_text() for t in figures.heatmap(table).axes[0].texts] == ["+0.0", "+0.0"]


def test_bands_are_t_intervals_over_seeds(study):
    part = study.curves[study.curves.intermediate == "sarcasm"]
    figure = figures.curves(part)
    band = next(c for c in figure.axes[0].collections if isinstance(c, PolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    first = part[(part.arm == "control") & (part.step < 3)].groupby("seed").task_loss.mean()
    half = 4.302653 * first.std() / np.sqrt(3)  # t, 2 degrees of freedom
    assert any(np.isclose(heights, first.mean() + half)) and any(
        np.isclose(heights, first.mean() - half)
    )


def test_one_run_alone_can_be_drawn(study):
    one = study.curves[
        (study.curves.seed == 0)
        & (study.curves.arm == "dann")
        & (study.curves.intermediate == "sarcasm")
    ]
    assert len(figures.curves(one).axes) == 6  # five and the cosine, which this study recorded
    assert len(figures.curves(one.drop(columns="gradient_cosine")).axes) == 5
    layers = study.probes[study.probes.stage == "intermediate"]
    layers = layers[
        (layers.seed == 0) & (layers.arm == "dann") & (layers.intermediate == "sarcasm")
    ]
    figure = figures.probe_layers(layers)
    heights = np.concatenate(
        [p.vertices[:, 1] for c in figure.axes[0].collections for p in c.get_paths()]
    )
    # a single seed has its exact interval
    assert all(np.isclose(heights, value).any() for value in layers.high)


def test_a_rate_that_is_not_estimable_is_a_gap():
    rows = [("any target", 0.1, 0.01, True), ("c: not estimable", np.nan, np.nan, True)]
    ax = figures.error_rates(pd.DataFrame(rows, columns=["test", "rate", "se", "ours"])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["0.100", "–"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "any target",
        "c: not estimable",
    ]


def test_every_method_has_a_look_of_its_own_and_variants_that_of_their_method():
    assert set(style.LOOKS) == set(ARMS)
    for position in range(3):
        assert len({look[position] for look in style.LOOKS.values()}) == len(style.LOOKS)
    assert style.look("dann-0.01") == style.look("dann") != style.look("control")
    assert style.look("robust-smoothing-0.2")["color"] == style.LOOKS["robust-smoothing"][0]


def test_arms_forest_keeps_the_row_of_an_arm_that_could_not_be_compared():
    row = {
        "against": "standard",
        "targets": "a, b",
        "theta": -1.0,
        "low": -2.0,
        "high": 0.0,
        "p_max_t": 0.1,
    }
    table = pd.DataFrame(
        [row | {"arm": "dann"}, dict.fromkeys(row, np.nan) | {"arm": "mlm", "targets": np.nan}]
    )
    ax = figures.arms_forest(table, 1.0).axes[0]
    assert [label.get_text().rstrip("*") for label in ax.get_yticklabels()] == ["dann", "mlm"]
    assert [text.get_text() for text in ax.texts] == ["-1.00  p 0.1", "not comparable"]


def test_dose_response_draws_every_dose_with_its_interval(study):
    table = robustness.dose_response(study, "standard", "dann", 1.0)
    ax = figures.dose_response(table, 1.0).axes[0]
    assert [label.get_text().split("\n")[0] for label in ax.get_xticklabels()] == [
        "0",
        "0.01",
        "0.05",
    ]
    drawn = [
        tuple(line.get_ydata())
        for line in ax.lines
        if len(line.get_ydata()) == 2 and line.get_linewidth() == 2
    ]
    assert np.allclose(sorted(drawn), sorted(zip(table.low, table.high, strict=True)))


def test_cost_says_what_was_not_recorded(study):
    table = tables.costs(study, "standard")
    flops = [name for name in table if name.startswith("flops_ratio")]
    labels = [
        text.get_text()
        for text in figures.cost(table.assign(**dict.fromkeys(flops, np.nan)))
        .legends[0]
        .get_texts()
    ]
    assert labels == ["tokens", "FLOPs (not recorded)", "seconds"]


def test_show_makes_a_picture_with_words(drawn):
    image = figures.show(drawn["forest"](), "differences by target")
    assert image.data.startswith(b"\x89PNG") and image.alt == "differences by target"


def test_the_schedule_is_the_library_s(drawn):
    line = drawn["schedule"]().axes[0].lines[0]
    assert np.allclose(line.get_ydata(), [lambda_at(p, 0.05) for p in line.get_xdata()])


def test_the_first_notebook_s_pictures_have_every_compared_arm_and_the_reversal(root):
    cells = json.loads((root / "notebooks/00_start_here.ipynb").read_text())["cells"]
    flow, reversal = (text for c in cells if "```mermaid" in (text := "".join(c["source"])))
    assert all(f"[{arm}: " in flow for arm in ("none", "standard", "control", "dann"))
    assert "{{reversal}}" in reversal and "lambda g" in reversal
