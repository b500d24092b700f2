"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out."""

# ruff: noqa: I001
from .arms import arms_forest, cost, dose_response
from .calibration import error_rates, power_curve, verdict_rates
from .comparison import forest, heatmap, paired_blocks, typology
from .probing import language_distances, language_map, probe_layers, probe_stages, reversal_steps
from .probing import shape_stages, translation_languages, translation_layers
from .style import draw, save, show
from .training import curves, manipulation_check, schedule

__all__ = [
    "arms_forest", "cost", "curves", "dose_response", "draw", "error_rates", "forest", "heatmap",
    "language_distances", "language_map", "manipulation_check", "paired_blocks", "power_curve",
    "probe_layers", "probe_stages", "reversal_steps", "save", "schedule", "shape_stages", "show",
    "translation_languages", "translation_layers", "typology", "verdict_rates",
]  # fmt: skip
