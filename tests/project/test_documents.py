"""README, REPRODUCE and docs: short enough, every link, path, module, command and option is there,
and every number in their prose is that of a published file.
"""

import json
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path

import evaluate
import pandas as pd
import pytest

from simulated_predictions import predictions
from xgrl.evaluation.scoring import METRICS
from xgrl.report.summary import MARKED

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "REPRODUCE.md", *DOCS, *sorted((ROOT / "params").glob("*.md"))]
FOLDERS = ("lib/", "params/", "notebooks/", "tests/", "profiles/", "docs/", "outputs/reference/")
TO_BE_WRITTEN = ("lib/xgrl/arms/coral.py", "params/mine.yaml")  # by the reader
pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)


def test_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert len(MARKED.sub("", text).split()) <= 1250
    assert not [page.name for page in DOCS if f"](docs/{page.name})" not in text]


@pages
def test_links_lead_to_files_and_need_no_anchor(page):
    """Anchors are spelt in one way by JupyterLab and in another by GitHub."""
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    inside = [link for link in links if not link.startswith("https://")]
    assert not [link for link in inside if "#" in link or not (page.parent / link).exists()]


def test_what_reproduce_points_at_is_there():
    text = (ROOT / "REPRODUCE.md").read_text()
    names = re.findall(r"`([A-Z]+(?:\.\w+)?|(?:requirements|environment)\.\w+)`", text)
    paths = [path for path in re.findall(r"`([\w./-]+)`", text) if path.startswith(FOLDERS)]
    assert len(names + paths) > 20 and not [name for name in names if not (ROOT / name).exists()]


@pages
def test_paths_names_and_commands_exist(page):
    text = page.read_text()
    paths = [path for path in re.findall(r"`([\w./-]+)`", text) if path.startswith(FOLDERS)]
    assert not [p for p in paths if not (ROOT / p).exists() and p not in TO_BE_WRITTEN]
    for name in re.findall(r"\bxgrl(?:\.[a-z_A-Z]\w*)+", text):
        parent, _, attribute = name.rpartition(".")
        assert hasattr(import_module(parent), attribute) or find_spec(name), name
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", text, re.M)) <= made
    for module, rest in re.findall(r"python -m ([\w.]+)([^`\n]*)", text):
        if module != "pip":
            spec = find_spec(module)
            if spec.submodule_search_locations:
                spec = find_spec(f"{module}.__main__")
            source = Path(spec.origin).read_text(encoding="utf-8")
            options = re.findall(r"--([a-z-]+)", rest.split("#")[0])
            assert not [o for o in options if o not in source and o.replace("-", "_") not in source]


def test_what_the_page_of_the_structure_leads_to_is_there():
    text = " ".join((ROOT / "docs/structure.md").read_text().split())
    rooms = re.findall(r"\| `lib/xgrl/(\w+)/` \|", text)
    assert set(rooms) == {path.parent.name for path in (ROOT / "lib/xgrl").glob("*/__init__.py")}
    found = re.findall(r"`lib/(xgrl/[\w/]+)\.py`, `([\w.]+)`", text)
    assert len(found) >= 6
    for module, name in found:
        attrgetter(name)(import_module(module.removesuffix("/__init__").replace("/", ".")))
    for notebook, section in re.findall(r"(0\d)(?:\]\([^)]*\))?, section (\d)", text):
        (path,) = (ROOT / "notebooks").glob(f"{notebook}_*.ipynb")
        assert f'"## {section}. ' in path.read_text()


def test_every_metric_loads_as_the_page_says():
    text = (ROOT / "docs/tasks.md").read_text()
    listed = re.findall(r'`evaluate\.load\("([^"]+)", "(\w+)"\)`', text)
    assert {name for _, name in listed} == set(METRICS)
    loaded = {name: evaluate.load(str(ROOT / path), name) for path, name in listed}
    scores = loaded["accuracy"].compute(predictions=[0, 1, 1], references=[0, 1, 0])
    assert f"references=[0, 1, 0])  # {scores}" in text


def test_the_table_of_speed_is_that_of_the_published_measurements():
    from benchmarks import table

    start, end = table.MARKERS
    found = (ROOT / "docs/speed.md").read_text().split(start)[1].split(end)[0]
    measured = json.loads((ROOT / "outputs/reference/bench.json").read_text())
    assert found.strip() == table.markdown(measured).strip()
    minutes = measured["laptop_minutes"]["value"]
    for name, said in (
        ("README.md", f"study takes {round(minutes, -1):.0f} minutes on two CPU cores"),
        ("README.md", f"| `make study` | {minutes:.0f} |"),
        ("docs/speed.md", f"took {minutes:.0f} minutes"),
    ):
        assert said in " ".join((ROOT / name).read_text().split())


@cache
def published(study: str, name: str = "analysis/summary.json") -> dict:
    return json.loads((ROOT / "outputs/reference" / study / name).read_text())


