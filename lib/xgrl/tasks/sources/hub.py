"""Data sets of the hub: one split of one configuration, as files of plain data, without running any
code of theirs.

The files of a split are found in the listing of the repository (its README's ``configs``, or one of
the usual layouts) and handed to `datasets.load_dataset`, so that only they are downloaded.
``load_dataset(id, config, split=split)`` would fetch and convert every split of a configuration
(for XNLI's 5,010 German test rows also its 392,702 training rows), finds no configurations on the
branch `PARQUET`, and refuses a clone in which a script lies beside the data.

``XGRL_HUB_MIRROR=<folder>`` reads ``<folder>/<owner>/<name>/...`` instead, clones of the
repositories: for clusters that reach no hub (without a network no download is found again), and for
the tests. A clone of the branch `PARQUET` may lie in the same folder as one of the main branch.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from xgrl.tasks.sources import SourceError, some

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

MIRROR = "XGRL_HUB_MIRROR"
PARQUET = "refs/convert/parquet"  # the hub itself converts data sets with a script to it
KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}
LAYOUTS = ("{config}/{split}/*", "{config}/{split}-*", "{config}/{split}.*")
FLAT = ("data/{split}-*", "data/{split}.*", "{split}-*", "{split}.*", "{split}/*")
CHOOSE = "choose one of these, or fetch a newer revision"
NO_NETWORK = (
    f"no network to the hub ({{}}); connect, or set {MIRROR} to a folder of clones "
    f"(<owner>/<name>/...), or use source='files'"
)
# fmt: off
REASONS = {  # by the name of an error's class; the more special first
    "GatedRepoError": "gated; accept its terms on its page, log in (`hf auth login`), run again",
    "RepositoryNotFoundError": "the hub has no such data set, or not for you; look for its new "
                               "name, or log in",
    "RevisionNotFoundError": "the hub has no such revision; take another, or None for main",
    "HfHubHTTPError": f"the hub answered {{}}; run again later, or set {MIRROR}",
} | dict.fromkeys(("TransportError", "OfflineModeIsEnabled", "ConnectionError"), NO_NETWORK)
# fmt: on


@dataclass(frozen=True)
class Part:
    """Where rows come from: one split of one configuration of a data set of the hub."""

    id: str  # "<owner>/<name>"
    config: str = ""  # "" when the data set has one only
    split: str = "train"  # as the hub calls it
    revision: str | None = None  # branch, tag or commit; None for main

    def __str__(self) -> str:
        """What errors call it."""
        branch = f", revision {self.revision}" if self.revision else ""
        return f"{self.id} (config {self.config or 'default'}, split {self.split}{branch})"


def load_part(part: Part, streaming: bool = False) -> "Dataset | IterableDataset":
    """The rows of a part, in the data set's own columns: a memory-mapped `datasets.Dataset`, kept
    in the cache of `datasets`; or, if `streaming`, an `IterableDataset` that keeps nothing.

    SourceError: no network, no such data set, configuration or split, gated, only a script, or
    damaged files; it says what was found and what to do.
    """
    from datasets import load_dataset

    root, listing, card = _mirrored(part) if os.environ.get(MIRROR) else _listed(part)
    names = _split_files(part, listing, card)
    files = {"train": [f"{root}/{name}" for name in names]}
    with explained(part):
        kind = KINDS[_ending(names[0])]
        return load_dataset(kind, data_files=files, split="train", streaming=streaming)


def _mirrored(part: Part) -> tuple[str, list[str], str]:
    """Root, file names and README of a clone in the mirror."""
    mirror = Path(os.environ[MIRROR]).expanduser().resolve()
    root = mirror / part.id
    if not root.is_dir():
        clones = [path for path in sorted(mirror.glob("*/*")) if path.is_dir()]
        held = some([str(path.relative_to(mirror)) for path in clones])
        found = f"{MIRROR}={mirror} has no folder {part.id}; it holds {held}"
        raise SourceError(f"{part}: {found}; clone the data set into it")
    names = (file.relative_to(root) for file in root.rglob("*") if file.is_file())
    # not git's own
    files = sorted(name.as_posix() for name in names if not name.parts[0].startswith("."))
    readme = root / "README.md"
    card = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    return str(root), files, card


def _listed(part: Part) -> tuple[str, list[str], str]:
    """Root, file names and README of a data set on the hub, at the commit its branch is at now."""
    from huggingface_hub import HfApi

    with explained(part):
        # fails at once where there is no network
        info = HfApi().dataset_info(part.id, revision=part.revision, timeout=30)
        files, card = sorted(file.rfilename for file in info.siblings or []), ""
        if "README.md" in files:
            place = {"repo_type": "dataset", "revision": info.sha}
            readme = HfApi().hf_hub_download(part.id, "README.md", **place)
            card = Path(readme).read_text(encoding="utf-8", errors="replace")
    return f"hf://datasets/{part.id}@{info.sha}", files, card


def _split_files(part: Part, listing: Sequence[str], card: str) -> list[str]:
    """The data files of a part, in order; SourceError names the configurations or splits found."""
    data = [name for name in listing if _ending(name) in KINDS]
    configs = _configs(card)
    plain = part.config in ("", "default")
    splits = configs.get(part.config, {})
    if plain and not splits and len(configs) == 1:
        (splits,) = configs.values()
    patterns = splits.get(part.split, ())
    named = [name for name in data if any(fnmatchcase(name, pattern) for pattern in patterns)]
    usual = []
    for layout in (*LAYOUTS, *(FLAT if plain else ())):
        form = layout.format(config=part.config or "default", split=part.split)
        alike = (name for name in data if name.count("/") == form.count("/"))
        usual.append([name for name in alike if fnmatchcase(name, form)])
    for files in [*usual, named] if part.revision == PARQUET else [named, *usual]:
        if files:
            return files
    if splits and part.split not in splits:
        raise SourceError(f"{part}: no such split; found: {some(splits)}; {CHOOSE}")
    raise SourceError(f"{part}: {_missing(part, listing, data, configs)}")


def _missing(
    part: Part, listing: Sequence[str], data: Sequence[str], configs: Mapping[str, object]
) -> str:
    """Why no file of the listing belongs to a part."""
    instead = f"revision {PARQUET!r}, or source='files'"
    script = f"{part.id.rpartition('/')[2]}.py"
    if not data and script in listing:
        refused = f"the data set is a script ({script}), and no code of others is run"
        return f"{refused}; use its parquet copy, {instead}"
    if not data:
        return f"no parquet or JSON lines among its files: {some(listing)}; use {instead}"
    known = sorted(configs or {name.split("/")[0] for name in data if "/" in name} - {"data"})
    if part.config and known and part.config not in known:
        return f"no such config; found: {some(known)}; {CHOOSE}"
    own = [name for name in data if part.config and name.startswith(f"{part.config}/")]
    names = (name.removeprefix(f"{part.config}/") for name in own or data)
    splits = sorted({re.split(r"[-./]", name)[0] for name in names})
    return f"no such split; found: {some(splits)}; {CHOOSE}"


def _configs(card: str) -> dict[str, dict[str, list[str]]]:
    """Configuration -> split -> patterns of files, from the YAML at a README's head, {} without."""
    from datasets.data_files import sanitize_patterns

    if not card.startswith("---"):
        return {}
    try:
        head = yaml.safe_load(card.split("\n---", 1)[0].removeprefix("---")) or {}
        configs = [config for config in head.get("configs", ()) if "data_files" in config]
        return {str(x["config_name"]): sanitize_patterns(x["data_files"]) for x in configs}
    except (yaml.YAMLError, ValueError):
        return {}


def _ending(name: str) -> str:
    """The ending that says how to read a file, whether or not gzip is around it."""
    name = name.removesuffix(".gz")
    other = name.endswith((".tar", "dataset_infos.json", "dataset_info.json"))
    return "" if other else Path(name).suffix


@contextmanager
def explained(part: Part) -> Iterator[None]:
    """Turn what `datasets`, `huggingface_hub` and their HTTP library raise into a SourceError of
    one line; to be put around the reading of streamed rows, which is when a stream's errors come.
    """
    from datasets.exceptions import DatasetsError

    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        chain, cause = [], error
        while cause is not None and cause not in chain:
            chain.append(cause)
            cause = cause.__cause__ or cause.__context__
        for cause in chain:
            kinds = [kind.__name__ for kind in type(cause).__mro__]
            if reason := next((text for name, text in REASONS.items() if name in kinds), None):
                raise SourceError(f"{part}: {reason.format(_summary(cause))}") from error
        if not isinstance(error, (OSError, ValueError, RuntimeError, DatasetsError)):
            raise
        reason = f"its files could not be read ({_summary(chain[-1])})"
        raise SourceError(f"{part}: {reason}; fetch them anew") from error


def _summary(error: BaseException) -> str:
    """Type and first line of an error."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:160]}"
