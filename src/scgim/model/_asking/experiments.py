"""Which experiment would tell most about the graph? (layer `model`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import SEED, TABLE, checked, count, or_none
from scgim._core.kinds.base import Moved
from scgim._core.mechanisms.total import covariance, total_effects
from scgim._core.posterior.information import entropy, information, states
from scgim.model._asking.operated import KnownLayer
from scgim.model._prediction.request import make_request, read_new_features
from scgim.model._reading.columns import table_of

if TYPE_CHECKING:
    from scgim.model._prediction.components import Components
    from scgim.model._prediction.predictor import Predictor

N_DRAWS, N_EFFECTS = 8, 64
"""Draws of the drugs' effects over which information is averaged, and from which the spread of the effects is taken."""
MOST_PAIRS = 500
"""Pairs of genes, the least certain ones, that are asked about."""
SURE = 0.01
"""Bits below which a pair is taken to be known."""
N_NAMED, TOLD = 3, 0.05
"""Pairs and targets that are named, and bits that a named pair is told of."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of genes between which edges are uncertain."""

    # (n,) genes
    first: np.ndarray
    second: np.ndarray
    probability: np.ndarray  # (n, 3) of no edge, one forward, one backward
    # (n,) size of either edge if it is there
    forward: np.ndarray
    backward: np.ndarray
    total: np.ndarray  # (G, G) total effects in the fitted graph

    @classmethod
    def of(cls, predictor: Predictor) -> Pairs:
        """From a fit; an edge that is not in its graph is as large as the regression of one gene on the other would be."""
        fit = predictor.fit
        weights, noise, probability = fit.mechanisms.weights(), fit.mechanisms.noise_sd, fit.graph.probability
        between = covariance(weights, noise)
        size = np.where(weights != 0, weights, between / np.diag(between)[:, None])
        first, second = np.triu_indices(len(weights), 1)
        found = states(probability[first, second], probability[second, first])
        bits = entropy(found)
        at = np.argsort(-bits, kind="stable")[:MOST_PAIRS]
        at = at[bits[at] > SURE]
        i, j = first[at], second[at]
        return cls(i, j, found[at], size[i, j], size[j, i], total_effects(weights))

    def information(self, change: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Bits ``(n,)`` that cells tell whose means have moved by `change` ``(G,)``, seen with errors ``(G,)``.

        A gene that moved through the other one says nothing of an edge to it: what came that way is taken off.
        """
        i, j, total = self.first, self.second, self.total
        forward = self.forward * (change[i] - total[j, i] * change[j]) / error[j]
        backward = self.backward * (change[j] - total[i, j] * change[i]) / error[i]
        return information(self.probability, forward, backward)


class ExperimentsMixin:
    """Experiments to do next, with a trained :class:`scgim.model.GIM`."""

    @checked(candidates=TABLE, n_cells=or_none(count()), rng=SEED)
    def suggest_experiments(
        self,
        candidates: pd.DataFrame,
        *,
        features: Any = None,
        n_cells: int | None = None,
        rng: int | np.random.Generator | None = 0,
    ) -> pd.DataFrame:
        """Which drugs or doses would tell most about the graph, see :func:`scgim.tl.suggest_experiments`.

        Parameters
        ----------
        candidates, features, n_cells, rng
            See :func:`scgim.tl.suggest_experiments`.

        Returns
        -------
        Table, see :func:`scgim.tl.suggest_experiments`.

        Raises
        ------
        RuntimeError, KeyError, TypeError, ValueError
            See :func:`scgim.tl.suggest_experiments`.

        Examples
        --------
        >>> model.suggest_experiments(library, features=fingerprints)
        """
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        rng, data = np.random.default_rng(rng), predictor.data
        if not len(candidates):
            raise ValueError("candidates: expected at least one row, found none.")
        request = make_request(candidates, data, self.adjustment_, table_of("candidates"))  # type: ignore[attr-defined]
        components = predictor.components(request, read_new_features(features, data, request))
        pairs, design = Pairs.of(predictor), data.design
        n_control = float(design.n_cells[design.control].sum())
        n = float(np.median(design.n_cells[~design.control])) if n_cells is None else float(n_cells)
        sampling = predictor.fit.mechanisms.noise_sd * np.sqrt(1 / n + 1 / max(n_control, 1.0))  # (G,)
        group = request.group.argmax(axis=1)
        bits = np.stack(
            [_bits(predictor, pairs, components, r, int(group[r]), sampling, rng) for r in range(len(request.table))]
        )  # (m, n)
        return _table(request.table, data.genes, pairs, bits, components.marginal()[0].probability)


def _bits(
    predictor: Predictor,
    pairs: Pairs,
    components: Components,
    row: int,
    group: int,
    sampling: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Expected information ``(n,)`` about each pair from cells under one row."""
    mechanisms = predictor.fit.mechanisms
    moved = components.draw(np.full(N_EFFECTS, row), rng, 1.0)
    nothing = Moved.nothing(1, predictor.n_genes)
    before = KnownLayer(mechanisms, nothing, np.array([group])).mean()[0]  # (G,)
    own = moved.add + (moved.listen - 1) * before  # (N_EFFECTS, G), what is done to each gene itself
    error = np.sqrt(sampling**2 + own.var(axis=0))
    after = KnownLayer(mechanisms, moved.rows(np.arange(N_DRAWS)), np.full(N_DRAWS, group)).mean()
    return np.asarray(np.mean([pairs.information(change, error) for change in after - before], axis=0))


def _table(
    rows: pd.DataFrame, genes: list[str], pairs: Pairs, bits: np.ndarray, probability: np.ndarray
) -> pd.DataFrame:
    """Candidates with what they tell, the most telling first."""
    names, doubt = np.array(genes, dtype=object), float(entropy(pairs.probability).sum())

    def told(of_row: np.ndarray) -> str:
        best = [k for k in np.argsort(-of_row, kind="stable")[:N_NAMED] if of_row[k] > TOLD]
        return ", ".join(f"{names[pairs.first[k]]} - {names[pairs.second[k]]}" for k in best)

    def targets(of_row: np.ndarray) -> str:
        best = [j for j in np.argsort(-of_row, kind="stable")[:N_NAMED] if of_row[j] > 0.5]
        return ", ".join(names[best])

    out = rows.reset_index(drop=True)
    out["information"] = bits.sum(axis=1)
    out["share"] = out["information"] / doubt if doubt else 0.0
    out["uncertainty"] = doubt
    out["pairs"] = [told(of_row) for of_row in bits]
    out["targets"] = [targets(of_row) for of_row in probability]
    return out.sort_values("information", ascending=False, kind="stable", ignore_index=True)
