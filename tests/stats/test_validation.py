"""Values that are not finite are refused wherever they come in."""

import numpy as np
import pytest

from simulated_predictions import differences
from xgrl import stats


@pytest.mark.parametrize(
    "function",
    [
        stats.crossed,
        lambda D: stats.crossed_tasks([D], [1.0]),
        stats.westfall_young,
        lambda D: stats.sign_flip(D[:, 0]),
        lambda D: stats.effect_sizes(D[:, 0]),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(function, bad):
    D = differences(4, 5)
    D[2, 0] = bad
    with pytest.raises(ValueError, match=str(bad)):
        function(D)
