"""What is made of a finished study outside its notebooks: page, verdict, tables, comparison."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from xgrl import stats
from xgrl.execution.checks import check_tuned
from xgrl.report import claims, packs, tuning
from xgrl.report import reference as published
from xgrl.report.html import html
from xgrl.report.summary import mark, write_tables
from xgrl.runs import params
from xgrl.runs.study_files import find_study

REPORT, INCOMPLETE = "report.html", "incomplete.html"  # pages: of a study, of a part of it
app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 1 where `verify` found differences or `pack` left a run out, 2 where something
    is missing or broken; of `report`, that of its notebook.
    """
    try:
        app(arguments, prog_name="python -m xgrl.report.cli")
    except SystemExit as end:
        return end.code
    except (ValueError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2


@app.command("html")
def html_page(analysis: Path, page: str = REPORT) -> None:
    """Turn the executed notebook in outputs/STUDY/analysis into report.html, for offline use."""
    verdict = claims.verdict(claims.read(analysis / "summary.json"))
    html(analysis / "05_analysis.ipynb", analysis / page, verdict)
    (analysis / (INCOMPLETE if page == REPORT else REPORT)).unlink(missing_ok=True)
    print(analysis / page)


@app.command()
def summary(study: Path) -> None:
    """Print what ran in outputs/STUDY, the verdict, the numbers behind it, where the report is."""
    values = claims.parsed(study / "analysis" / "summary.json")
    comparison, (whole, *targets) = values["comparison"], values["table"]
    scores = [f"{arm} {score:.1f}" for arm, score in whole["scores"].items() if score is not None]
    tests = {"sign flip": comparison["p_signflip"], "crossed": comparison["p_crossed"]}
    hours = f"{values['core_hours']:.2f} core hours"
    if left := len(values.get("beside", [])):
        hours += f"; {left} in its folder that the study file does not ask for are not counted"
    print(f"study {values['study']}: {values['runs']} runs, {values['blocks']} blocks, {hours}")
    print(f"verdict: {claims.verdict(values)}")
    p_values = ", ".join(f"{name} p {stats.p_format(p)}" for name, p in tests.items())
    print(f"zero-shot macro, %: {', '.join(scores)}; {p_values}")
    effects = ", ".join(f"{row['target']}{mark(row)} {row['theta']:+.2f}" for row in targets)
    print(f"by target, points: {effects or 'nothing is compared'}")
    pages = [study / "analysis" / name for name in (INCOMPLETE, REPORT)]
    print(f"report: {next(filter(Path.exists, pages), pages[-1])}")


def _design(study: Path) -> dict[str, Any]:
    """The merged study file of outputs/STUDY; ValueError where there is none."""
    if not (design := find_study(study.name)):
        raise ValueError(f"params/{study.name}.yaml: no such study file")
    check_tuned(design)
    return design


@app.command()
def pack(study: Path) -> None:
    """Write what is finished of outputs/STUDY, a file a checkpoint, to outputs/STUDY/packs."""
    said, large = packs.pack(study, _design(study))
    print("\n".join([*said, *large]))
    if large:
        raise typer.Exit(1)


@app.command()
def unpack(study: Path, files: list[Path]) -> None:
    """Verify packs and take their runs into outputs/STUDY."""
    print("\n".join(packs.unpack(files, study, _design(study))))


@app.command()
def report(study: Path, reference: Path) -> None:
    """Analyse what is there of outputs/STUDY, with packs in the reference folder, and say what is
    missing. An incomplete study has no report.html, and no run.json in analysis/, so that `make
    study` does it again; its page is incomplete.html.
    """
    design, analysis = _design(study), study / "analysis"
    given = {reference / "packs" / packs.file_name(p) for p in packs.missing_runs(study, design)}
    if files := sorted(path for path in given if path.exists()):
        unpack(study, files)
    checked = params.load_study(design)
    job = checked.job("05_analysis", design=checked.model_dump(), outputs=str(study.parent))
    command = [sys.executable, "-m", "xgrl.execution.execute", "notebooks/05_analysis.ipynb"]
    command += [str(analysis / "05_analysis.ipynb"), "--json", json.dumps(job)]
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    quiet = {"env": os.environ | threads, "stdout": subprocess.DEVNULL}
    if code := subprocess.run(command, **quiet).returncode:
        raise typer.Exit(code)
    if missing := list(packs.describe_missing(study, design)):
        (analysis / "run.json").unlink()
    html_page(analysis, INCOMPLETE if missing else REPORT)
    summary(study)
    for sentence in missing:
        print(f"missing: {sentence}")


@app.command()
def tune(study: str, stage: int = 0, part: str = "") -> None:
    """Print the parts of a stage of a study's tuning (1: the baseline's trials, 2: the others');
    without a stage, write what was selected. What there is to say goes to standard error.
    """
    parts, said = tuning.next_parts(study, stage, part) if stage else ([], tuning.finish(study))
    print("\n".join(said), file=sys.stderr, end="\n" * bool(said))
    print(*parts)


@app.command()
def readme(summary: Path, pages: list[Path]) -> None:
    """Put the results, targets and claims of a summary.json between their markers of pages."""
    write_tables(summary, pages)


@app.command()
def publish(study: Path, reference: Path) -> None:
    """Copy what a study is cited by into the reference folder."""
    published.publish(study, reference)
    print(f"{study} -> {reference}")


@app.command()
def verify(study: Path, reference: Path) -> None:
    """Say what differs from published results: scores, verdict, bytes of predictions."""
    if (reference / "runs.json").exists():
        equal, count = published.verify_predictions(study, reference)
        print(f"predictions: {equal} of {count} runs are equal bit for bit")
    differences = published.verify(study, reference)
    verdict = published.verify_verdict(study, reference)
    if differences.empty and verdict.empty:
        print("every score is equal, and so is the verdict")
        return
    if len(differences):
        print(differences.to_string(max_rows=40))
        points = differences.difference.abs()
        size = f"{len(points)} scores differ, by at most {points.max():.4g} points"
        print(f"{size}; {int(points.isna().sum())} are on one side only")
        table = points.groupby([differences.target, differences.arm]).agg(["size", "mean", "max"])
        table.columns = ["scores", "mean points", "largest"]
        print(table.to_string(float_format="%.4g"))
    text = verdict.to_string(index=False, float_format="%.4g")
    print("the verdict and its numbers are equal" if verdict.empty else text)
    raise typer.Exit(1)


if __name__ == "__main__":
    sys.exit(main())
