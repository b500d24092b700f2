"""The parts of a prepared folder: which of them a run reads, and a hash of what each one holds.

A job depends on the parts that it reads (`input_parts`), not on the whole folder: when a target or
a language is added, 01 runs again, and then only jobs of which some part changed.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from xgrl.arms import arm_spec
from xgrl.runs import records
from xgrl.tasks import find_task


def input_parts(
    phase: str, trained_layers: int, *, tasks: Iterable[str] = (), arm="none", target: str = ""
) -> list[str]:
    """The parts of the prepared folder that a run follows from, in order.

    phase: intermediate, target or probe; trained_layers: as in the study file, where the embeddings
    are trained too (-1) the vocabulary counts; tasks: the intermediate tasks that are trained on,
    those of a mixture; arm, target: of the run, where it has them.
    """
    parts = ["encoder", *(f"intermediate/{task}" for task in tasks)]
    spec = arm_spec(arm)
    text = spec.text if phase == "intermediate" or not spec.trains else ""
    if text == "translated":
        parts += [f"intermediate/{task}/{text}" for task in tasks]
    elif text:
        parts.append(text)
    if target:
        parts.append(f"target/{target}")
    if phase == "probe":
        parts.append("texts")
    # mlm predicts words of the study's vocabulary
    if trained_layers == -1 or text == "language-modelling":
        parts.append("vocabulary")
    return parts


def write_contents(
    folder: str | Path, names: Iterable[str], heads: dict[str, Any]
) -> dict[str, str]:
    """Hash every part of a prepared folder, write ``contents/<part>.sha256``, return the hashes.

    Token ids are hashed as those of the full vocabulary, so that a part stays the same when texts
    elsewhere change what is kept of it. folder: complete but for this; names: of all corpora;
    heads: from `xgrl.prepare.write.heads`.
    """
    from xgrl.models.encoder import load_trimmed  # torch; who only lists parts does not need it
    from xgrl.prepare.prefix_cache import wordless

    folder = Path(folder)
    kept = np.load(folder / "encoder" / "kept_ids.npy")
    parts: dict[str, hashlib._Hash] = {}
    for name in sorted(names):
        of_task = name.startswith(("intermediate/", "target/")) and not name.endswith("/translated")
        part = name.rsplit("/", 1)[0] if of_task else name
        about = json.dumps([heads.get(part), *_scoring(part)]).encode()
        total = parts.setdefault(part, hashlib.sha256(about))
        for path in sorted((folder / name).iterdir()):
            total.update(str(path.relative_to(folder)).encode())
            if path.name == "tokens.npy":
                total.update(kept[np.load(path)].tobytes())
            else:
                total.update(bytes.fromhex(records.hash_file(path)))
    model = load_trimmed(folder / "encoder")
    words = model.get_input_embeddings().weight.detach().numpy()
    texts = "".join(map(records.hash_file, sorted(folder.glob("*_texts.parquet"))))
    parts["encoder"] = hashlib.sha256(wordless(model))
    parts["vocabulary"] = hashlib.sha256(kept.tobytes() + words.tobytes())
    parts["texts"] = hashlib.sha256(bytes.fromhex(texts))
    hashes = {part: total.hexdigest() for part, total in sorted(parts.items())}
    for part, text in hashes.items():
        records.write_bytes(folder / "contents" / f"{part}.sha256", f"{text}\n".encode())
    return hashes


def _scoring(part: str) -> list[str]:
    """What a task's scores depend on beside its rows."""
    role, _, name = part.partition("/")
    if not name or "/" in name:
        return []
    task = find_task(name, role)
    return [task.metric, task.candidates, *task.labels]
