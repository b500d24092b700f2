"""Figures: the same bytes for the same numbers, an interval on every estimate, no state left
behind.
"""

import json
import sys
from inspect import isfunction
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.collections import PolyCollection
from matplotlib.colors import rgb_to_hsv, to_rgb

from simulate import simulate
from tiers import slow_except
from xgrl import stats
from xgrl.arms import ARMS, arms_in_order, method_of
from xgrl.models.grl import lambda_at
from xgrl.report import by_language, checks, figures, load_study, robustness, summary, tables
from xgrl.report.figures import style
from xgrl.report.positive_control import positive_control
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
def effects(study, comparison):
    checked = checks.manipulation_checks(study, "standard", "dann")
    control = positive_control(study, "standard")
    values = summary.summarise(study, comparison, checked, positive_control=control)
    return summary.effects(json.loads(json.dumps(values)))


@pytest.fixture(scope="module")
def drawn(study, comparison, effects):
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
        "forest": lambda: figures.forest(effects, ("standard", "dann"), 1.0, 6),
        "heatmap": lambda: figures.heatmap(comparison.per_language, 6),
        "paired_blocks": lambda: figures.paired_blocks(
            *(comparison.blocks, comparison.per_intermediate, "standard", "dann"),
            (comparison.theta, *comparison.ci, comparison.p),
        ),
        "probe_layers": lambda: figures.probe_layers(
            study.probes[study.probes.stage == "intermediate"]
        ),
        "language_map": lambda: figures.language_map(study.maps[study.maps.seed == 0]),
        "error_rates": lambda: figures.error_rates(calibrated, 50),
        "verdict_rates": lambda: figures.verdict_rates(
            rates, *calibration_tables.power(comparison), 1.0, 50
        ),
        "arms_forest": lambda: figures.arms_forest(arms, 1.0),
        "cost": lambda: figures.cost(tables.costs(study, "standard")),
        "typology": lambda: figures.typology(gained.table, by_language.typology(gained)),
        "schedule": lambda: figures.schedule(0.05),
    }


NAMES = [
    "manipulation_check", "curves", "forest", "heatmap", "paired_blocks", "probe_layers",
    "language_map", "error_rates", "verdict_rates", "arms_forest", "cost", "typology", "schedule",
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
        name
        for name, function in vars(figures).items()
        if isfunction(function) and function.__module__.split(".")[-1] not in ("probing", "style")
    }
    assert public | {"probe_layers", "language_map"} == set(drawn) == set(NAMES)


def test_no_figure_stays_open(drawn):
    drawn["forest"]()
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_forest_draws_each_estimate_inside_its_interval_and_says_its_p(effects):
    figure = figures.forest(effects, ("standard", "dann"), 1.0, 6)
    labels = ("standard minus none, points", "dann minus standard, points")
    assert [ax.get_xlabel() for ax in figure.axes] == [*labels]
    for ax, before in zip(figure.axes, ("control_", ""), strict=True):
        own = effects[[f"{before}{name}" for name in ("theta", "low", "high", "p")]]
        own = own.set_axis(["theta", "low", "high", "p"], axis=1)
        lines = [line for line in ax.lines if not np.array_equal(line.get_xdata(), [0, 0])]
        ends = [tuple(line.get_xdata()) for line in lines if len(line.get_xdata()) == 2]
        assert np.allclose(ends, own[["low", "high"]])
        marks = [(line.get_marker(), line.get_xdata()[0]) for line in lines[1::2]]
        assert [marker for marker, _ in marks] == ["Ds"[not whole] for whole in effects.average]
        assert np.allclose([x for _, x in marks], own.theta)
        for text, row in zip(ax.texts, own.itertuples(), strict=True):
            assert text.get_text() == f"{style.points(row.theta)}  p {stats.p_format(row.p)}"
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [*effects.part]


def test_the_average_of_the_control_is_over_all_intermediate_tasks(study, effects):
    control = positive_control(study, "standard")
    control = control[control.part == "all targets"].set_index("kind").theta
    assert effects.control_theta[0] == pytest.approx(control["average"])
    assert set(control.index) == {"average", "intermediate"}


def test_forest_without_a_positive_control_has_one_panel(effects):
    alone = effects.assign(control_theta=np.nan, control_low=np.nan, control_high=np.nan)
    alone["control_p"] = np.nan
    (ax,) = figures.forest(alone, ("standard", "dann"), 1.0, 6).axes
    assert ax.get_xlabel() == "dann minus standard, points"


def test_heatmap_goes_from_the_smallest_difference_to_the_largest(comparison):
    image = figures.heatmap(comparison.per_language, 6).axes[0].images[0].get_array()
    for axis in (0, 1):
        assert (np.diff(np.ma.masked_invalid(image).mean(axis=axis)) >= 0).all()


