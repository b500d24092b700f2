"""Which cases of a test run at once (make test) and which with the long ones (make test-rest)."""

from collections.abc import Iterable

import pytest


def slow_except(at_once: Iterable[str], names: Iterable[str]) -> list[object]:
    """`names` as a test's cases, all but `at_once` marked slow."""
    at_once = set(at_once)
    assert at_once <= set(names)
    return [n if n in at_once else pytest.param(n, marks=pytest.mark.slow) for n in names]
