"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out."""

# ruff: noqa: F401, I001
from .arms import arms_forest, cost
from .calibration import error_rates, verdict_rates
from .comparison import forest, heatmap, paired_blocks, typology
from .probing import language_distances, language_map, probe_layers, reversal_steps, stages
from .probing import translation_languages, translation_layers
from .style import draw, save, show
from .training import curves, manipulation_check, schedule
