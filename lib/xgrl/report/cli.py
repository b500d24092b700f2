"""What is made of a finished study outside its notebooks: page, verdict, tables, comparison."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from xgrl.report import reference as published
from xgrl.report.html import html
from xgrl.report.summary import mark, write_tables

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 1 where `verify` found differences, 2 where something is missing or broken."""
    try:
        app(arguments, prog_name="python -m xgrl.report.cli")
    except SystemExit as end:
        return end.code
    except (ValueError, FileNotFoundError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2


@app.command("html")
def html_page(analysis: Path) -> None:
    """Turn the executed notebook in outputs/STUDY/analysis into report.html, for offline use."""
    verdict = json.loads((analysis / "summary.json").read_bytes())["verdict"]
    print(html(analysis / "05_analysis.ipynb", analysis / "report.html", verdict))


@app.command()
def summary(study: Path) -> None:
    """Print what ran in outputs/STUDY, the verdict, the numbers behind it, where the report is."""
    values = json.loads((study / "analysis" / "summary.json").read_bytes())
    comparison, (whole, *targets) = values["comparison"], values["table"]
    scores = [f"{arm} {score:.1f}" for arm, score in whole["scores"].items() if score is not None]
    tests = {"sign flip": comparison["p_signflip"], "crossed": comparison["p_crossed"]}
    hours = f"{values['core_hours']:.2f} core hours"
    if left := len(values.get("beside", [])):
        hours += f"; {left} in its folder that the study file does not ask for are not counted"
    print(f"study {values['study']}: {values['runs']} runs, {values['blocks']} blocks, {hours}")
    print(f"verdict: {values['verdict']}")
    p_format = {name: "not estimable" if p is None else f"{p:.2g}" for name, p in tests.items()}
    p_values = ", ".join(f"{name} p {p}" for name, p in p_format.items())
    print(f"zero-shot macro, %: {', '.join(scores)}; {p_values}")
    effects = ", ".join(f"{row['target']}{mark(row)} {row['theta']:+.2f}" for row in targets)
    print(f"by target, points: {effects}")
    print(f"report: {study / 'analysis' / 'report.html'}")


@app.command()
def readme(summary: Path, page: Path) -> None:
    """Put the results table of a summary.json between its markers of a Markdown page."""
    write_tables(summary, page)


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
        groups = points.groupby([differences.target, differences.arm])
        table = groups.agg(["size", "mean", "max"])
        table.columns = ["scores", "mean points", "largest"]
        print(table.to_string(float_format="%.4g"))
    equal = "the verdict and its numbers are equal"
    print(equal if verdict.empty else verdict.to_string(index=False, float_format="%.4g"))
    raise typer.Exit(1)


if __name__ == "__main__":
    sys.exit(main())