def metrics(study: str, phase: str, arm: str) -> pd.DataFrame:
    """What the published runs of one phase and arm measured, a row a run."""
    runs = published(study, "runs.json").values()
    rows = [r["metrics"] for r in runs if (r["phase"], r["parameters"].get("arm")) == (phase, arm)]
    return pd.DataFrame(rows)


def scores(study: str) -> pd.Series:
    """Target scores by (target, arm, language), mean over runs."""
    frame = pd.read_csv(
        ROOT / f"outputs/reference/{study}/analysis/results.csv",
        dtype={"language": str},
        keep_default_na=False,
    )
    frame = frame[frame.metric != "dev_accuracy"].astype({"score": float})
    return frame.groupby(["target", "arm", "language"]).score.mean()


def prose(name: str, heading: str) -> str:
    """A section on one line, without its tables, links' targets and code."""
    section = (ROOT / name).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    section = re.sub(r"(?m)^\|.*$", "", re.sub(r"(?s)<!-- .* -->", "", section))
    return " ".join(re.sub(r"\]\([^)]*\)", "]", section).split())


def held(text: str, phrases: list[str], *settings: str) -> None:
    """Each phrase stands in the text, and beside them and the study's settings no number with
    decimals or a percent sign does.
    """
    for phrase in phrases:
        assert phrase in text, phrase
        text = text.replace(phrase, "")
    for setting in settings:
        text = text.replace(setting, "")
    assert not re.findall(r"[-+]?\d*\.\d+(?: points)?|\d+ %", text)


def test_what_the_page_of_the_arms_says_of_an_older_commit():
    norms = {arm: metrics("arms", "intermediate", arm) for arm in ("shuffled", "dann", "dann-0.01")}
    norm = {arm: frame.arm_gradient_norm.mean() for arm, frame in norms.items()}
    share = (norms["dann"].arm_gradient_norm / norms["dann"].task_gradient_norm).mean()
    emoji = scores("arms").drop(index="en", level="language").groupby(["target", "arm"]).mean()
    gain = emoji["emoji-names", "robust-adversarial"] - emoji["emoji-names", "standard"]
    page = (ROOT / "docs/arms.md").read_text()
    held(
        " ".join(re.search(r"(?s)as of f0415bc:start -->(.*?)<!--", page)[1].split()),
        [
            f"a norm of {norm['shuffled']:.3f} on average, dann's {norm['dann']:.3f}, and even "
            f"dann-0.01's {norm['dann-0.01']:.3f}",
            f"gradient is {100 * share:.0f} % of the task's",
            f'"gains" {gain:.2f} points',
        ],
        "lambda_max 0.05", "at 0.1", "0.02",
    )  # fmt: skip


CALIBRATED = {  # the page's names of the tests, and those of the published rates
    "the larger of the two p": "larger of the two", "sign flip alone": "sign flip",
    "t test on seed means": "t on seed means", "stratified bootstrap": "stratified bootstrap",
    "one run, t test over items": "one run, item t", "pooled examples": "pooled examples",
}  # fmt: skip


def test_what_the_page_says_of_the_statistics():
    comparison = published("laptop")["comparison"]
    power = prose("docs/statistics.md", "Does it hold its level?")
    assert f"{comparison['minimal_effect']:.2f} points with 80 % power" in power
    page = (ROOT / "docs/statistics.md").read_text()
    calibration = json.loads((ROOT / "outputs/reference/calibration.json").read_text())["tests"]
    rates = {t["test"]: (100 * t["rate"], 100 * (t["coverage"] or 0)) for t in calibration}
    shown = re.findall(r"^\| ([^|]+) \| ([\d.]+ % \| [\d.]+ %) \|$", page, re.M)
    own = {said: rates[name] for said, name in CALIBRATED.items()}
    assert dict(shown) == {said: f"{x:.1f} % | {y:.1f} %" for said, (x, y) in own.items()}
    tables = json.loads((ROOT / "outputs/reference/calibration.json").read_text())
    designs, arms, control = (pd.DataFrame(tables[k]) for k in ("designs", "arms", "control"))
    answers = control.scores.str.startswith("answers")
    kinds = (
        designs.rate, arms.maxT[~arms["items vary"]], arms.maxT[arms["items vary"]], arms.both,
        control.rate[~answers], control.rate[answers],
    )  # fmt: skip
    assert re.findall(r"^\|.*\| ([\d.]+ to [\d.]+ %) \|$", page, re.M) == [
        f"{100 * rates.min():.1f} to {100 * rates.max():.1f} %" for rates in kinds
    ]
    assert min(designs.draws.min(), arms.draws.min(), control.draws.min()) >= 4000


@pytest.mark.embedded
def test_the_library_does_in_a_notebook_what_the_page_says(capsys):
    section = (ROOT / "docs/own.md").read_text().split("## In a notebook of your own")[1]
    there = {"predictions": predictions(shift=8.0)}
    exec(re.search(r"```python\n(.*?)```", section, re.S)[1], there)
    assert there["vectors"].shape == (2, 384) and len(there["rows"]) > 100
    assert "dann is better than standard" in capsys.readouterr().out
