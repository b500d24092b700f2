"""The arms: what each adds to English intermediate-task training.

An arm is an object that adds a term to the loss. To add one, write a file with a subclass of `xgrl.arms.base.Arm` and
name it in `ARMS`.
"""

from __future__ import annotations

from importlib import import_module

ARMS = {
    "none": None,  # no intermediate training: the public encoder goes straight to the target
    "standard": "base:Standard",
    "control": "dann:Control",
    "dann": "dann:DANN",
}


def arm_class(name: str) -> type:
    """The class of a trained arm; ValueError for a name that is not in `ARMS` and for "none", which trains nothing."""
    if not ARMS.get(name):
        trained = [arm for arm, where in ARMS.items() if where]
        raise ValueError(f"arm={name!r}: not an arm that trains; allowed: {', '.join(trained)}")
    module, attribute = ARMS[name].split(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)
