"""Is all there that a study reads from files of the user's?

    python -m xgrl.execution.check_data params/base.yaml params/xtreme-r.yaml    (make check-data)

All that is missing or not what it should be, by task, and where it can be had; exit code 2 then.
Where ``<study>.sha256`` lies beside the study's file, files that it does not have are only named.
"""

import sys
from pathlib import Path

from xgrl.execution.placement import answer
from xgrl.runs.records import hash_file
from xgrl.runs.study_files import read_study


def check(files: list[str]) -> str:
    """What to say of the files of a study; ValueError with the table of what is wrong."""
    config = read_study(*files)
    fixed = config.get("fixed")
    if "files" not in str(fixed.get("sources") if isinstance(fixed, dict) else ""):
        return f"study {config.get('study')} reads no files of yours"
    # a second to import
    from tabulate import tabulate

    from xgrl.execution.checks import check_study
    from xgrl.execution.grid import arms_with_texts, parameters_of_runs
    from xgrl.prepare.needed_files import COLUMNS, all_files, folder_of, needed, wrong_files
    from xgrl.tasks.files import wanted_files
    from xgrl.tasks.sources.files import find_all

    study = check_study(config)
    runs = (name for name in parameters_of_runs(study) if name != "prepared")
    if all(Path(study.outputs, study.study, name, "run.json").exists() for name in runs):
        return f"study {study.study}: all of its runs have finished, none reads any more"
    job = study.job("01_prepare", arms=arms_with_texts(study))
    try:
        folder = folder_of(job)
    except ValueError as error:
        columns = ("task", "split", COLUMNS[3], "files of the first language", "languages")
        heading, rows = f"{error}; it holds for study {study.study}:", [columns, *all_files(job)]
    else:
        heading = f"files of study {study.study} in {folder}:"
        rows = [COLUMNS, *wrong_files(job)]
    if rows[1:]:
        table = tabulate(rows, tablefmt="plain", disable_numparse=True)
        raise ValueError(f"{heading}\n{table}")
    there = sum(what.task != "parallel" for what in needed(job))
    said = f"study {study.study}: all {there} splits and languages are in {folder}"
    if (published := Path(files[-1]).with_suffix(".sha256")).exists():
        words = published.read_text(encoding="utf-8").split()
        hashes = dict(zip(words[1::2], words[::2], strict=True))
        wanted = (w for n in needed(job) for w in wanted_files(n.task, n.language, n.split))
        read = {file for own, names in wanted for file in find_all(folder, own, names)}
        names = {file.relative_to(folder).as_posix(): file for file in sorted(read)}
        others = [name for name in names if hash_file(names[name]) != hashes.get(name)]
        if others:
            said += f"\n{len(others)} are not those of {published.name}: {', '.join(others)}"
    return said


def main(files: list[str]) -> int:
    """Command line; 0, or 2 where something is missing."""
    return answer(check, files)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
