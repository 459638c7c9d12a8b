"""The backward map of all blocks of features: reading, learning, decoding (layer `_core`; not from the paper)."""

from dataclasses import dataclass

import numpy as np

from scgim._core.effects import Effects
from scgim._core.features.backward import Beliefs, LinearBlock, learn_blocks
from scgim._core.features.decode import DrugEvidence, search
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Rows
from scgim._core.state import savable


@savable
@dataclass(frozen=True)
class BackwardMap:
    """Blocks of features with their learned weights."""

    blocks: list[LinearBlock]  # one entry a block
    inflation: float = 1.0  # factor of the variances, from cross-validation

    def decode(self, rows: list[Rows], n_drugs: int, prior: PopulationPrior, *, quick: bool = False) -> Effects:
        """Posterior of drugs 0, ..., n_drugs - 1 given the rows of each block; `quick` visits fewer supports."""
        effort = {"budget": 1500, "rescored": 50, "exchanges": 1} if quick else {}
        moment, inflation = prior.second_moment, self.inflation
        each = [[r.of(np.array([d])) for r in rows] for d in range(n_drugs)]
        found = [search(DrugEvidence(self.blocks, own, moment, inflation=inflation), prior, **effort) for own in each]
        return Effects.join(found)

    def likelihood(
        self, rows: list[Rows], n_drugs: int, beliefs: Beliefs, prior: PopulationPrior
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log density of each drug's features under the interventions of any drugs.

        Parameters
        ----------
        rows, n_drugs
            Features of drugs 0, ..., n_drugs - 1.
        beliefs
            (D, G) interventions.

        Returns
        -------
        Log densities, and mean squared standardised errors, (n_drugs, D) each.
        """
        log, misfit = np.zeros((2, n_drugs, len(beliefs.mean)))
        for d in range(n_drugs):
            evidence = DrugEvidence(self.blocks, [r.of(np.array([d])) for r in rows], prior.second_moment)
            for other in range(len(beliefs.mean)):
                s = np.flatnonzero(beliefs.probability[other] > 0.5)
                slope, effect = evidence.slope[s], beliefs.mean[other, s]
                residual = evidence.y - evidence.offset[s].sum(0) - effect @ slope
                cov = evidence.covariance(s[None], effect[None])[0] + (slope.T * beliefs.variance[other, s]) @ slope
                square = float(residual @ np.linalg.solve(cov, residual))
                log[d, other] = -0.5 * (square + np.linalg.slogdet(cov)[1])
                misfit[d, other] = square / len(residual)
        return log, misfit


def learn_backward(
    rows: list[Rows], beliefs: Beliefs, rng: np.random.Generator, *, effort: float = 1.0
) -> tuple[BackwardMap, Beliefs]:
    """Learn the weights; fewer rounds of the sampler at lower effort."""
    n_burn, n_draws, thin = int(100 * effort), 60, 3 if effort >= 1 else 2
    blocks, beliefs = learn_blocks(rows, beliefs, rng=rng, n_burn=n_burn, n_draws=n_draws, thin=thin)
    return BackwardMap(blocks), beliefs