def test_heatmap_is_centred_on_nought_and_says_every_number(drawn, comparison):
    ax = drawn["heatmap"]().axes[0]
    norm = ax.images[0].norm
    assert norm.vcenter == 0 and norm.vmin == -norm.vmax
    assert sorted(t.get_text().replace("\N{MINUS SIGN}", "-") for t in ax.texts) == sorted(
        f"{row.theta:+.1f} ±{(row.high - row.low) / 2:.1f}".replace("-0.0", "+0.0")
        for row in comparison.per_language.itertuples()
    )


def test_heatmap_without_an_interval_and_without_a_difference():
    table = pd.DataFrame(
        {
            "target": ["a", "b"],
            "language": ["de", "de"],
            "theta": [0.0, -0.01],
            "low": np.nan,
            "high": np.nan,
        }
    )
    assert [t.get_text() for t in figures.heatmap(table, 6).axes[0].texts] == ["+0.0", "+0.0"]


def test_bands_are_t_intervals_over_seeds(study):
    part = study.curves[study.curves.intermediate == "sarcasm"]
    figure = figures.curves(part)
    band = next(c for c in figure.axes[0].collections if isinstance(c, PolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    first = part[(part.arm == "standard") & (part.step < 3)].groupby("seed").task_loss.mean()
    half = 4.302653 * first.std() / np.sqrt(3)  # t, 2 degrees of freedom
    assert any(np.isclose(heights, first.mean() + half))
    assert any(np.isclose(heights, first.mean() - half))


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
    rows = [(f"test {k}", 0.1, 0.01, True) for k in range(2)]
    rows.append(("c: not estimable", np.nan, np.nan, True))
    table = pd.DataFrame(rows, columns=["test", "rate", "se", "ours"])
    ax = figures.error_rates(table, 900).axes[0]
    assert [text.get_text() for text in ax.texts] == ["0.100", "0.100", "–"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(table.test)


def test_every_method_has_a_look_of_its_own():
    assert set(style.LOOKS) == set(ARMS)
    for position in range(3):
        assert len({look[position] for look in style.LOOKS.values()}) == len(style.LOOKS)


VARIANTS = [f"dann-{end}" for end in ("0", "0.01", "0.05", "0.1", "0.3", "binary", "tokens")]


def studies_arms(root):
    for path in sorted((root / "params").glob("*.yaml")):
        yield (yaml.safe_load(path.read_text()).get("scientific") or {}).get("arms", [])


def test_arms_are_told_apart_by_colour_and_by_marker(root):
    for arms in ([*ARMS, *VARIANTS], *studies_arms(root)):
        drawn = style.looks(arms)
        assert list(drawn) == arms_in_order(arms)
        colours = {look["color"] for look in drawn.values()}
        marks = {(look["marker"], look.get("fillstyle")) for look in drawn.values()}
        pairs = {(look["color"], look["marker"], look.get("fillstyle")) for look in drawn.values()}
        assert len(colours) == len(pairs) == len(arms)
        assert (
            len(marks) >= len(arms) - 3
        )  # a method with more than five variants repeats a filling


def test_an_arm_looks_the_same_in_every_figure_and_a_variant_like_its_method(root):
    for arms in studies_arms(root):
        whole = style.looks(arms)
        for arm in arms:
            assert style.looks([arm, "standard"])[arm] == whole[arm]
            method = whole.get(method_of(arm), style.looks([method_of(arm)])[method_of(arm)])
            assert whole[arm]["marker"] == method["marker"]
            hues = [rgb_to_hsv(to_rgb(look["color"]))[0] for look in (whole[arm], method)]
            assert abs(hues[0] - hues[1]) < 0.02


def test_a_larger_dose_is_darker():
    light = [sum(to_rgb(look["color"])) for look in style.looks(VARIANTS[:5]).values()]
    assert light == sorted(light, reverse=True)


def test_two_words_that_fall_on_one_shade_are_told_apart():
    many = [f"cdan-word{k}" for k in range(10)]
    assert len({look["color"] for look in style.looks(many).values()}) == 10


def against(*thetas):
    """A table of arms against standard, the last of them with one target less."""
    rows = {"against": "standard", "targets": ["a, b"] * (len(thetas) - 1) + ["a"], "blocks": 6}
    table = pd.DataFrame(rows | {"arm": ["control", "dann", "mlm"][: len(thetas)]})
    table["theta"], table["p"], table["p_max_t"], table["p_holm"] = thetas, 0.01, 0.01, 0.2
    table = table.assign(low=table.theta - 1, high=table.theta + 1)
    table.loc[table.theta.isna(), ["against", "blocks", "targets", "p_max_t", "p_holm"]] = np.nan
    return table


def test_arms_forest_says_n_the_larger_p_and_what_could_not_be_compared():
    ax = figures.arms_forest(against(-1.0, 2.0, np.nan), 1.0).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["control (n = 6)", "dann (n = 6)", "mlm"]
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["\N{MINUS SIGN}1.00  p 0.2", "+2.00  p 0.2", "not comparable"]
    few = against(-1.0, 2.0, 3.0)
    few.loc[1, ["p_max_t", "p_holm"]] = np.nan  # of fewer blocks than the others
    texts = [text.get_text() for text in figures.arms_forest(few, 1.0).axes[0].texts]
    assert "described" in texts[1] and "p not estimable" not in "".join(texts)
    fewer = figures.arms_forest(against(-1.0, 2.0, 3.0), 1.0)
    assert fewer.axes[0].get_yticklabels()[2].get_text() == "mlm* (n = 6)"
    assert "fewer targets" in fewer.get_supxlabel()


@pytest.mark.parametrize("table", [against(-1.0, np.nan), against(np.nan, np.nan)])
def test_a_figure_of_one_point_is_refused(table, tmp_path, capsys):
    (tmp_path / "arms.png").write_text("of an earlier run")
    with pytest.raises(style.NotDrawn, match=r"one point|nothing"):
        figures.arms_forest(table.assign(against="standard"), 1.0)
    figures.draw(tmp_path, "arms", "", figures.arms_forest, table.assign(against="standard"), 1.0)
    assert "no figure arms: " in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_one_block_one_cell_and_one_step_are_refused_too(comparison, study):
    blocks, whole = comparison.blocks[:1], (comparison.theta, *comparison.ci, comparison.p)
    with pytest.raises(style.NotDrawn):
        figures.paired_blocks(blocks, comparison.per_intermediate, "standard", "dann", whole)
    with pytest.raises(style.NotDrawn):
        figures.heatmap(comparison.per_language[:1], 6)
    with pytest.raises(style.NotDrawn):
        figures.curves(study.curves[:1][["intermediate", "arm", "seed", "step", "task_loss"]])


def test_lines_of_chance_and_margin_are_no_points():
    @style.styled
    def lines():
        figure, ax = style.new_axes(3, 2)
        style.margin_band(ax, 1.0)
        ax.axhline(1)
        ax.plot([0, 1], [0, 1])
        return figure

    with pytest.raises(style.NotDrawn, match="nothing"):
        lines()


def test_doses_are_rows_with_their_intervals_joined_by_a_line(study):
    table = robustness.dose_response(study, "standard", "dann", 1.0)
    ax = figures.arms_forest(table, 1.0).axes[0]
    names = [label.get_text().split(":")[0] for label in ax.get_yticklabels()]
    assert names == ["0", "0.01", "0.05"]
    drawn = [
        tuple(line.get_xdata())
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_linewidth() == 2
    ]
    assert np.allclose(sorted(drawn), sorted(zip(table.low, table.high, strict=True)))
    assert any(np.array_equal(line.get_xdata(), table.theta) for line in ax.lines)


def test_blocks_have_a_panel_for_each_intermediate_task_and_both_arms_in_their_colours(comparison):
    whole = (comparison.theta, *comparison.ci, comparison.p)
    tables = comparison.blocks, comparison.per_intermediate
    *slopes, differences = figures.paired_blocks(*tables, "standard", "dann", whole).axes
    means = comparison.blocks.groupby("intermediate").m_b.mean().sort_values()
    assert [ax.get_title(loc="left").split(" (")[0] for ax in slopes] == list(means.index)
    for ax in slopes:
        marked = [line for line in ax.lines if line.get_marker() != "None"]
        looks = style.looks(["standard", "dann"]).values()
        assert [line.get_color() for line in marked] == [look["color"] for look in looks]
        assert len(marked[0].get_ydata()) == 3 and ax.get_title(loc="left").endswith("(n = 3)")
    rows = [label.get_text() for label in differences.get_yticklabels()]
    assert rows == [*(f"{task} (n = 3)" for task in means.index), "mean (n = 6)"]
    p = comparison.per_intermediate.set_index("intermediate").p_holm[means.index]
    texts = [text.get_text().split("p ")[1] for text in differences.texts]
    assert texts == [stats.p_format(value) for value in (*p, comparison.p)]


def test_blocks_of_tasks_without_an_interval_of_their_own(comparison):
    blocks = comparison.blocks[comparison.blocks.seed == 0]
    tables = blocks, comparison.per_intermediate[:0]
    ax = figures.paired_blocks(*tables, "standard", "dann", (1.0, 0.5, 1.5, 0.1)).axes[-1]
    assert [text.get_text() for text in ax.texts] == ["", "", "+1.00  p 0.1"]


def test_every_run_of_the_checks_is_a_mark_and_chance_is_of_its_arm(study):
    runs = study.runs.copy()
    binary = runs.arm == "dann-0.01"
    runs.loc[binary, "discriminator_chance"] = 50.0
    figure = figures.manipulation_check(runs)
    learned, adversary, *_, room = figure.axes
    trained = runs[(runs.phase == "intermediate") & (runs.intermediate == "question-type")]
    marks = [
        x
        for line in learned.lines
        if line.get_marker() not in ("None", "")
        for x in line.get_xdata()
    ]
    marks = [x for x in marks if np.isfinite(x)]
    assert np.allclose(sorted(marks), sorted(trained.dev_accuracy))
    ticks = [c.get_segments()[0][0, 0] for c in adversary.collections if len(c.get_segments())]
    names = [label.get_text() for label in learned.get_yticklabels()]
    arms = list(style.looks(trained.arm))
    assert names == [f"{arm} (n = 3)" for arm in arms]
    assert ticks[arms.index("dann-0.01")] == 50 != ticks[arms.index("dann")]
    assert all("(n = " in label.get_text() for label in room.get_yticklabels())


def test_maps_share_plane_scale_and_aspect_and_stand_in_the_order_of_arms(study):
    maps = study.maps[study.maps.seed == 0].assign(share=40.0)
    axes = figures.language_map(maps).axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == [f"{arm} (40 %)" for arm in arms_in_order(set(maps.arm))]
    assert len({(ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) for ax in axes}) == 1
    assert axes[0].get_aspect() == 1 and len(axes[0].get_xticks()) > 1
    assert "public encoder" in axes[0].get_ylabel()
    with pytest.raises(style.NotDrawn, match="common plane"):
        figures.language_map(maps.drop(columns="share"))


def test_legends_name_arms_in_order_with_their_seeds(study):
    some = study.curves[(study.curves.arm != "control") | (study.curves.seed == 0)]
    names = [text.get_text() for text in figures.curves(some, 25.0).legends[0].get_texts()]
    count = {arm: 1 if arm == "control" else 3 for arm in arms_in_order(set(some.arm))}
    assert names == [f"{arm} (n = {n})" for arm, n in count.items()]


def test_correlations_are_titled_with_the_adjusted_p_and_n(study):
    gained = by_language.language_effects(study, "standard", "dann")
    table = by_language.typology(gained)
    table["p_holm"] = np.linspace(0.01, 0.5, len(table))
    axes = figures.typology(gained.table, table).axes
    for ax, row in zip(axes, table.itertuples(), strict=False):
        title = ax.get_title(loc="left")
        assert f"p {stats.p_format(row.p_holm)}, n = {row.languages}" in title


def test_of_many_languages_names_and_legend_stay_apart_and_inside():
    codes, rng = [f"{a}{b}" for a in "abcdef" for b in "ghijklm"], np.random.default_rng(3)
    table = pd.DataFrame({"effect": rng.normal(0, 0.3, 42), "genetic": 1.0}, index=codes)
    table.loc[codes[:4], "genetic"] = [0.2, 0.4, 0.5, 0.8]
    table = table.assign(low=table.effect - 0.5, high=table.effect + 0.5, seen=True)
    found = pd.DataFrame({"distance": ["genetic"], "languages": 42, "partial": 0.1, "p_holm": 1.0})
    figure = figures.typology(table, found)
    figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert {table.effect.idxmax(), table.effect.idxmin(), *codes[:4]} <= set(boxes)
    assert len(boxes) < 42 and not any(a.overlaps(b) for a, b in combinations(boxes.values(), 2))
    maps = pd.DataFrame(rng.normal(size=(186, 2)), columns=["x", "y"])
    maps = maps.assign(arm=["standard", "dann"] * 93, language=codes[:31] * 6, share=9.0)
    figure = figures.language_map(maps)
    figure.canvas.draw()
    legend = figure.legends[0]
    assert len(legend.get_texts()) == 31 and figure.bbox.contains(*legend.get_window_extent().max)
    assert figure.bbox.contains(*legend.get_window_extent().min)


def test_every_figure_has_a_caption_that_fits(drawn):
    for name in NAMES:
        figure = drawn[name]()
        text = figure.get_supxlabel()
        assert len(text) > 20, name
        figure.canvas.draw()
        width = figure._supxlabel.get_window_extent().x1  # no other way to its place
        assert width <= figure.bbox.x1, name


def test_cost_says_what_was_not_recorded_and_n(study):
    table = tables.costs(study, "standard")
    flops = [name for name in table if name.startswith("flops_ratio")]
    axes = figures.cost(table.assign(**dict.fromkeys(flops, np.nan))).axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == ["tokens", "FLOPs (not recorded)", "seconds"]
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert names == [f"{arm} (n = {runs})" for arm, runs in table.runs.items()]


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
