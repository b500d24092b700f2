"""Data sets of the hub: one split of one configuration, as files of plain data, without running any
code of theirs.

The files of a split are found in the listing of the repository (its README's ``configs``, or one of
the usual layouts) and handed to `datasets.load_dataset`, so that only they are downloaded, not the
other splits and languages of the data set.

``XGRL_HUB_MIRROR=<folder>`` reads ``<folder>/<owner>/<name>/...`` instead, clones of the
repositories: for clusters that reach no hub (what was downloaded earlier is not found again without
a network), and for the tests. A clone of the branch `PARQUET` may lie in the same folder as one of
the main branch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from xgrl.tasks.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datasets import Dataset, IterableDataset

MIRROR = "XGRL_HUB_MIRROR"
# the branch to which the hub itself converts data sets that come with a script
PARQUET = "refs/convert/parquet"
KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}
LAYOUTS = ("{config}/{split}/*", "{config}/{split}-*", "{config}/{split}.*")
FLAT = ("data/{split}-*", "data/{split}.*", "{split}-*", "{split}.*", "{split}/*")
NO_NETWORK = (
    f"no network to the hub ({{}}); connect, or set {MIRROR} to a folder of clones "
    f"(<owner>/<name>/...), or use source='files'"
)
REASONS = {  # by the name of an error's class; the more special first
    "GatedRepoError": "gated; accept its terms on its page, log in with `hf auth login`, and run again",
    "RepositoryNotFoundError": "the hub has no such data set, or not for you; look for its new name, or log in",
    "RevisionNotFoundError": "the hub has no such revision; take another, or None for the main branch",
    "HfHubHTTPError": f"the hub answered {{}}; run again later, or set {MIRROR}",
    "TransportError": NO_NETWORK,
    "OfflineModeIsEnabled": NO_NETWORK,
    "ConnectionError": NO_NETWORK,
}


@dataclass(frozen=True)
class Part:
    """Where rows come from: one split of one configuration of a data set of the hub.

    Attributes:
        id: "<owner>/<name>".
        config: a configuration; "" when the data set has one only.
        split: as the hub calls it.
        revision: branch, tag or commit; None for main.
    """

    id: str
    config: str = ""
    split: str = "train"
    revision: str | None = None

    def __str__(self) -> str:
        """What errors call it."""
        branch = f", revision {self.revision}" if self.revision else ""
        return f"{self.id} (config {self.config or 'default'}, split {self.split}{branch})"


def load_part(part: Part, streaming: bool = False) -> Dataset | IterableDataset:
    """The rows of a part, in the data set's own columns.

    Args:
        part: what to load.
        streaming: read rows as they are asked for, and keep nothing.

    Returns:
        A memory-mapped `datasets.Dataset`, kept in the cache of `datasets`; an `IterableDataset` if
        streaming.

    Raises:
        SourceError: no network, no such data set, configuration or split, gated, only a script, or
            damaged files; it says what was found and what to do.
    """
    from datasets import load_dataset

    root, listing, card = _mirrored(part) if os.environ.get(MIRROR) else _listed(part)
    found = _split_files(part, listing, card)
    kind = KINDS[_ending(found[0])]
    files = {"train": [f"{root}/{name}" for name in found]}
    with explained(part):
        return load_dataset(kind, data_files=files, split="train", streaming=streaming)


def _mirrored(part: Part) -> tuple[str, list[str], str]:
    """Root, file names and README of a clone in the mirror."""
    mirror = Path(os.environ[MIRROR]).expanduser().resolve()
    root = mirror / part.id
    if not root.is_dir():
        there = _some(
            sorted(
                folder.relative_to(mirror).as_posix()
                for folder in mirror.glob("*/*")
                if folder.is_dir()
            )
        )
        raise SourceError(
            f"{part}: {MIRROR}={mirror} has no folder {part.id}; it holds {there}; clone the data "
            f"set into it"
        )
    names = (file.relative_to(root) for file in root.rglob("*") if file.is_file())
    # not git's own
    files = sorted(name.as_posix() for name in names if not name.parts[0].startswith("."))
    readme = root / "README.md"
    return (
        str(root),
        files,
        readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else "",
    )


def _listed(part: Part) -> tuple[str, list[str], str]:
    """Root, file names and README of a data set on the hub itself, at the commit that its branch is
    at now.
    """
    from huggingface_hub import HfApi

    with explained(part):
        # fails at once where there is no network
        info = HfApi().dataset_info(part.id, revision=part.revision, timeout=30)
        files = sorted(file.rfilename for file in info.siblings or [])
        card = ""
        if "README.md" in files:
            name = HfApi().hf_hub_download(
                part.id, "README.md", repo_type="dataset", revision=info.sha
            )
            card = Path(name).read_text(encoding="utf-8", errors="replace")
    return f"hf://datasets/{part.id}@{info.sha}", files, card


def _split_files(part: Part, listing: Sequence[str], card: str) -> list[str]:
    """The data files of a part, in order; SourceError names the configurations or splits that there
    are.
    """
    data = [name for name in listing if _ending(name) in KINDS]
    configs = _configs(card)
    plain = part.config in ("", "default")
    splits = configs.get(part.config) or (
        next(iter(configs.values())) if plain and len(configs) == 1 else {}
    )
    layouts = [
        layout.format(config=part.config or "default", split=part.split) for layout in LAYOUTS
    ]
    layouts += [layout.format(split=part.split) for layout in FLAT] if plain else []
    named = [
        [
            name
            for name in data
            if any(fnmatchcase(name, pattern) for pattern in splits.get(part.split, ()))
        ]
    ]
    usual = [
        [name for name in data if fnmatchcase(name, way) and name.count("/") == way.count("/")]
        for way in layouts
    ]
    for found in [*usual, *named] if part.revision == PARQUET else [*named, *usual]:
        if found:
            return found
    if splits and part.split not in splits:
        raise SourceError(
            f"{part}: no such split; found: {_some(splits)}; choose one of these, or fetch a "
            f"newer revision"
        )
    raise SourceError(f"{part}: {_missing(part, listing, data, configs)}")


def _missing(
    part: Part, listing: Sequence[str], data: Sequence[str], configs: Mapping[str, object]
) -> str:
    """Why no file of the listing belongs to a part."""
    scripts = [name for name in listing if name == f"{part.id.rpartition('/')[2]}.py"]
    if not data and scripts:
        return (
            f"the data set is a script ({scripts[0]}), and no code of others is run; "
            f"use its parquet copy, revision {PARQUET!r}, or source='files'"
        )
    if not data:
        return (
            f"no parquet or JSON lines among its files: {_some(listing)}; use revision "
            f"{PARQUET!r}, or source='files'"
        )
    folders = sorted({name.split("/")[0] for name in data if "/" in name} - {"data"})
    known = sorted(configs) or folders
    own = [name for name in data if part.config and name.startswith(f"{part.config}/")]
    if part.config and known and part.config not in known:
        return (
            f"no such config; found: {_some(known)}; choose one of these, or fetch a newer revision"
        )
    splits = sorted(
        {re.split(r"[-./]", name.removeprefix(f"{part.config}/"))[0] for name in own or data}
    )
    return f"no such split; found: {_some(splits)}; choose one of these, or fetch a newer revision"


def _configs(card: str) -> dict[str, dict[str, list[str]]]:
    """Configuration -> split -> patterns of files, from the YAML at the head of a README; empty
    where it has none.
    """
    if not card.startswith("---"):
        return {}
    try:
        head = yaml.safe_load(card.split("\n---", 1)[0].removeprefix("---")) or {}
    except yaml.YAMLError:
        return {}
    return {
        str(config["config_name"]): _patterns(config["data_files"])
        for config in head.get("configs", ())
        if "data_files" in config
    }


def _patterns(files: Any) -> dict[str, list[str]]:
    """Split -> patterns, from any of the forms that ``data_files`` may have."""
    if isinstance(files, list) and files and isinstance(files[0], Mapping):
        files = {entry["split"]: entry["path"] for entry in files}
    if not isinstance(files, Mapping):
        files = {"train": files}
    return {
        str(split): [paths] if isinstance(paths, str) else list(paths)
        for split, paths in files.items()
    }


def _ending(name: str) -> str:
    """The ending that says how to read a file, whether or not gzip is around it."""
    name = name.removesuffix(".gz")
    return (
        ""
        if name.endswith((".tar", "dataset_infos.json", "dataset_info.json"))
        else Path(name).suffix
    )


def _some(names: Iterable[str]) -> str:
    """At most 20 names for an error message."""
    names = list(names)
    return (", ".join(names[:20]) or "nothing") + (
        f" and {len(names) - 20} more" if len(names) > 20 else ""
    )


@contextmanager
def explained(part: Part) -> Iterator[None]:
    """Turn what `datasets`, `huggingface_hub` and their HTTP library raise into a SourceError of
    one line.

    To be put around the reading of streamed rows, which is when a stream's errors come.
    """
    from datasets.exceptions import DatasetsError

    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        chain = [error]
        while (
            cause := chain[-1].__cause__ or chain[-1].__context__
        ) is not None and cause not in chain:
            chain.append(cause)
        for cause in chain:
            kinds = [kind.__name__ for kind in type(cause).__mro__]
            if reason := next((text for name, text in REASONS.items() if name in kinds), None):
                raise SourceError(f"{part}: {reason.format(_line(cause))}") from error
        if not isinstance(error, (OSError, ValueError, RuntimeError, DatasetsError)):
            raise
        raise SourceError(
            f"{part}: its files could not be read ({_line(chain[-1])}); fetch them anew"
        ) from error


def _line(error: BaseException) -> str:
    """Type and first line of an error."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:160]}"
