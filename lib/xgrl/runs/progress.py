"""Progress of a long step: one line of text in a notebook, replaced in place.

A saved notebook keeps the last line only, and that is the same whenever the same work was done:
what tqdm leaves there holds a time and a rate, or is a widget. Outside a notebook's kernel nothing
is shown, and nothing that is watched is changed.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

EVERY = 0.5  # seconds between two lines
T = TypeVar("T")


class ProgressLine:
    """The line "`what` 12 of 60", with the time that is left while there is any.

    what: what is counted. total: how much of it there is.
    """

    def __init__(self, what: str, total: int):
        self.what, self.total = what, total
        self.started = self.shown = time.monotonic()
        self.handle = None
        if total and _in_kernel():
            from IPython.display import display

            self.handle = display({"text/plain": ""}, raw=True, display_id=True)
        self.update(0)

    def update(self, done: int) -> None:
        """Say that `done` are done; at most twice a second, and always the first and the last."""
        now = time.monotonic()
        if self.handle is None or (0 < done < self.total and now - self.shown < EVERY):
            return
        self.shown, text = now, f"{self.what} {done} of {self.total}"
        left = (now - self.started) / done * (self.total - done) if done else 0
        text += f", about {left:.0f} s left" if left >= 1 else ""
        self.handle.update({"text/plain": text}, raw=True)


class watch(Generic[T]):
    """The same items, with a line of progress in the notebook's cell while they are read in order.

    items: a sequence, or a map-style data set. what: what is counted, as "training step".
    """

    def __init__(self, items: Sequence[T], what: str):
        self.items, self.line = items, ProgressLine(what, len(items))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        item = self.items[index]
        self.line.update(index + 1)
        return item

    def __iter__(self) -> Iterator[T]:
        for index in range(len(self)):
            yield self.items[index]
            self.line.update(index + 1)


def _in_kernel() -> bool:
    """Is this a notebook's kernel?"""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
