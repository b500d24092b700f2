"""Figures: the same bytes for the same numbers, an interval on every estimate, no state left behind."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from simulate import simulate
from xgrl import collecting, plots, stats


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return collecting.collect(simulate(tmp_path_factory.mktemp("plots"), seeds=(0, 1, 2)))


@pytest.fixture(scope="module")
def comparison(study):
    return stats.compare(study.predictions)


@pytest.fixture(scope="module")
def figures(study, comparison):
    calibrated = pd.DataFrame({"method": ["ours", "naive"], "error": [0.05, 0.4], "low": [0.03, 0.37], "high": [0.07, 0.43]})
    power = pd.DataFrame({"blocks": [4, 6, 8], "points": [3.0, 2.0, 1.5], "here": [False, True, False]})
    return {
        "manipulation_check": lambda: plots.manipulation_check(study.runs),
        "curves": lambda: plots.curves(study.curves, 25.0),
        "forest": lambda: plots.forest(comparison.per_task, comparison.per_language, 1.0),
        "heatmap": lambda: plots.heatmap(comparison.per_language),
        "paired_blocks": lambda: plots.paired_blocks(comparison.blocks, "standard", "dann", comparison.theta, comparison.ci),
        "probe_layers": lambda: plots.probe_layers(study.probes),
        "language_map": lambda: plots.language_map(study.maps[study.maps.seed == 0]),
        "calibration": lambda: plots.calibration(calibrated),
        "power_curve": lambda: plots.power_curve(power),
    }


NAMES = [
    "manipulation_check",
    "curves",
    "forest",
    "heatmap",
    "paired_blocks",
    "probe_layers",
    "language_map",
    "calibration",
    "power_curve",
]


@pytest.mark.parametrize("name", NAMES)
def test_same_numbers_same_bytes_and_no_state(figures, name, tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        assert plots.save(figures[name](), tmp_path / folder, name) == tmp_path / folder / f"{name}.png"
    for kind in ("svg", "png"):
        first, second = ((tmp_path / folder / f"{name}.{kind}").read_bytes() for folder in ("a", "b"))
        assert first == second and len(first) > 1000
    assert b"<dc:date>" not in (tmp_path / "a" / f"{name}.svg").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_every_figure_function_is_tried_here(figures):
    public = {n for n, f in vars(plots).items() if getattr(f, "__module__", "") == "xgrl.plots" and not n.startswith("_")}
    assert public - {"save", "show", "styled"} == set(figures) == set(NAMES)


def test_no_figure_stays_open(figures):
    figures["forest"]()
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_forest_draws_each_estimate_inside_its_interval(figures, comparison):
    ax = figures["forest"]().axes[0]
    intervals = [
        line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and not np.array_equal(line.get_xdata(), [0, 0])
    ]
    drawn = sorted(tuple(map(float, each)) for each in intervals)
    tables = pd.concat([comparison.per_task, comparison.per_language])
    assert np.allclose(drawn, sorted(zip(tables.low, tables.high, strict=True)))
    assert len(ax.get_yticklabels()) == len(tables)


def test_heatmap_is_centred_on_nought_and_says_every_number(figures, comparison):
    ax = figures["heatmap"]().axes[0]
    norm = ax.images[0].norm
    assert norm.vcenter == 0 and norm.vmin == -norm.vmax
    assert sorted(t.get_text() for t in ax.texts) == sorted(
        f"{row.theta:+.1f} ±{(row.high - row.low) / 2:.1f}" for row in comparison.per_language.itertuples()
    )


def test_heatmap_without_an_interval_and_without_a_difference():
    table = pd.DataFrame({"target": ["a", "b"], "language": ["de", "de"], "theta": [0.0, 0.0], "low": np.nan, "high": np.nan})
    assert [t.get_text() for t in plots.heatmap(table).axes[0].texts] == ["+0.0", "+0.0"]


def test_bands_are_t_intervals_over_seeds(study):
    part = study.curves[study.curves.intermediate == "sarcasm"]
    figure = plots.curves(part)
    band = next(c for c in figure.axes[0].collections if isinstance(c, PolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    first = part[(part.arm == "control") & (part.step < 3)].groupby("seed").task_loss.mean()
    half = 4.302653 * first.std() / np.sqrt(3)  # t, 2 degrees of freedom
    assert any(np.isclose(heights, first.mean() + half)) and any(np.isclose(heights, first.mean() - half))


def test_one_run_alone_can_be_drawn(study):
    one = study.curves[(study.curves.seed == 0) & (study.curves.arm == "dann") & (study.curves.intermediate == "sarcasm")]
    assert len(plots.curves(one).axes) == 5
    layers = study.probes[(study.probes.seed == 0) & (study.probes.arm == "dann") & (study.probes.intermediate == "sarcasm")]
    figure = plots.probe_layers(layers)
    heights = np.concatenate([p.vertices[:, 1] for c in figure.axes[0].collections for p in c.get_paths()])
    assert all(np.isclose(heights, value).any() for value in layers.high)  # a single seed has its exact interval


def test_arms_differ_in_colour_marker_and_line():
    for position in range(3):
        assert len({look[position] for look in plots.ARMS.values()}) == len(plots.ARMS)


def test_show_makes_a_picture_with_words(figures):
    image = plots.show(figures["power_curve"](), "power against blocks")
    assert image.data.startswith(b"\x89PNG") and image.alt == "power against blocks"
