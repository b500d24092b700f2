"""Which analysis plan a study has, its hash in the records of runs, and its versions in git.

`params/analysis_plan.<study>.md` is the plan of that study; `params/analysis_plan.md` that of the
study which its front matter names. A run's record holds the plan's hash at its time: what is known
of the order of plan and runs. It is no part of what identifies a finished run, so that to mend a
plan reruns nothing (`xgrl.report.plan` says which runs count under it).
"""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Version:
    """A plan's bytes as a commit holds them, and the commit's hash and date (committer's, ISO)."""

    data: bytes
    commit: str
    date: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def plan_file(study: str, folder: str | Path = "params") -> Path | None:
    """The file of a study's plan, or None. The common file counts where its `study:` says so."""
    own, common = Path(folder) / f"analysis_plan.{study}.md", Path(folder) / "analysis_plan.md"
    if own.exists():
        return own
    text = common.read_text(encoding="utf-8") if common.exists() else ""
    named = re.search(r"^study:\s*(\S+)", text, re.MULTILINE)
    return common if named and named[1].strip("\"'") == study else None


def plan_hash(study: str, folder: str | Path = "params") -> str | None:
    """SHA-256 of the study's plan as it is now; None where it has none."""
    path = plan_file(study, folder)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else None


def versions(path: Path) -> list[Version] | None:
    """The committed versions of a plan, oldest first; [] where no commit holds it, None where there
    is no history to ask: no git, an exported archive, a shallow clone.
    """

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(path.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    try:
        if git("rev-parse", "--is-shallow-repository").strip() != b"false":
            return None
        log = git("log", "--reverse", "--diff-filter=AM", "--format=%H %cI", "--", path.name)
        commits = [line.split() for line in log.decode().splitlines()]
        return [Version(git("show", f"{c}:./{path.name}"), c, date) for c, date in commits]
    except (OSError, subprocess.CalledProcessError):
        return None
