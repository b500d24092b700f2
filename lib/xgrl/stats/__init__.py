"""The analysis of a study: estimand, tests, intervals, equivalence, multiplicity, power and
calibration.

`compare` reads prediction rows and returns a `Comparison` that prints as a verdict; everything else
takes plain numpy arrays and returns floats, arrays or small frozen dataclasses. Scores and effects
are in points (0 to 100).
"""

from __future__ import annotations

from .calibration import CalibrationRow, calibrate
from .checks import ZeroVariance
from .comparison import Comparison, compare, plain
from .effects import (
    EffectSizes,
    cliffs_delta,
    effect_sizes,
    expected_best,
    iqm,
    mcnemar,
    violation_ratio,
)
from .equivalence import rope, tost
from .intervals import exact_binomial, t_half_width, t_interval
from .multiplicity import PartialConjunction, benjamini_hochberg, holm, partial_conjunction
from .operating import Design, family_rates, verdict_rates
from .power import blocks_needed, minimal_effect, power_at
from .randomisation import sign_flip, westfall_young
from .resampling import Bootstrap, bootstrap, jackknife, pigeonhole
from .several import against_baseline, max_t, pairs
from .twoway import Crossed, Estimate, crossed, crossed_tasks
from .verdict import ALPHA, p_format

__all__ = [
    "ALPHA",
    "Bootstrap",
    "CalibrationRow",
    "Comparison",
    "Crossed",
    "Design",
    "EffectSizes",
    "Estimate",
    "PartialConjunction",
    "ZeroVariance",
    "against_baseline",
    "benjamini_hochberg",
    "blocks_needed",
    "bootstrap",
    "calibrate",
    "cliffs_delta",
    "compare",
    "crossed",
    "crossed_tasks",
    "effect_sizes",
    "exact_binomial",
    "expected_best",
    "family_rates",
    "holm",
    "iqm",
    "jackknife",
    "max_t",
    "mcnemar",
    "minimal_effect",
    "p_format",
    "pairs",
    "partial_conjunction",
    "pigeonhole",
    "plain",
    "power_at",
    "rope",
    "sign_flip",
    "t_half_width",
    "t_interval",
    "tost",
    "verdict_rates",
    "violation_ratio",
    "westfall_young",
]
