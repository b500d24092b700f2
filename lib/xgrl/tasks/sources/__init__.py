"""Where data and weights come from: pinned packages, the user's files, the hub, or code."""

from collections.abc import Collection


class SourceError(RuntimeError):
    """Data are not what they must be: which, what was expected and found, and what to do."""


def unlike(where: object, expected: str, found: object, todo: str = "") -> SourceError:
    """The error that says in one line where what was expected, what was found, and what to do."""
    message = f"{where}: expected {expected}, found {found}{todo and f'; {todo}'}"
    return SourceError(" ".join(message.splitlines()))


def codes(text: str) -> tuple[str, ...]:
    """The codes or names in one line of text."""
    return tuple(text.split())


def some(names: Collection[str]) -> str:
    """At most 20 names for an error message."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(list(names)[:20]) or "nothing") + more
