"""The verdict in words: sentences that the numbers support, and no others.

A p value above .05 is absence of evidence, never evidence of absence, so "no effect" is not in the
vocabulary; what can be said instead is "equivalent within the margin", and that needs its own test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import Comparison

ALPHA = 0.05


def decide(theta: float, p: float, tost_p: float) -> tuple[str, bool]:
    """Verdict, and whether a found difference is trivial, from the estimate, its p and the
    equivalence p (or NaN).
    """
    within = tost_p <= ALPHA
    if p <= ALPHA and theta != 0:
        return ("superior" if theta > 0 else "inferior"), bool(within)
    return ("equivalent" if within else "inconclusive"), False


def p_format(p: float) -> str:
    """A p value to two significant digits, never as 0: "0.00049", "<0.0001"; "not estimable" for
    NaN.
    """
    if p != p:
        return "not estimable"
    return f"{p:.2g}" if p >= 1e-4 else "<0.0001"


def p_text(p: float) -> str:
    """The same in a sentence: "= 0.00049", "< 0.0001"."""
    text = p_format(p)
    return text if p != p else f"< {text[1:]}" if text.startswith("<") else f"= {text}"


def sentence(c: Comparison) -> str:
    """The finding in one or two sentences with estimate, interval, p and number of blocks."""
    low, high = c.ci
    interval = f"95 % CI {low:+.2f} to {high:+.2f}" if low == low else "interval not estimable"
    numbers = (
        f"difference {c.theta:+.2f} points, {interval}, p {p_text(c.p)}, {c.n_blocks} blocks, "
        f"{len(c.per_task)} target task{'s' if len(c.per_task) > 1 else ''}"
    )
    band = f"\u00b1{c.margin:g} points"
    if c.verdict in ("superior", "inferior"):
        text = (
            f"{c.treatment} is {'better' if c.verdict == 'superior' else 'worse'} than "
            f"{c.baseline} ({numbers})."
        )
        if c.trivial:
            text += (
                f" The difference is real but trivial: it lies within {band} (equivalence p "
                f"{p_text(c.tost_p)})."
            )
    elif c.verdict == "equivalent":
        text = (
            f"{c.treatment} and {c.baseline} are equivalent within {band} (equivalence p "
            f"{p_text(c.tost_p)}; {numbers})."
        )
    elif low == low:
        text = (
            f"Inconclusive: these data neither separate {c.treatment} from {c.baseline} nor place "
            f"the difference "
            f"within {band} ({numbers}; equivalence p {p_text(c.tost_p)}). True differences from "
            f"{low:+.2f} to "
            f"{high:+.2f} points are compatible with them."
        )
        if low > 0 or high < 0:
            text += (
                " The interval leaves out 0, but the sign-flip test, which must agree, does not "
                "reject."
            )
    else:
        text = (
            f"Inconclusive: {c.treatment} and {c.baseline} cannot be told apart here ({numbers})."
        )
    if c.failed_checks:
        text = (
            f"Manipulation checks failed ({'; '.join(c.failed_checks)}); the following rests on "
            f"them. {text}"
        )
    return text
