"""How cells are observed: what fits which noise model, and data from the causal layer (layer `model`; not from the paper).

Under ``"gaussian"`` the causal layer is the expression itself. Under the others it is a logarithm that is observed through
zeros or counts; predictions go back through the same observation, onto the scale of the data given to fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.observation.latent import latent_moments
from scgim._core.observation.poisson_lognormal import poisson_lognormal_moments
from scgim._core.observation.zero_inflated import fit_zeros, zero_inflated_moments
from scgim.model._reading.expression import iterate, locate

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.moments.moments import Moments
    from scgim.model._reading.cells import CellChunks
    from scgim.model._study.study import Study

NOISES = ("gaussian", "zero_inflated_lognormal", "poisson_lognormal")
LOG_LIKE = 10.0  # normalised values reach beyond it, their logarithms hardly
FEW_GENES = 1000  # of fewer genes than this, the sum of counts is no measure of depth
KEPT_SIZES = 256
LARGEST_LOG_RATE = 16.0  # counts of more than some millions are not drawn


def check_noise(noise: str, settings: dict[str, Any], data: Study) -> None:
    """The other settings and the values suit the noise model.

    Raises
    ------
    ValueError
    """
    if noise == "gaussian":
        return _check_gaussian(data)
    for name, allowed in (("mechanism", "linear"), ("intervention", "shift"), ("structure", "search")):
        if settings[name] != allowed:
            raise ValueError(
                f"noise: {noise!r} needs {name}={allowed!r}, found {settings[name]!r}; for other models take logs of "
                "normalised values and noise='gaussian'."
            )
    if data.spec.continuous:
        raise ValueError(
            f"continuous_covariate_keys: expected none with noise={noise!r}, found {list(data.spec.continuous)}; cut "
            "them into classes for categorical_covariate_keys."
        )
    where = _where(data)
    if noise == "poisson_lognormal":
        if not data.counts:
            raise ValueError(
                f"noise: {noise!r} needs raw counts, and {where} holds other values; name the layer with counts, or use "
                "noise='gaussian' for logs."
            )
        if len(data.spec.layers) > 1:
            raise ValueError(
                f"noise: {noise!r} has one size factor a cell, found the modalities {list(data.spec.layers)}; model "
                "one of them (modalities={'layer': [...]}), or logs of all of them with noise='gaussian'."
            )
        if data.spec.size_factor is None and len(data.genes) < FEW_GENES:
            _warn(
                f"no size_factor_key, so that counts of the {len(data.genes)} modelled genes stand in for depth, which drugs that "
                "move these genes distort. Name a column with the counts of all genes, such as 'total_counts' of "
                "scanpy.pp.calculate_qc_metrics before genes are left out."
            )
        return None
    if data.smallest < 0:
        raise ValueError(
            f"noise: {noise!r} needs non-negative values, and {where} goes down to {data.smallest:.3g}; give normalised "
            "values without logs, centring or scaling, or use noise='gaussian'."
        )
    if data.counts:
        _warn(
            f"{where} holds raw counts, of which {noise!r} models neither depth nor sampling; use 'poisson_lognormal'."
        )
    elif data.largest < LOG_LIKE:
        _warn(
            f"{where} has no value above {data.largest:.3g}, as after a logarithm, and {noise!r} takes logarithms itself; "
            "give the normalised values (scanpy.pp.normalize_total without log1p), or use 'gaussian'."
        )
    _unused_sizes(noise, data)
    return None


def _check_gaussian(data: Study) -> None:
    if data.counts:
        _warn(
            f"{_where(data)} holds raw counts or other whole numbers, which 'gaussian' does not describe. Use "
            "noise='poisson_lognormal', or normalise and take logs (scanpy.pp.normalize_total, scanpy.pp.log1p)."
        )
    _unused_sizes("gaussian", data)


def _unused_sizes(noise: str, data: Study) -> None:
    if data.spec.size_factor:
        _warn(f"size_factor_key={data.spec.size_factor!r} is not used by {noise!r}; 'poisson_lognormal' uses it.")


def _where(data: Study) -> str:
    return " and ".join(locate(layer, modality) for modality, layer in data.spec.layers.items())


def _warn(text: str) -> None:
    warnings.warn(f"noise: {text}", UserWarning, stacklevel=5)


@dataclass(frozen=True)
class Observation:
    """From the causal layer to the data.

    Attributes
    ----------
    noise
        ``"zero_inflated_lognormal"`` or ``"poisson_lognormal"``.
    sizes
        ``(C, S)``; size factors of control cells of each group, sorted (counts).
    size_unit
        Mean size factor, by which all are divided (counts).
    zeros
        ``(3, G)``; intercept, slope and centre of the logistic regression of zeros on the mean (zero inflation).
    """

    noise: str
    sizes: np.ndarray
    size_unit: float
    zeros: np.ndarray

    def zero_probability(self, mean: np.ndarray) -> np.ndarray:
        """Probability of a zero where the causal layer has this mean, ``(n, G)``."""
        intercept, slope, centre = self.zeros
        return 1 / (1 + np.exp(-np.clip(intercept + slope * (mean - centre), -30, 30)))

    def draw(
        self, z: np.ndarray, mean: np.ndarray, group: np.ndarray, size: np.ndarray | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Data of cells ``(n, G)``.

        Parameters
        ----------
        z, mean
            ``(n, G)``; causal layer of the cells, and its mean under their interventions.
        group
            ``(n,)``; baseline groups, of whose control cells size factors are drawn.
        size
            ``(n,)``; size factors, where they are given.
        rng
            Random generator.
        """
        if self.noise == "zero_inflated_lognormal":
            return np.where(rng.random(z.shape) < self.zero_probability(mean), 0.0, np.exp(z))
        if size is None:
            size = self.sizes[group, rng.integers(self.sizes.shape[1], size=len(z))]
        else:
            size = size / self.size_unit
        return rng.poisson(np.exp(np.minimum(z + np.log(size)[:, None], LARGEST_LOG_RATE))).astype(float)

    def expect(self, mean: np.ndarray, log_mean: np.ndarray, group: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        """Mean of the data ``(n, G)`` from the mean of the causal layer and the logarithm of that of its exponential."""
        if self.noise == "zero_inflated_lognormal":
            return (1 - self.zero_probability(mean)) * np.exp(log_mean)
        size = self.sizes[group].mean(axis=1) if size is None else size / self.size_unit
        return size[:, None] * np.exp(log_mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for saving."""
        return {
            "noise": self.noise,
            "sizes": self.sizes.tolist(),
            "size_unit": float(self.size_unit),
            "zeros": self.zeros.tolist(),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Observation:
        """Inverse of `to_dict`."""
        return cls(state["noise"], np.asarray(state["sizes"]), state["size_unit"], np.asarray(state["zeros"]))


def library_sizes(cells: CellChunks) -> np.ndarray:
    """Counts of each cell over the modelled genes ``(N,)``; one pass.

    Raises
    ------
    ValueError
        A cell has no counts.
    """
    parts = [np.asarray(x.sum(axis=1), dtype=float).ravel() for _, x in iterate(cells.data, cells.spec)]
    sizes = np.concatenate(parts)
    if (sizes <= 0).any():
        raise ValueError(
            f"size_factor_key: {int((sizes <= 0).sum())} cell(s) have no counts in the modelled genes, so that their depth is "
            "unknown; drop them (scanpy.pp.filter_cells), or name a column with size factors of all genes."
        )
    return sizes


def observe_moments(
    noise: str, cells: CellChunks, design: Design, size: np.ndarray | None
) -> tuple[Moments, Observation]:
    """Moments of the causal layer from the cells, and the observation that stands between.

    Parameters
    ----------
    noise
        Noise model.
    cells
        Registered cells.
    design
        Of the contexts.
    size
        ``(N,)``; registered size factors; library sizes if None.
    """
    n_contexts, n_groups = len(design.dose), len(design.group_names)
    if noise == "zero_inflated_lognormal":
        latent, zeros = zero_inflated_moments(cells, n_contexts)
        slopes = np.stack(fit_zeros(latent.n, zeros, latent.mean))
        return latent_moments(latent), Observation(noise, np.ones((n_groups, 1)), 1.0, slopes)
    size = library_sizes(cells) if size is None else np.asarray(size, dtype=float).ravel()
    unit = float(size.mean())
    size = size / unit

    def chunks() -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        start = 0
        for x, context in cells():
            yield x, context, size[start : start + len(context)]
            start += len(context)

    control, group = np.asarray(design.control)[cells.index], np.asarray(design.group)[cells.index]
    grid = (np.arange(KEPT_SIZES) + 0.5) / KEPT_SIZES
    sizes = np.stack([np.quantile(size[control & (group == c)], grid) for c in range(n_groups)])
    latent = poisson_lognormal_moments(chunks, n_contexts)
    return latent_moments(latent), Observation(noise, sizes, unit, np.zeros((3, latent.mean.shape[1])))
