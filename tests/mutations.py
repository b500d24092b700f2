"""Would the notebooks' checked cells catch a fault in the library? Break it on purpose, and see
which notebook and cell say so.

    python -m tests.mutations [NAME ...]

Each fault is put into a copy of the library in a scratch folder, never into the library itself;
nbval then runs the notebooks that it names on that copy, with the data of the smoke study. Printed
is one line a fault: the cells that no longer give what is stored, or fail. Exit 1 where a fault
goes unseen. Not a test of the suite: it takes a few minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CELL = re.compile(r"^FAILED \S*?(\w+)\.ipynb::(?:ipynb::)?Cell (\d+)", re.M)


@dataclass(frozen=True)
class Fault:
    """In `file` of the library `right` becomes `wrong`; `notebooks` are the ones to be run, in
    order.
    """

    file: str
    right: str
    wrong: str
    notebooks: tuple[str, ...]


FAULTS = {
    "gradient reversal's sign": Fault(
        "models/grl.py", "return -ctx.weight * gradient", "return ctx.weight * gradient", ("00",)
    ),
    "lambda rises too slowly": Fault(
        "models/grl.py", "math.exp(-10 * progress)", "math.exp(-1 * progress)", ("00",)
    ),
    "the farthest is found": Fault(
        "retrieval.py",
        "torch.mm(rows, other.T, out=out)",
        "torch.mm(-rows, other.T, out=out)",
        ("00",),
    ),
    "vocabulary off by one": Fault(
        "text.py", "= np.arange(len(kept), dtype", "= np.arange(1, len(kept) + 1, dtype", ("01",)
    ),
    "vocabulary rows rotated": Fault(
        "text.py",
        "np.arange(len(kept), dtype=np.int32)",
        "np.roll(np.arange(len(kept), dtype=np.int32), 1)",
        ("01",),
    ),
    "languages shuffled": Fault(
        "arms/dann.py",
        'for each text, (U,)."""\n        return domains',
        'for each text, (U,)."""\n        return domains[torch.randperm(len(domains))]',
        ("02",),
    ),
    "sign flip one-sided": Fault(
        "stats/randomisation.py",
        "(np.abs(sums) >= threshold).sum(0)",
        "(sums >= threshold).sum(0)",
        ("05",),
    ),
}


def broken(folder: Path, fault: Fault) -> None:
    """A copy in `folder` of what notebooks need, with the fault in its library; ValueError where
    the text is not there.
    """
    shutil.copytree(
        ROOT / "lib" / "xgrl", folder / "lib" / "xgrl", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("notebooks", "params", "outputs/reference"):
        shutil.copytree(ROOT / name, folder / name)
    if any(stem >= "02" for stem in fault.notebooks):
        shutil.copytree(ROOT / "outputs" / "smoke", folder / "outputs" / "smoke")
    place = folder / "lib" / "xgrl" / fault.file
    text = place.read_text()
    if text.count(fault.right) != 1:
        raise ValueError(
            f"{fault.file}: {fault.right!r} is there {text.count(fault.right)} times, expected once"
        )
    place.write_text(text.replace(fault.right, fault.wrong))


def caught(fault: Fault) -> list[tuple[str, int]]:
    """Notebook and number of each cell that fails with the fault, the first failing one first."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        broken(folder, fault)
        books = [
            str(next((folder / "notebooks").glob(f"{stem}_*.ipynb"))) for stem in fault.notebooks
        ]
        environment = os.environ | {"PYTHONPATH": str(folder / "lib"), "OMP_NUM_THREADS": "1"}
        options = [
            "--nbval-lax",
            "--nbval-current-env",
            "--nbval-cell-timeout=300",
            "-q",
            "-rf",
            "--tb=no",
            "--rootdir",
            scratch,
        ]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *books]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"nbval did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [(stem, int(cell)) for stem, cell in CELL.findall(done.stdout)]


def main(names: list[str]) -> int:
    used = sorted({stem for name in names or FAULTS for stem in FAULTS[name].notebooks})
    # nothing is changed
    if found := caught(Fault("text.py", "def kept_ids", "def kept_ids", tuple(used))):
        print(
            f"these fail without any fault: {found}; make smoke, and make the notebooks pass first"
        )
        return 1
    unseen = 0
    for name in names or FAULTS:
        found = caught(FAULTS[name])
        unseen += not found
        cells = ", ".join(f"{stem} cell {cell}" for stem, cell in found)
        print(f"{name:28s} {FAULTS[name].file:22s} {cells or 'NOT SEEN'}", flush=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
