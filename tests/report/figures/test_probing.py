"""Figures of one checkpoint's probes: the same bytes for the same numbers, intervals where they
belong.
"""

from inspect import isfunction

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tiers import slow_except
from xgrl.report import figures
from xgrl.report.figures import probing, style


def checkpoint():
    """The tables that 04 makes of one checkpoint, and a toy of the reversal."""
    rng = np.random.default_rng(0)
    rows = [
        {"stage": stage, "layer": layer, "chance": 25.0}
        for stage in ("public", "intermediate")
        for layer in range(3)
    ]
    layers = pd.DataFrame(rows)
    for name, kind in {
        "accuracy": "",
        "mlp_accuracy": "mlp_",
        "rank": "rank_",
        "norm": "norm_",
        "cka": "cka_",
    }.items():
        layers[name] = 40 + rng.random(6)
        layers = layers.assign(
            **{
                f"{kind}low": layers[name] - 3,
                f"{kind}high": layers[name] + 2,
                f"{kind}control": 26.0,
            }
        )
    parallel = layers[["stage", "layer"]].merge(
        pd.DataFrame({"language": ["de", "fr", "sw"], "seen": [True, True, False]}), "cross"
    )
    parallel = parallel.assign(cosine=0.8, random=0.5, gap=0.3 + 0.1 * rng.random(18))
    parallel = parallel.assign(gap_low=parallel.gap - 0.05, gap_high=parallel.gap + 0.04)
    distances = pd.DataFrame(1 - np.eye(3), index=list("abc"), columns=list("abc"))
    toy = pd.DataFrame(rng.normal(size=(40, 4)), columns=["x", "y", "dx", "dy"])
    toy = toy.assign(language=["de", "en"] * 20, training="reversal", step=np.repeat([0, 9], 20))
    edges = pd.DataFrame(
        {
            "training": "reversal",
            "step": [0, 9],
            "a": 0.1,
            "b": 1.0,
            "c": 0.2,
            "accuracy": [90.0, 50.0],
        }
    )
    return {
        "layers": layers,
        "parallel": parallel,
        "distances": {"public": distances, "tuned": distances / 2},
        "toy": (toy, edges),
    }


FIGURES = {
    "stages": lambda: figures.stages(checkpoint()["layers"], "probes"),
    "shape": lambda: figures.stages(checkpoint()["layers"], "shape"),
    "translation_layers": lambda: figures.translation_layers(checkpoint()["parallel"]),
    "translation_languages": lambda: figures.translation_languages(checkpoint()["parallel"]),
    "language_distances": lambda: figures.language_distances(checkpoint()["distances"]),
    "reversal_steps": lambda: figures.reversal_steps(*checkpoint()["toy"]),
}


@pytest.mark.parametrize("name", slow_except({"stages"}, FIGURES))
def test_same_numbers_same_bytes_and_no_state(name, tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        figures.save(FIGURES[name](), tmp_path / folder, name)
    for kind in ("svg", "png"):
        first, second = (
            (tmp_path / folder / f"{name}.{kind}").read_bytes() for folder in ("a", "b")
        )
        assert first == second and len(first) > 1000
    assert dict(matplotlib.rcParams) == before


def test_every_figure_of_one_checkpoint_is_tried_here():
    exported = {
        name
        for name, function in vars(figures).items()
        if isfunction(function) and function.__module__ == probing.__name__
    }
    # those two are drawn of the whole study: test_figures
    assert exported - {"probe_layers", "language_map"} == set(FIGURES) - {"shape"}


def test_stages_are_drawn_with_their_intervals_side_by_side():
    layers = checkpoint()["layers"]
    for ax, name, kind in zip(
        figures.stages(layers, "probes").axes,
        ("accuracy", "mlp_accuracy"),
        ("", "mlp_"),
        strict=True,
    ):
        # (12, 2): low and high of each mark
        ends = np.concatenate([np.concatenate(c.get_segments()) for c in ax.collections])
        assert np.allclose(
            np.sort(ends[:, 1]), np.sort(layers[[f"{kind}low", f"{kind}high"]].to_numpy().ravel())
        )
        assert len(np.unique(ends[:, 0].round(6))) == 6
        marks = np.concatenate(
            [line.get_ydata() for line in ax.lines if line.get_marker() not in ("None", "")]
        )
        assert np.allclose(np.sort(marks), np.sort(layers[name]))


def test_translations_by_language_have_seen_languages_above_unseen_ones():
    parallel = checkpoint()["parallel"]
    ax = figures.translation_languages(parallel).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["de", "fr", "sw"]
    assert ax.yaxis_inverted()
    last = parallel[parallel.layer == 2]
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    ends = np.concatenate([line.get_xdata() for line in lines])
    assert np.allclose(np.sort(ends), np.sort(last[["gap_low", "gap_high"]].to_numpy().ravel()))
    assert [text.get_text() for text in ax.texts] == ["seen", "seen", "unseen"]


def test_translations_by_layer_are_means_over_languages():
    axes = figures.translation_layers(checkpoint()["parallel"]).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["public", "intermediate"]
    lines = {line.get_label(): line.get_ydata() for line in axes[0].lines}
    names = [
        f"{kind}, {known}"
        for known in ("2 seen languages", "1 unseen language")
        for kind in ("translations", "random pairs")
    ]
    assert list(lines) == names
    assert all(
        np.allclose(values, 0.8 if name.startswith("translations") else 0.5)
        for name, values in lines.items()
    )


def test_distances_of_all_stages_share_a_scale_from_nought():
    images = [ax.images[0] for ax in figures.language_distances(checkpoint()["distances"]).axes[:2]]
    assert {(image.norm.vmin, image.norm.vmax) for image in images} == {(0, 1)}


@pytest.mark.filterwarnings("error")
def test_what_is_not_estimable_is_a_gap(tmp_path):
    tables = checkpoint()
    layers, parallel = tables["layers"], tables["parallel"]
    layers.loc[layers.stage == "intermediate", ["cka", "cka_low", "cka_high"]] = np.nan
    lost = (parallel.stage == "intermediate") & (parallel.layer == 2)
    parallel.loc[lost, ["cosine", "random", "gap", "gap_low", "gap_high"]] = np.nan
    nothing = tables["distances"]["public"] * np.nan
    distances = tables["distances"] | {"last": nothing}
    figure = figures.language_distances(distances)
    ax = figure.axes[len(distances) - 1]
    assert ax.get_title(loc="left") == "last:\nnot estimable" and not ax.texts
    assert all(map(len, (ax.texts for ax in figure.axes[: len(distances) - 1])))
    figures.save(figure, tmp_path, "distances")
    with pytest.raises(style.NotDrawn):
        figures.language_distances({"last": nothing})
    (*_, cka) = figures.stages(layers, "shape").axes
    marks = [line.get_ydata().astype(float) for line in cka.lines if line.get_marker() in "Ds"]
    assert [np.isfinite(own).all() for own in marks] == [True, False]
    for figure in (figures.translation_layers(parallel), figures.translation_languages(parallel)):
        figures.save(figure, tmp_path, "translations")


def test_reversal_line_is_where_the_discriminator_is_undecided():
    toy, edges = checkpoint()["toy"]
    for ax, edge in zip(figures.reversal_steps(toy, edges).axes, edges.itertuples(), strict=True):
        x, y = ax.lines[0].get_data()
        assert np.allclose(edge.a * x + edge.b * y + edge.c, 0)
        assert ax.get_title(loc="left") == f"step {edge.step}: reads {edge.accuracy:.0f} %"
