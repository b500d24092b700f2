"""Which tasks descend from the same data, by ``role/name``; which targets may share a model.

A test set that was translated from some rows is no test of a model that was trained on them. And
where an intermediate task and a target come from one collection, what is gained is no transfer
between tasks: such pairs are marked wherever a score of theirs is shown.
"""

from collections.abc import Iterable

from xgrl.tasks.formats import CARDS, Task

# what rows come from that are trained on (of a first stage too), that choose, that test
TRAINED, CHOSEN, TESTED = (CARDS[key] for key in ("trained", "chosen", "tested"))


def same_data(intermediate: Iterable[str], target: str, source: str = "") -> list[str]:
    """What intermediate tasks and a target have both, as ``SQuAD``: in rows that are trained on,
    chosen by or tested. source: the target whose training rows it has instead of its own.
    """
    names = [f"intermediate/{name}" for name in intermediate]
    ours = {x for name in names for x in (*TRAINED.get(name, ()), *CHOSEN.get(name, ()))}
    own = f"target/{source or target}"
    theirs = (*TRAINED.get(own, ()), *CHOSEN.get(own, ()), *TESTED.get(target, ()))
    return [x for x in dict.fromkeys(theirs) if x in ours]


def shares_model(target: Task, source: Task) -> bool:
    """Whether a model that was fine-tuned on one target can be tested on another: of one format,
    with the same classes.
    """
    kinds = [(task.schema("train"), task.labels, task.pairs) for task in (target, source)]
    return "train" in source.splits and "train" in target.splits and kinds[0] == kinds[1]


def unfit(target: Task, source: Task) -> str:
    """Why a target cannot have another one's training, "" where it can."""
    asked = target.answers and source.format == "span_qa"  # pairs are made of its rows
    if not asked and not shares_model(target, source):
        formats = [task.format.replace("_", " ") for task in (target, source)]
        reason = f"{target.name!r} is {formats[0]}, {source.name!r} {formats[1]}"
        if formats[0] == formats[1]:
            both = f"{target.name!r} and {source.name!r}"
            reason = f"{both} differ in their classes, or train nothing"
        return f"{reason}; a model is tested on tasks of its own format"
    trained = set(TRAINED.get(f"target/{source.name}", ()))
    if shared := [x for x in TESTED.get(target.name, ()) if x in trained]:
        rows = f"{source.name!r} is trained on {', '.join(shared)}"
        return f"{rows}, from which the test set of {target.name!r} was translated"
    return ""
