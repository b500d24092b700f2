"""The frozen layers' output, kept between studies: computed once for a text.

`frozen_states` writes a corpus's hidden.npy as `prefix_states` does, but looks into
``$XGRL_CACHE/prefix`` first. An entry is named by a hash of everything that its bits follow
from: configuration and weights of the layers, the word vectors that the texts look up (a vocabulary
trimmed otherwise is the same to it), the texts as sequences of these with their segments, the
versions of torch and transformers, and the kind of processor. It is linked into the study's folder
where the file system allows that, else copied, after a look at its checksum. Writers at the same
time write equal bytes and move them into place; a file that is removed stays readable where it is
linked or mapped.
`prune` keeps the folder below ``$XGRL_PREFIX_GB`` (10).
"""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from xgrl.models.split import hidden_states
from xgrl.models.tokens import Tokens
from xgrl.runs import records
from xgrl.runs.cache import cache_folder, is_kept, keep

# endings of settings that no hidden state depends on
VOCABULARY = ("vocab_size", "_token_id", "_name_or_path", "xgrl_base")


def frozen_states(lower: PreTrainedModel, tokens: Tokens, path: str | Path) -> bool:
    """Write what the frozen layers give each token, (T, H) float32, to `path`; True if cached."""
    if not limit():
        prefix_states(lower, tokens, path)
        return False
    path, kept = Path(path), cache_folder() / "prefix" / f"{_key(lower, tokens)}.npy"
    with suppress(OSError, ValueError):  # whatever is wrong with an entry, it can be computed anew
        if is_kept(kept):
            records.write(path, lambda temporary: _link(kept, temporary))
            os.utime(kept)  # when it was last used
            return True
    prefix_states(lower, tokens, path)
    if path.stat().st_size <= limit():
        with suppress(OSError):  # a full or read-only cache stops nobody
            keep(kept, lambda temporary: _link(path, temporary))
    return False


def prefix_states(
    lower: PreTrainedModel, tokens: Tokens, path: str | Path, max_tokens_per_batch: int = 4096
) -> Path:
    """Write the frozen prefix's output for every token, (T, H) float32, as an .npy file to map.

    A text's last bits depend on the batch it is computed in, so batches follow from the corpus
    alone: texts in stable order of length, as many as fill `max_tokens_per_batch` with padding (a
    longer text is a batch by itself). Returns path.
    """
    order = np.argsort(tokens.lengths, kind="stable")
    lengths, offsets = tokens.lengths[order], tokens.offsets
    shape = (len(tokens.ids), lower.config.hidden_size)
    lower.eval()

    def write(temporary: Path) -> None:
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * lengths[end] <= max_tokens_per_batch:
                end += 1
            states = hidden_states(lower, tokens, order[start:end])[0].float().cpu().numpy()
            for row, text in zip(states, order[start:end], strict=True):
                first, last = offsets[text : text + 2]
                out[first:last] = row[: last - first]
            start = end
        out.flush()

    with torch.inference_mode():
        return records.write(path, write)


def limit() -> float:
    """Size limit in bytes, ``$XGRL_PREFIX_GB`` (0: no cache); ValueError for no number."""
    text = os.environ.get("XGRL_PREFIX_GB", "10")
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 <= size < float("inf"):
        meant = "the size of the cache of frozen layers in GB, 0 or more"
        raise ValueError(f"XGRL_PREFIX_GB={text!r}: {meant}")
    return size * 1e9


def prune() -> str:
    """Remove what was not used for longest until the limit holds; a report, "" for nothing."""
    entries = []
    if not limit():
        return ""  # turned off: what others keep stays
    for path in (cache_folder() / "prefix").glob("*.npy"):
        with suppress(FileNotFoundError):  # another process prunes too
            entries.append((path.stat().st_mtime, path.stat().st_size, path))
    total, removed = sum(size for _, size, _ in entries), 0
    for _, size, path in sorted(entries):
        if total <= limit():
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.with_suffix(".sha256").unlink(missing_ok=True)
            total, removed = total - size, removed + 1
    report = f"{removed} of {len(entries)} entries removed, limit {limit() / 1e9:g} GB"
    return f"cache of frozen layers: {report} (XGRL_PREFIX_GB)" if removed else ""


def wordless(model: PreTrainedModel) -> bytes:
    """A hash of an encoder's configuration and weights but its words, however these are trimmed."""
    words, settings = model.get_input_embeddings().weight, model.config.to_dict()
    config = {name: value for name, value in settings.items() if not name.endswith(VOCABULARY)}
    total = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        if weight.data_ptr() != words.data_ptr():
            values = weight.detach().cpu().contiguous().view(torch.uint8)
            total.update(name.encode() + values.numpy().tobytes())
    return total.digest()


def _key(lower: PreTrainedModel, tokens: Tokens) -> str:
    words = lower.get_input_embeddings()
    used, numbers = np.unique(tokens.ids, return_inverse=True)
    looked_up = [*used.tolist(), *([] if words.padding_idx is None else [words.padding_idx])]
    on_cpu = lower.device.type == "cpu"
    processor = torch.backends.cpu.get_cpu_capability() if on_cpu else torch.cuda.get_device_name()
    about = [str(lower.dtype), processor, torch.__version__, transformers.__version__]
    total = hashlib.sha256(wordless(lower) + "\n".join(about).encode())
    total.update(words.weight.detach()[looked_up].float().cpu().numpy().tobytes())
    total.update(numbers.astype(np.int32).tobytes() + tokens.offsets.astype(np.int64).tobytes())
    if tokens.segments is not None:
        total.update(tokens.segments.astype(np.int8).tobytes())
    return total.hexdigest()[:32]


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system has them between the two places, else a copy."""
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
