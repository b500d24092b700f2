"""A device that no machine has, to find without a card what a card would refuse.

Tensors "elsewhere" compute on the CPU and say that they are on another device. An operation that
mixes them with tensors of the CPU is an error, as with CUDA: a tensor made without ``device=``
inside a step, weights that did not move with their module, `numpy` without `cpu`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")  # a name that torch knows and that needs no driver
BETWEEN = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Elsewhere(Tensor):
    """A tensor that stands for `inner`, which is on the CPU."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> Self:
        about = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        about |= {"dtype": inner.dtype, "device": DEVICE, "requires_grad": inner.requires_grad}
        return Tensor._make_wrapper_subclass(cls, inner.size(), **about)

    def __init__(self, inner: Tensor):
        self.inner = inner

    def tolist(self) -> Any:
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function: Callable, args: tuple, kwargs: dict) -> Any:
    if torch.is_inference_mode_enabled():  # there operations come that are made of others
        with _Factories():
            if (out := function.decompose(*args, **kwargs)) is not NotImplemented:
                return out
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    moved = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    # a number, without dimensions, may come from the CPU
    if moved and function not in BETWEEN:
        for tensor in tensors:
            if not isinstance(tensor, Elsewhere) and tensor.dim():
                raise RuntimeError(f"{function}: tensors on two devices, {DEVICE} and cpu")
    device = kwargs.get("device")
    to = torch.device(device).type == DEVICE.type if device is not None else bool(moved)
    if device is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    out = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves(out)):
        raise RuntimeError(f"{function}: without content")  # only made, as by torch.device("meta")
    known = {id(tensor.inner): tensor for tensor in moved}  # of what is changed in place

    def outer(value: Any) -> Any:
        if not isinstance(value, Tensor) or not to:
            return value
        return known.get(id(value)) if id(value) in known else Elsewhere(value)

    return tree_map(outer, out)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Elsewhere) else value


class _Factories(TorchDispatchMode):
    """Tensors that are made on the device are elsewhere, too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class _Literals(TorchFunctionMode):
    """`torch.tensor` comes to no dispatcher on its way to another device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            return function(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        return function(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Within, the device is there; modules that move keep their parameters' identity, as with
    CUDA.
    """
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with _Factories(), _Literals():
            yield DEVICE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
