"""Would the tests catch a fault in the library? Break it on purpose, and see which of them say so.

    python -m tests.mutations [NAME ...]

Each fault is put into a copy of the library in a scratch folder, never into the library itself. On
that copy run the tests that it names: notebooks (nbval, which compares their checked cells), or
files and folders of tests, first without what `make test` leaves out, then, where nothing fails,
that too. Printed is one line a fault: tier and test that caught it. Exit 1 where a fault goes
unseen or can no longer be made. Not a test of the suite: it takes a minute a fault.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.M)
COPIED = ("notebooks", "params", "outputs/reference", "tests", "benchmarks", "docs", "Makefile",
          "Snakefile", "README.md", "REPRODUCE.md", "pyproject.toml")  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """In `file` of the library `right` becomes `wrong`; `tests` are files or folders below tests/,
    or first words of notebooks' names.
    """

    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


FAULTS = {
    # the notebooks' checked cells
    "gradient reversal's sign": Fault(
        "models/grl.py", "return -ctx.weight * gradient", "return ctx.weight * gradient", ("00",)
    ),
    "lambda rises too slowly": Fault(
        "models/grl.py", "math.exp(-10 * progress)", "math.exp(-1 * progress)", ("00",)
    ),
    "the farthest is found": Fault(
        "evaluation/retrieval.py", "torch.mm(rows, other.T", "torch.mm(-rows, other.T", ("00",)
    ),
    "vocabulary off by one": Fault(
        "models/tokens.py",
        "= np.arange(len(kept), dtype",
        "= np.arange(1, len(kept) + 1, dtype",
        ("01",),
    ),
    "vocabulary rows rotated": Fault(
        "models/tokens.py",
        "np.arange(len(kept), dtype=np.int32)",
        "np.roll(np.arange(len(kept), dtype=np.int32), 1)",
        ("01",),
    ),
    "languages shuffled": Fault(
        "arms/dann.py",
        'once a step."""\n        return step.domains, None',
        'once a step."""\n        return step.domains[torch.randperm(len(step.domains))], None',
        ("02",),
    ),
    "sign flip one-sided": Fault(
        "stats/randomisation.py",
        "(np.abs(sums) >= threshold).sum(0)",
        "(sums >= threshold).sum(0)",
        ("05",),
    ),
    # two or three a room
    "a variant's method before its own": Fault(
        "runs/params.py",
        "_of(value, arm, method)",
        "_of(value, method, arm)",
        ("runs/test_params.py", "execution/test_grid.py"),
    ),
    "task and arm swapped in a folder": Fault(
        "runs/records.py",
        'f"{intermediate}.{arm}"',
        'f"{arm}.{intermediate}"',
        ("runs/test_records.py",),
    ),
    "Holm's factors upside down": Fault(
        "stats/multiplicity.py",
        "p[order] * np.arange(len(p), 0, -1)",
        "p[order] * np.arange(1, len(p) + 1)",
        ("stats/test_multiplicity.py",),
    ),
    "none's runs counted as if they were the baseline's": Fault(
        "stats/unpaired.py",
        "terms = np.stack([s2_x / B, s2_y / K])",
        "terms = np.stack([s2_x / B, s2_y / B])",
        ("stats/test_unpaired.py",),
    ),
    "exact interval off by one": Fault(
        "stats/intervals.py",
        "beta.ppf(tail, k, n - k + 1)",
        "beta.ppf(tail, k, n - k + 2)",
        ("stats/test_intervals.py",),
    ),
    "mean squares over the wrong axis": Fault(
        "stats/twoway.py",
        "row, column = D.mean(-1, keepdims=True), D.mean(-2, keepdims=True)",
        "row, column = D.mean(-2, keepdims=True), D.mean(-1, keepdims=True)",
        ("stats/test_twoway.py",),
    ),
    "a label one too high is accepted": Fault(
        "tasks/formats.py",
        "if index % 1 or not 0 <= index < (classes or index + 1):",
        "if index % 1 or not 0 <= index <= (classes or index + 1):",
        ("tasks/test_formats.py",),
    ),
    "near leaks over the wrong axis": Fault(
        "tasks/leakage.py",
        "a[i].multiply(b[j]).sum(axis=1)",
        "a[i].multiply(b[j]).max(axis=1).toarray()",
        ("tasks/test_leakage.py",),
    ),
    "distance with the wrong sign": Fault(
        "tasks/typology.py",
        "1 - a @ b / np.sqrt(",
        "1 + a @ b / np.sqrt(",
        ("tasks/test_typology.py",),
    ),
    "pooled with the padding": Fault(
        "models/heads.py",
        "(hidden * weights).sum(1) / weights.sum(1)",
        "hidden.sum(1) / weights.sum(1)",
        ("models/test_heads.py", "models/test_encoder.py"),
    ),
    "the layer below": Fault(
        "models/encoder.py", "layer %= depth + 1", "layer %= depth", ("models/test_encoder.py",)
    ),
    "centred along the wrong axis": Fault(
        "arms/centring.py",
        "vectors - vectors.mean(0)",
        "vectors - vectors.mean(1, keepdims=True)",
        ("arms/test_arms.py",),
    ),
    "language erased without whitening back": Fault(
        "arms/leace.py",
        "basis.T * root @ vectors.T",
        "basis.T / root @ vectors.T",
        ("arms/test_leace.py",),
    ),
    "the most likely translation is any but its own": Fault(
        "arms/alignment.py",
        "repeated & (own[:, None] != own)",
        "repeated | (own[:, None] == own)",
        ("arms/test_alignment.py",),
    ),
    "right and wrong translations swapped": Fault(
        "arms/lexical.py",
        "relu(margin + negative - right)",
        "relu(margin - negative + right)",
        ("arms/test_arms.py",),
    ),
    "a question loses its last token": Fault(
        "prepare/encode.py",
        "question[: min(offsets[longest - 1][1], offsets[longest][0])]",
        "question[: offsets[longest - 1][0]]",
        ("prepare/test_encode.py",),
    ),
    "an example loses its last sequence": Fault(
        "prepare/corpus.py",
        "np.arange(*self.units[u : u + 2])",
        "np.arange(self.units[u], max(self.units[u] + 1, self.units[u + 1] - 1))",
        ("prepare/test_corpus.py", "training/test_batches.py"),
    ),
    "the farther of two lengths": Fault(
        "prepare/lengths.py",
        "length - values[i - 1] <= values[i] - length",
        "length - values[i - 1] >= values[i] - length",
        ("prepare/test_lengths.py",),
    ),
    "the largest quota of cores counts": Fault(
        "execution/placement.py",
        "max(1, min([affinity,",
        "max(1, max([affinity,",
        ("execution/test_placement.py",),
    ),
    "the public encoder with every seed": Fault(
        "execution/grid.py", "seeds[:1] if once else seeds", "seeds", ("execution/test_grid.py",)
    ),
    "batches of unlike lengths": Fault(
        "training/batches.py",
        'bucket = chunk[np.argsort(lengths[chunk], kind="stable")]',
        "bucket = chunk",
        ("training/test_batches.py",),
    ),
    "features centred along the wrong axis": Fault(
        "training/diagnostics.py",
        "features - features.mean(0)",
        "features - features.mean(1, keepdims=True)",
        ("training/test_diagnostics.py",),
    ),
    "the worst pairs are mined first": Fault(
        "evaluation/retrieval.py",
        'order = np.argsort(-score, kind="stable")',
        'order = np.argsort(score, kind="stable")',
        ("evaluation/test_retrieval.py",),
    ),
    "average precision without its depth": Fault(
        "evaluation/metrics/ranking.py",
        "total / min(len(relevant), DEPTH)",
        "total / len(relevant)",
        ("evaluation/metrics/test_metrics.py",),
    ),
    "classes' means compared as one": Fault(
        "evaluation/probing/geometry.py",
        "(means[codes] - x.mean(0)) ** 2",
        "(means[codes] - x) ** 2",
        ("evaluation/probing/test_geometry.py",),
    ),
    "a discriminator acts within its error": Fault(
        "report/checks.py",
        "fresh.mean() + half < 0",
        "fresh.mean() - half < 0",
        ("report/test_checks.py",),
    ),
    "seen and unseen languages swapped": Fault(
        "report/by_language.py",
        "[:, seen].mean(1) - effects.blocks[:, ~seen].mean(1)",
        "[:, ~seen].mean(1) - effects.blocks[:, seen].mean(1)",
        ("report/test_by_language.py",),
    ),
    "a score differs but its count does not": Fault(
        "report/reference.py",
        "(both.difference == 0) & (both.n_here == both.n_reference)",
        "(both.difference == 0) | (both.n_here == both.n_reference)",
        ("report/test_reference.py",),
    ),
}


