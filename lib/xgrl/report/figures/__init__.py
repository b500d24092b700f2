"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out."""

from __future__ import annotations

from .arms import arms_forest, cost, dose_response
from .comparison import forest, heatmap, paired_blocks
from .honesty import calibration, power_curve, verdict_rates
from .languages import typology
from .overview import reversal, schedule, study_flow
from .probing import (
    language_distances,
    language_map,
    probe_layers,
    probe_stages,
    reversal_steps,
    shape_stages,
    translation_languages,
    translation_layers,
)
from .style import save, show
from .training import curves, manipulation_check

__all__ = [
    "arms_forest",
    "calibration",
    "cost",
    "curves",
    "dose_response",
    "forest",
    "heatmap",
    "language_distances",
    "language_map",
    "manipulation_check",
    "paired_blocks",
    "power_curve",
    "probe_layers",
    "probe_stages",
    "reversal",
    "reversal_steps",
    "save",
    "schedule",
    "shape_stages",
    "show",
    "study_flow",
    "translation_languages",
    "translation_layers",
    "typology",
    "verdict_rates",
]
