"""The analysis of a study: estimand, tests, intervals, equivalence, power, calibration.

`compare` reads prediction rows and returns a `Comparison` that prints as a verdict; `cell_means`,
`against_baseline`, `pairs` and `family` read them too and return tables; most else takes numpy
arrays and returns floats, arrays, small dataclasses or tables. Scores and effects are in points.

numpy and scipy do the arithmetic, the statistics are ours, since the field's packages are wrong for
this design: rliable 1.2.0 is unpaired and covers 44 to 56 % with a nominal 95 % interval where
tasks share a seed's effect; deep-significance 1.2.8 returns Bonferroni's values in the wrong order,
and its paired bootstrap is not paired; autorank 1.3.0 tests two samples (11 % type-I error);
baycomp 1.0.3 is 1.5 times too wide for independent seeds; pingouin 0.7.0's paired d is not dz.
"""

# ruff: noqa: F401
from .alignment import cell_means
from .calibration import Design, calibrate, family_rates, verdict_rates
from .comparison import Comparison, compare, not_compared, plain
from .effects import cliffs_delta, effect_sizes, expected_best, iqm, violation_ratio
from .intervals import exact_binomial, t_half_width, t_interval
from .multiplicity import PartialConjunction, benjamini_hochberg, holm, partial_conjunction
from .power import blocks_needed, minimal_effect, power_at
from .randomisation import sign_flip, westfall_young
from .resampling import Bootstrap, bootstrap, jackknife, pigeonhole
from .several_arms import FEWEST, Weigh, against_baseline, family, pairs, weights_of
from .twoway import Crossed, Estimate, crossed, crossed_tasks
from .unpaired import unpaired_tasks, unpaired_variance
from .validation import ZeroVariance
from .verdict import ALPHA, Tested, crossed_and_sign_flip, p_equals, p_format, rope, tost
