"""The bench table: what is fitted, merged, drawn and written; nothing here looks at a clock."""

import json
import re
import subprocess
import time

import numpy as np
import pytest
from benchmarks import __main__ as bench
from benchmarks import growing, peers, searching, steps, studies, table, training
from benchmarks.figure import bench_figure
from benchmarks.running import Stopwatch

from xgrl.runs import records

ROW = {"value": 2.0, "target": 2.5, "unit": "x", "note": "n"}
PROMISED = [
    "laptop_minutes",
    "speedup_vs_trainer",
    "sgemm_share",
    "dann_over_standard",
    "warm_overhead_s",
    "cold_overhead_s",
    "nothing_to_do_s",
    "paper_dry_run_s",
    "retrieval_1m_ratio",
    "retrieval_1m_gb",
    "analysis_s",
    "grid_efficiency",
]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponent_of_a_power_is_the_power(power):
    sizes = np.array([3, 30, 100, 4000])
    assert table.exponent(sizes, 7.0 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_memory_that_does_not_grow_has_exponent_zero_and_too_few_sizes_none():
    assert table.exponent([1, 2, 3, 4], [0, 5, 0, 5]) == pytest.approx(0)
    for sizes, values in [([1, 2, 3, 3], [1, 2, 3, 3]), ([1, 2, 3, 4], [0, 0, 0, 0])]:
        with pytest.raises(ValueError, match="four sizes and positive values"):
            table.exponent(sizes, values)


def test_growth_has_a_row_and_the_points_of_time_and_of_memory():
    rows, lines = growing.growth("analysis_seeds", [(n, n**2, 5 * n) for n in (1, 2, 4, 8)], "note")
    assert {name: row["value"] for name, row in rows.items()} == {
        "growth_analysis_seeds_time": 2.0,
        "growth_analysis_seeds_memory": 1.0,
    }
    assert lines["growth_analysis_seeds_memory"] == [[1, 5], [2, 10], [4, 20], [8, 40]]


def test_every_promised_name_is_known_and_an_unknown_or_infinite_one_is_refused():
    assert set(PROMISED) <= set(table.GOALS)
    for name, goal in table.GOALS.items():
        assert set(table.entry(name, 1.0, "n")[name]) == {"value", "target", "unit", "note"}
        assert goal.what
        assert goal.unit
    with pytest.raises(KeyError):
        table.entry("speed", 1.0, "n")
    with pytest.raises(ValueError, match="not a measurement"):
        table.entry("analysis_s", float("nan"), "n")


def test_a_partial_run_replaces_its_own_rows_only(tmp_path):
    path = tmp_path / "bench.json"
    table.merge(path, table.entry("analysis_s", 50, "old") | {table.MACHINE: ROW})
    merged = table.merge(
        path, table.entry("speedup_vs_trainer", 3, "new") | table.entry("analysis_s", 40, "new")
    )
    # in the order of the names, the machine last
    assert list(merged) == ["speedup_vs_trainer", "analysis_s", table.MACHINE]
    assert merged["analysis_s"]["value"] == 40 and merged[table.MACHINE] == ROW
    assert json.loads(path.read_text()) == merged


@pytest.mark.parametrize(
    ("name", "value", "met"), [("sgemm_share", 0.8, True), ("sgemm_share", 0.79, False)]
)
def test_more_is_better_where_it_is(name, value, met):
    assert table.met(table.entry(name, value, "")[name], table.GOALS[name]) is met


def test_less_is_better_elsewhere_and_no_target_is_neither():
    assert (
        table.met(table.entry("analysis_s", 61, "")["analysis_s"], table.GOALS["analysis_s"])
        is False
    )
    assert (
        table.met(
            table.entry("cold_overhead_s", 61, "")["cold_overhead_s"],
            table.GOALS["cold_overhead_s"],
        )
        is None
    )


def test_page_gets_the_table_between_its_markers_and_nothing_else_changes(tmp_path):
    start, end = table.MARKERS
    page = tmp_path / "speed.md"
    page.write_text(f"# a\n{start}\nold\n{end}\n# b\n")
    rows = (
        table.entry("sgemm_share", 0.7, "why")
        | table.entry("analysis_s", 9, "n")
        | {table.MACHINE: ROW | {"note": "a machine"}}
    )
    table.write_page(rows, page)
    text = page.read_text()
    assert (
        text.startswith(f"# a\n{start}\n| what ")
        and text.endswith(f"\n\na machine\n{end}\n# b\n")
        and "old" not in text
    )
    # what misses its target is in bold
    assert "| **0.7** | ≥ 0.8 | why |" in text and "| 9 s | ≤ 60 s | n |" in text
    assert "| machine" not in text
    again = text
    table.write_page(rows, page)
    assert page.read_text() == again
    page.write_text("no markers")
    with pytest.raises(ValueError, match="once each"):
        table.write_page(rows, page)


def test_published_is_what_was_measured(tmp_path, monkeypatch):
    for name, place in {
        "OUTPUTS": "outputs",
        "REFERENCE": "outputs/reference",
        "PAGE": "speed.md",
    }.items():
        monkeypatch.setattr(bench, name, tmp_path / place)
    (tmp_path / "outputs/reference").mkdir(parents=True)
    (tmp_path / "speed.md").write_text("\n".join(table.MARKERS))
    rows, points = growing.growth(
        "training_examples", [(n, n, 0.0 if n < 3 else n) for n in (1, 2, 3, 4)], "n"
    )
    bench.keep(rows | table.entry("sgemm_share", 0.7, "why"), points)
    bench.publish()
    for name in ("bench.json", "bench_points.json", "bench.png"):
        assert (tmp_path / "outputs/reference" / name).read_bytes() == (
            tmp_path / "outputs" / name
        ).read_bytes()
    assert "why" in (tmp_path / "speed.md").read_text()


def test_figure_has_a_bar_for_each_target_and_a_line_for_each_growth():
    rows, points = growing.growth("retrieval_candidates", [(n, n, n) for n in (1, 2, 3, 4)], "n")
    rows |= (
        table.entry("sgemm_share", 0.7, "")
        | table.entry("analysis_s", 9, "")
        | table.entry("cold_overhead_s", 9, "")
    )
    bars, time, memory = bench_figure(rows, points).axes
    assert [label.get_text() for label in bars.get_yticklabels()] == ["sgemm_share", "analysis_s"]
    assert [round(bar.get_width(), 3) for bar in bars.patches] == [
        round(0.7 / 0.8, 3),
        round(60 / 9, 3),
    ]
    # and the line of what grows in proportion
    assert [len(ax.lines) for ax in (time, memory)] == [2, 2]


def test_grid_efficiency_counts_a_job_with_two_workers_twice(tmp_path):
    study = tmp_path / "laptop"
    for name, parameters in (
        ("prepared", {"study": "laptop", "workers": 2}),
        ("analysis", {"study": "laptop"}),
    ):
        path = records.finish(
            study / name, phase=name, parameters=parameters, metrics={}, started=0.0
        )
        record = json.loads(path.read_text()) | {"wall_seconds": 30.0}
        record.pop("sha256", None)
        records.write_json(path, record)
    assert studies.core_seconds(study) == (90.0, 2)
    rows = studies.logged(60.0, study)
    assert rows["grid_efficiency"]["value"] == pytest.approx(90 / 60 / studies.cores(), rel=1e-3)
    assert rows["laptop_minutes"]["value"] == 1.0
    with pytest.raises(ValueError, match="no finished study"):
        studies.logged(60.0, tmp_path)


def test_operations_are_those_of_the_formula():
    assert steps.operations(np.array([24]), 12, 384, 1536) == 3 * 12 * 24 * (
        2 * (4 * 384**2 + 2 * 384 * 1536) + 4 * 24 * 384
    )
    assert steps.operations(np.array([10, 20]), 1, 4, 8) == sum(
        steps.operations(np.array([n]), 1, 4, 8) for n in (10, 20)
    )


def test_vectors_are_of_length_one_and_the_same_every_time():
    found = searching.vectors(1500, 3)
    assert np.array_equal(found, searching.vectors(1500, 3))
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    searching.product(found[:50], found[:70], block=32)


def test_parts_that_are_not_there_are_refused_with_what_is(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for wrong, message in (
        (["--only", "speed"], "--only speed: allowed: jobs"),
        (["--rounds", "0"], "at least 1"),
        (["--study-log", "10", "nowhere"], "no finished study"),
        (["--study-log", "fast", "nowhere"], "could not convert"),
    ):
        monkeypatch.setattr("sys.argv", ["bench", *wrong])
        with pytest.raises(SystemExit):
            bench.main()
        assert re.search(message, capsys.readouterr().err)
    assert not any(tmp_path.iterdir())


def test_ratios_have_the_right_side_below(monkeypatch):
    """Known seconds in the place of processes: ours 10 s, the Trainer 40 s, dann 15 s; a search of
    twice its product.
    """

    def timed(threads, *command, **_):
        seconds = {"trainer": 40.0, "dann": 15.0, "full": 6.0}.get(
            command[-1], {"full": 6.0}.get(command[-2], 10.0)
        )
        found = {
            "train_seconds": seconds,
            "process_seconds": 2 * seconds,
            "tokens": 100.0,
            "dev_accuracy": 80.0,
        }
        return found | {"step_seconds": seconds, "peak_mb": 1.0, "rows": 5}

    layers = {
        "flops": 30.0,
        "tokens": 5.0,
        "padding": 1.1,
        "length": 24.0,
        "cpu": 31.0,
        "peak": 40.0,
    }
    monkeypatch.setattr(training, "timed", timed)
    monkeypatch.setattr(
        training,
        "together",
        lambda n, *command: [{"flops": 40.0} if command[-1] == "peak" else layers] * n,
    )
    jobs = {name: row["value"] for name, row in training.jobs(2).items()}
    assert jobs == {
        "speedup_vs_trainer": 4.0,
        "speedup_vs_trainer_wall": 4.0,
        "speedup_vs_trainer_training": 4.0,
        "dann_over_standard": 1.5,
        "prefix_cache_speedup": 1.0,
    }
    share = training.peak(2)["sgemm_share"]
    assert share["value"] == 0.75 and training.LIMIT in share["note"]
    assert training.vocabulary(1)["trimming_speedup"]["value"] == 0.6

    def search(what, size, first=0, last=growing.QUERIES):
        return {"seconds": size * (last - first) * (2.0 if what == "nearest" else 1.0), "mb": 512.0}

    monkeypatch.setattr(growing, "search", search)
    rows, lines = growing.retrieval(2)
    assert {name for name in rows if name.startswith("retrieval")} < set(table.GOALS)
    assert [rows[f"retrieval_{size}_ratio"]["value"] for size in ("10k", "100k", "1m")] == [
        2.0,
        2.0,
        2.0,
    ]
    assert rows["retrieval_1m_gb"]["value"] == 0.5
    assert len(lines["growth_retrieval_candidates_time"]) == 4
    assert rows["growth_retrieval_candidates_time"]["value"] == pytest.approx(1)
    assert rows["growth_retrieval_candidates_memory"]["value"] == pytest.approx(0, abs=1e-9)


def job(best: float, pace: float, mb: float) -> dict:
    """A run that scores 50, then `best`, after each `pace` seconds on one core and a half."""
    points = [[0, 2.0, 3.0, 0.0], [20, 2 + pace, 3 + 1.5 * pace, 50.0]]
    points += [[40, 2 + 2 * pace, 3 + 3 * pace, best]]
    return {"tokens": 120.0, "points": points, "mb": mb}


def test_peers_are_compared_at_the_score_that_both_sides_reach():
    found = {"standard": [job(80.0, 1.0, 10.0)], "transformers": [job(79.5, 5.0, 90.0)]}
    found |= {"dann": [job(80.0, 2.0, 10.0)], "pytorch-adapt": [job(50.5, 9.0, 50.0)]}
    rows = {row["side"]: row for row in peers.compare(found)}
    assert [rows[name]["score"] for name in found] == [78.5, 78.5, 49.5, 49.5]
    assert [rows[name]["clock"] for name in found] == [4.0, 12.0, 4.0, 11.0]
    assert [rows[name]["processor"] for name in found] == [6.0, 18.0, 6.0, 16.5]
    assert [rows[name]["loop"] for name in found] == [60.0, 12.0, 30.0, 120 / 18]
    assert [rows[name]["tokens"] for name in found] == [30.0, 10.0, 20.0, 6.0]
    text = peers.markdown([*rows.values()], 1)
    assert "78.5 % of the English development set (best 80.0 and 79.5 %) in 3.00 times" in text
    assert "| pytorch-adapt 0.0.83 | 2 | 11.0 | 16.5 |" in text and "1 round, medians" in text


def test_what_is_looked_at_does_not_count():
    watch = Stopwatch()
    before = watch.seconds()
    watch.look(3, lambda: time.sleep(0.3) or 7.0)
    spent = [b - a for a, b in zip(before, watch.seconds(), strict=True)]
    assert 0 <= spent[0] < 0.2 and 0 <= spent[1] < 0.2
    assert watch.points[0][0] == 3 and watch.points[0][3] == 7.0
    assert watch.points[0][1] >= before[0] > 0


def test_a_peer_has_an_environment_of_its_own_beside_one_torch(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    code = "import sys, torch, importlib.util as u; print(torch.__file__); print(sys.prefix)"
    python = peers.environment("transformers")
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    where, prefix = found.stdout.split()
    import torch

    assert where == torch.__file__ and prefix == str(python.parents[1])
    made = python.stat().st_mtime_ns
    assert peers.environment("transformers") == python and python.stat().st_mtime_ns == made
