"""LEACE: language is erased from the features in closed form, nothing is trained.

Of features x in R^H and language z (one-hot) take the mean mu, the covariance S and the
cross-covariance C = Cov(x, z). With W = S^(-1/2) and U an orthonormal basis of the columns of W C,

    r(x) = x - W^+ U U^T W (x - mu)

Afterwards Cov(r(x), z) = 0, so that no linear classifier reads the language better than one that
always says the same; of all affine maps with that property r changes x least, E ||r(x) - x||^2 in
every norm of R^H. At most (languages - 1) directions go.

An adversary may fail to hide the language. Here it is gone, linearly, by construction on the texts
of the fit and up to their sampling error on others. The map is fitted on the study's unlabelled
text with the encoder of a checkpoint as it is (the standard arm's; "leace-dann": dann's) and stays
fixed between encoder and head while the target is trained: the encoder below may learn to bring the
language back, and 04 measures how much of it. Heads that read a text's mean get the map of means,
heads that read tokens that of tokens, each with its text's label. Retrieval without training: the
map of the means of the layer that searches.

Hyperparameters: none. S is estimated without shrinkage: Ledoit and Wolf's changes nothing at 2,700
texts. What is left on other texts is the sampling error of the languages' means.

Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form" (NeurIPS, arXiv
2306.03819), theorem 4.3; `concept-erasure` is the authors' code.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import orth
from torch import Tensor, nn

ZERO = 1e-9  # of the largest: what is smaller is rounding


class Moments:
    """Sums over features (n, H) and their languages (n,), in float64, over any number of parts."""

    def __init__(self, features: int, languages: int):
        self.count, self.total = np.zeros(languages), np.zeros((languages, features))
        self.squares = np.zeros((features, features))

    def add(self, features: ArrayLike, languages: np.ndarray) -> None:
        """Add a part."""
        x = np.asarray(features, np.float64)
        one_hot = np.eye(len(self.count))[languages]
        self.count += one_hot.sum(0)
        self.total += one_hot.T @ x
        self.squares += x.T @ x


class Erasure(nn.Module):
    """r(x) of features (..., H) as a fixed layer; in float32, whatever the precision around it."""

    def __init__(self, moments: Moments):
        super().__init__()
        n, mean = moments.count.sum(), moments.total.sum(0) / moments.count.sum()
        covariance = moments.squares / n - np.outer(mean, mean)
        cross = (moments.total - np.outer(moments.count, mean)).T / n  # (H, languages)
        values, vectors = np.linalg.eigh(covariance)
        there = values > ZERO * values[-1]  # no more directions than texts
        root, vectors = np.sqrt(values[there]), vectors[:, there]
        basis = orth(vectors.T @ cross / root[:, None], rcond=ZERO)
        parts = {"mean": mean, "down": vectors / root @ basis, "up": basis.T * root @ vectors.T}
        for name, values in parts.items():
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            x = features.float()
            return x - (x - self.mean) @ self.down @ self.up

    def vectors(self, vectors: np.ndarray) -> np.ndarray:
        """r of vectors (n, H)."""
        device = self.mean.device
        return self(torch.from_numpy(vectors).to(device)).cpu().numpy()
