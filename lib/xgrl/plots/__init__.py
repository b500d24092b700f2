"""Every figure of the study: one function a figure, plain frames in, a matplotlib `Figure` out."""

from __future__ import annotations

from .comparison import forest, heatmap, paired_blocks
from .honesty import calibration, power_curve
from .probing import language_map, probe_layers
from .style import save, show
from .training import curves, manipulation_check

__all__ = [
    "calibration",
    "curves",
    "forest",
    "heatmap",
    "language_map",
    "manipulation_check",
    "paired_blocks",
    "power_curve",
    "probe_layers",
    "save",
    "show",
]