def breaks(fault: Fault, library: Path) -> str:
    """The text of the fault's file with the fault; ValueError where the right text is not there
    once.
    """
    text = (library / fault.file).read_text() if (library / fault.file).exists() else ""
    if text.count(fault.right) != 1:
        times = text.count(fault.right)
        raise ValueError(f"{fault.file}: {fault.right!r} is there {times} times, expected once")
    return text.replace(fault.right, fault.wrong)


def copy(folder: Path, data: bool) -> None:
    """What tests and notebooks need, in `folder`; with the data of the smoke study if asked."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lib" / "xgrl", folder / "lib" / "xgrl", ignore=ignored)
    for name in (*COPIED, *(["outputs/smoke"] if data else [])):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    if (ROOT.parent / "shared").exists():
        (folder.parent / "shared").symlink_to(ROOT.parent / "shared")


def failing(folder: Path, targets: list[str], *options: str) -> list[str]:
    """Names of the tests and cells that fail in a copy, at most the first of tests."""
    environment = os.environ | {"PYTHONPATH": str(folder / "lib"), "OMP_NUM_THREADS": "1"}
    nbval = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    options = [*options, "-q", "-rfE", "--tb=no", "--rootdir", str(folder), "--durations=0"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *nbval, *options, *targets]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1, 5):  # 5: no test left
        raise RuntimeError(f"pytest did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return FAILED.findall(done.stdout)


def caught(fault: Fault) -> tuple[str, list[str]]:
    """The tier that catches a fault, "" for none, and what fails in it."""
    long = re.search(r"^LONG = (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    books = [name for name in fault.tests if name.isdigit()]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "copy")
        copy(folder, data=any(name >= "02" for name in books))
        (folder / "lib" / "xgrl" / fault.file).write_text(breaks(fault, ROOT / "lib" / "xgrl"))
        paths = [str(next((folder / "notebooks").glob(f"{name}_*.ipynb"))) for name in books]
        if names := books and failing(folder, paths):
            return "make test", names
        paths = [str(folder / "tests" / name) for name in fault.tests if name not in books]
        for tier, marked in (("make test", f"not ({long})"), ("make test-all", long)):
            if names := paths and failing(folder, paths, "-x", "-m", marked):
                return tier, names
    return "", []


def main(names: list[str]) -> int:
    names = names or list(FAULTS)
    unmade = []
    for name in names:
        try:
            breaks(FAULTS[name], ROOT / "lib" / "xgrl")
        except ValueError as error:
            unmade.append(str(error))
    if unmade:
        print("\n".join(unmade))
        return 1
    used = tuple(dict.fromkeys(test for name in names for test in FAULTS[name].tests))
    nothing = Fault("__init__.py", "_WHERE = {", "_WHERE = {", used)
    if (found := caught(nothing))[0]:
        print(f"these fail without any fault: {found}; make smoke, and make the tests pass first")
        return 1
    unseen = 0
    for name in names:
        tier, tests = caught(FAULTS[name])
        unseen += not tier
        print(f"{name:38s} {tier or 'NOT SEEN':14s} {', '.join(tests)}", flush=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
