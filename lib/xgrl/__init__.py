"""xgrl: does domain-adversarial intermediate-task training change zero-shot cross-lingual accuracy?

The public face, for one's own notebooks; all is imported on first use, `import xgrl` stays cheap.

    model, tokenizer = xgrl.load_encoder("embedded")
    vectors = xgrl.embed(texts, model, tokenizer)
    rows = xgrl.load_task("sentiment", language="de", split="test")
    scores = xgrl.score("sentiment", predictions, references, language="de")
    index, similarity = xgrl.nearest(queries, candidates, k=1)
    result = xgrl.stats.compare(predictions, baseline="standard", treatment="dann")
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "load_encoder": "models.encoder",
    "embed": "models.encoder",
    "load_task": "tasks",
    "score": "evaluation.scoring",
    "nearest": "evaluation.retrieval",
}
__all__ = ["embed", "load_encoder", "load_task", "nearest", "score", "stats"]  # noqa: F822


def __getattr__(name: str) -> Any:
    if name == "stats":
        return import_module("xgrl.stats")
    if name not in _WHERE:
        raise AttributeError(f"xgrl has no {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(f"xgrl.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
