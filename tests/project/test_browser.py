"""Notebooks in JupyterLab in a real browser: open, run all cells, no error, links of the contents
lead to their sections.

Two notebooks by default; all six, the smoke study beside them, with ``XGRL_BROWSER=all``.
Screenshots are kept in the folder ``XGRL_SCREENSHOTS``, if that is set. JupyterLab works on a copy:
what it saves does not reach the project's own notebooks.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from browser.driver import browser, chromium, jupyterlab
from browser.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
EVERY = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
CHOSEN = EVERY if os.environ.get("XGRL_BROWSER") == "all" else EVERY[:2]
SMOKE = ROOT / "outputs" / "smoke"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium here (Debian: apt-get install chromium)"
    ),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of what notebooks read, so that JupyterLab may save into it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(
        ROOT / "notebooks",
        folder / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )
    shutil.copytree(ROOT / "params", folder / "params")
    shutil.copytree(ROOT / "outputs" / "reference", folder / "outputs" / "reference")
    if SMOKE.exists():
        shutil.copytree(SMOKE, folder / "outputs" / "smoke")
    return folder


@pytest.fixture(scope="module")
def lab(project, tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    with jupyterlab(project, home) as address, browser(home) as page:
        yield Lab(page, address)


@pytest.mark.parametrize("stem", CHOSEN)
def test_runs_from_top_to_bottom(lab, stem, tmp_path):
    if stem in EVERY[2:] and not (SMOKE / "analysis" / "run.json").exists():
        pytest.skip("the smoke study is not here: make smoke")
    lab.open(f"notebooks/{stem}.ipynb")
    cells = lab.run_all()
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
    assert not errors
    assert all(cell["execution_count"] for cell in code)
    noise = [
        "".join(o["text"])
        for o in outputs
        if o["output_type"] == "stream" and o["name"] == "stderr"
    ]
    assert not noise  # what readers would see in red
    assert any("image/png" in o.get("data", {}) for o in outputs) or stem in (
        "01_prepare",
        "03_target",
    )
    (contents,) = [
        text for cell in cells if (text := "".join(cell["source"])).startswith("**Contents:**")
    ]
    folder = Path(os.environ.get("XGRL_SCREENSHOTS", tmp_path))
    pictures = lab.pictures(folder, stem)
    assert len(pictures) > 1
    assert not lab.too_wide()
    link = re.findall(r"\[([^]]+)\]\(#", contents)[-1]
    lab.follow(link, link)
