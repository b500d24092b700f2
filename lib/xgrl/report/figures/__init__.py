"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out."""

# ruff: noqa: I001
from .arms import arms_forest, cost
from .calibration import error_rates, verdict_rates
from .comparison import forest, heatmap, paired_blocks, typology
from .probing import language_distances, language_map, probe_layers, reversal_steps, stages
from .probing import translation_languages, translation_layers
from .style import draw, save, show
from .training import curves, manipulation_check, schedule

__all__ = [
    "arms_forest", "cost", "curves", "draw", "error_rates", "forest", "heatmap",
    "language_distances", "language_map", "manipulation_check", "paired_blocks", "probe_layers",
    "reversal_steps", "save", "schedule", "show", "stages", "translation_languages",
    "translation_layers", "typology", "verdict_rates",
]  # fmt: skip
