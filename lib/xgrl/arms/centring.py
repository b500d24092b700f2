"""Centring: the language's mean is taken away, nothing is trained.

Much of what tells languages apart in a multilingual encoder is a constant offset. With vectors v_1
.. v_n of all texts of one language in one test set (queries and candidates each by themselves):

    v_i  <-  (v_i - mean_j v_j) / ||v_i - mean_j v_j||

It is free, needs no labels and no training, and is what an adversary has to beat: in the study it
is applied to the checkpoint of the standard arm. It serves retrieval without fine-tuning only,
where a text's vector is all that is used. It looks at the test texts as a set (not at their
answers), as XTREME's own option does.

Hyperparameters: none.

Source: Libovický et al. 2020 (Findings of EMNLP, arXiv 2004.05160), section 3; option
``use_shift_embeds`` of XTREME (Hu et al. 2020, arXiv 2003.11080).
"""

import numpy as np


def centre(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, H) of one language without their mean; a single text stays as it is."""
    return vectors - vectors.mean(0) if len(vectors) > 1 else vectors
