r"""The backward map: features as generated from sparse interventions (layer `_core`; not from the paper).

One block of features, in the rows of :mod:`.rows`, follows

.. math:: x = o (c + I V_I) + h (b + \psi V_\psi) + \epsilon

with Gaussian weights `V` and Gaussian noise of full covariance. Interventions of the training drugs are drawn with the
weights by Gibbs sampling, the fit being their prior (errors in variables), so that features without noise correct the
fit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from scgim._core.arrays import rank_within
from scgim._core.features.rows import Rows
from scgim._core.state import savable

NOISE_FLOOR = 1e-4  # share of the variance of the features
FARTHEST = 3.0  # factor by which the effects of a gene are moved at once
UNSURE, SURE = 0.1, 0.98  # targets with a probability in between are drawn, higher ones held, lower ones dropped


@dataclass(frozen=True)
class Beliefs:
    """Interventions of the training drugs as random variables: (D, G) probability, mean and variance given target."""

    probability: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@savable
@dataclass(frozen=True)
class LinearBlock:
    """Posterior of one block's weights."""

    rotation: np.ndarray  # (L, L) rotation to features with independent noise
    weights: np.ndarray  # (2G + 2, L) posterior mean of V_I, V_psi, c and b
    deviations: np.ndarray  # (2G + 2, T, L) draws of the weights less their mean
    noise: np.ndarray  # (L,) noise variance


def learn_blocks(
    blocks: list[Rows],
    beliefs: Beliefs,
    *,
    rng: np.random.Generator,
    n_burn: int = 100,
    n_draws: int = 60,
    thin: int = 3,
) -> tuple[list[LinearBlock], Beliefs]:
    """Learn all blocks' weights and re-estimate the training drugs' interventions by Gibbs sampling.

    Parameters
    ----------
    blocks
        Rows of each block, drugs numbered as in `beliefs`.
    beliefs
        Interventions as fitted to the cells.
    n_burn, n_draws, thin
        Rounds before draws are kept, number of draws kept, and rounds for each.

    Returns
    -------
    The blocks' posteriors, and the interventions with what the features say of them.
    """
    if not blocks:
        return [], beliefs
    chains = [BlockChain(rows, beliefs.probability.shape[1]) for rows in blocks]
    drugs = DrugChain(chains, beliefs)
    for step in range(n_burn + n_draws * thin):
        indicator, effect = drugs.dense()
        for chain in chains:
            chain.draw(indicator, effect, rng, rotate=step in (n_burn // 3, 2 * n_burn // 3))
        drugs.draw(rng)
        drugs.rescale(rng)
        drugs.shear(rng)
        if step >= n_burn and (step - n_burn) % thin == 0:
            drugs.keep()
            for chain in chains:
                chain.keep()
    return [chain.result() for chain in chains], drugs.result()


class BlockChain:
    """State of one block in the sampler: weights, noise and prior variances."""

    def __init__(self, rows: Rows, n_genes: int) -> None:
        self.rows, self.n_genes, length = rows, n_genes, rows.value.shape[1]
        both = np.c_[rows.on, rows.by]
        s = np.linalg.svd(both, compute_uv=False)
        self.rank = 2 if len(s) == 2 and s[1] > 1e-3 * s[0] else 1
        nuisance = both if self.rank == 2 else np.c_[rows.on, np.zeros_like(rows.by)]
        self.project, self.nuisance = np.linalg.pinv(nuisance), nuisance
        self.rotation, self.value = np.eye(length), rows.value
        spread = np.maximum(rows.value.var(0), 1e-12)
        self.noise, self.scale = 0.1 * spread, spread
        self.prior = np.r_[np.full(n_genes, 0.3), np.full(n_genes, 0.03)]
        self.weights = np.zeros((2 * n_genes + 2, length))
        self.draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def free(self, x: np.ndarray) -> np.ndarray:
        """What the offsets do not explain."""
        return x - self.nuisance @ (self.project @ x)

    def draw(self, indicator: np.ndarray, effect: np.ndarray, rng: np.random.Generator, *, rotate: bool) -> None:
        """Draw weights given interventions (D, G), then noise and prior variances given weights."""
        rows = self.rows
        z = np.c_[rows.on[:, None] * indicator[rows.drug], rows.by[:, None] * effect[rows.drug]]
        z_free, value = self.free(z), self.free(self.value)
        root = np.sqrt(self.prior)
        e, w = _eigen(z_free * root)
        ratio = e[:, None] * self.scale / self.noise  # (R, L)
        core = (w.T @ (root[:, None] * (z_free.T @ value))) * self.scale / self.noise / (ratio + 1)
        mean = root[:, None] * (w @ core)
        free = rng.standard_normal(mean.shape) * np.sqrt(self.scale)
        along = w.T @ free
        weights = mean + root[:, None] * (free + w @ (along / np.sqrt(ratio + 1) - along))
        residual = value - z_free @ weights
        noise_offset = np.linalg.pinv(self.nuisance.T @ self.nuisance)
        values, vectors = np.linalg.eigh(noise_offset)
        jitter = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * rng.standard_normal((2, value.shape[1])))
        base = self.project @ (self.value - z @ weights)
        self.mean = np.r_[mean, self.project @ (self.value - z @ mean)]
        self.weights = np.r_[weights, base + jitter * np.sqrt(self.noise)]
        self._variances(residual, np.abs(z_free).sum(0) > 0, value.var(0), rng)
        if rotate:
            self._rotate(residual)

    def _variances(self, residual: np.ndarray, seen: np.ndarray, total: np.ndarray, rng: np.random.Generator) -> None:
        length, n_genes = residual.shape[1], self.n_genes
        freedom = max(len(residual) - self.rank, 1)
        noise = (residual**2).sum(0) / (2 * rng.gamma(freedom / 2, size=length))
        self.noise = np.maximum(noise, NOISE_FLOOR * np.maximum(total, 1e-12))
        size = self.weights[: 2 * n_genes] ** 2
        if not seen.any():
            return
        drawn = (size[seen] / self.prior[seen, None]).sum(0) / (2 * rng.gamma(seen.sum() / 2, size=length))
        self.scale = np.maximum(drawn, 1e-10)
        for low in (0, n_genes):
            genes = low + np.flatnonzero(seen[low : low + n_genes])
            if len(genes):
                total_size = (size[genes] / self.scale).sum()
                drawn_prior = total_size / (2 * rng.gamma(len(genes) * length / 2))
                self.prior[low : low + n_genes] = max(drawn_prior, 1e-10)

    def _rotate(self, residual: np.ndarray) -> None:
        """Turn to the eigenvectors of the shrunk noise covariance."""
        n, length = residual.shape
        cov = residual.T @ residual / n
        share = min(1.0, (length + 1) / (n + length + 1))
        turn = np.linalg.eigh((1 - share) * cov + share * np.diag(np.diag(cov)))[1]
        self.rotation, self.value = self.rotation @ turn, self.value @ turn
        self.weights = self.weights @ turn
        self.noise, self.scale = turn.T**2 @ self.noise, turn.T**2 @ self.scale

    def keep(self) -> None:
        """Keep the present draw."""
        self.draws.append((self.weights.copy(), self.mean, self.noise))

    def result(self) -> LinearBlock:
        """Posterior from the draws kept."""
        draws = np.stack([d[0] for d in self.draws], 1)
        mean = np.mean([d[1] for d in self.draws], 0)
        noise = np.mean([d[2] for d in self.draws], 0)
        return LinearBlock(self.rotation, mean, (draws - mean[:, None]).astype(np.float32), noise)


def _eigen(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-zero eigenvalues (R,) and eigenvectors (P, R) of z'z, through the smaller of the two Gram matrices."""
    if len(z) < z.shape[1]:
        e, u = np.linalg.eigh(z @ z.T)
        keep = e > 1e-10 * max(e[-1], 1e-300)
        return e[keep], (z.T @ u[:, keep]) / np.sqrt(e[keep])
    e, w = np.linalg.eigh(z.T @ z)
    keep = e > 1e-10 * max(e[-1], 1e-300)
    return e[keep], w[:, keep]


class DrugChain:
    """State of the training drugs in the sampler: targets and effects, of the genes that may be targets of each."""

    def __init__(self, chains: list[BlockChain], beliefs: Beliefs) -> None:
        self.chains, self.beliefs = chains, beliefs
        p = np.where(beliefs.probability > UNSURE, beliefs.probability, 0)
        n_drugs = len(p)
        most = max(int((p > 0).sum(1).max()), 1)
        unsure = (p > 0) & (p < SURE)
        self.gene = np.argsort(-(unsure * 2.0 + (p > 0)), axis=1, kind="stable")[:, :most]  # (D, m), unsure ones first
        own = np.arange(n_drugs)[:, None]
        self.own, p_own = own, p[own, self.gene]
        self.unsure = unsure[own, self.gene]
        clipped = np.clip(p_own, 1e-9, 1 - 1e-9)
        self.log_odds = logit(clipped)
        self.prior_mean, self.prior_var = beliefs.mean[own, self.gene], beliefs.variance[own, self.gene]
        self.on, self.effect = (p_own > 0.5).astype(float), self.prior_mean.copy()
        self.slot = np.zeros(p.shape, dtype=int)  # (D, G) place of each gene in `gene`
        self.slot[self.own, self.gene] = np.arange(most)
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """(D, G) indicators and effects."""
        out = np.zeros((2, *self.beliefs.probability.shape))
        out[0][self.own, self.gene] = self.on
        out[1][self.own, self.gene] = self.on * self.effect
        return out[0], out[1]

    def _data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Features (D, L), contributions of indicators and effects (D, m, L), noise (L,), over all rows of a drug."""
        value, offset, slope, noise = [], [], [], []
        n_drugs, n_genes = self.beliefs.probability.shape
        for chain in self.chains:
            rank = rank_within(chain.rows.drug)
            for r in range(int(rank.max(initial=-1)) + 1):
                rows = np.flatnonzero(rank == r)
                d = chain.rows.drug[rows]
                on, by = np.zeros((2, n_drugs))
                y = np.zeros((n_drugs, chain.value.shape[1]))
                on[d], by[d] = chain.rows.on[rows], chain.rows.by[rows]
                y[d] = chain.value[rows] - np.outer(on[d], chain.weights[-2]) - np.outer(by[d], chain.weights[-1])
                value.append(y)
                offset.append(on[:, None, None] * chain.weights[self.gene])
                slope.append(by[:, None, None] * chain.weights[n_genes + self.gene])
                noise.append(chain.noise)
        return np.concatenate(value, -1), np.concatenate(offset, -1), np.concatenate(slope, -1), np.concatenate(noise)

    def draw(self, rng: np.random.Generator) -> None:
        """Draw unsure targets one by one (their effect integrated out), then all effects jointly."""
        value, offset, slope, noise = self._data()
        scaled = slope / noise
        for c in np.flatnonzero(self.unsure.any(0)):
            others = self.on.copy()
            others[:, c] = 0
            without = (
                value - np.einsum("dm,dml->dl", others, offset) - np.einsum("dm,dml->dl", others * self.effect, slope)
            )
            left = without - offset[:, c] - self.prior_mean[:, c, None] * slope[:, c]
            precision = 1 / self.prior_var[:, c] + (scaled[:, c] * slope[:, c]).sum(1)
            right = (scaled[:, c] * left).sum(1)
            gain = (
                right**2 / precision
                - np.log(precision * self.prior_var[:, c])
                + ((without**2 - left**2) / noise).sum(1)
            )
            chance = expit(self.log_odds[:, c] + 0.5 * gain)
            on = rng.random(len(chance)) < chance
            self.on[:, c] = np.where(self.unsure[:, c], on, self.on[:, c])
            drawn = self.prior_mean[:, c] + right / precision + rng.standard_normal(len(on)) / np.sqrt(precision)
            self.effect[:, c] = np.where(self.unsure[:, c] & on, drawn, self.effect[:, c])
        on_slope = self.on[..., None] * slope
        precision = (on_slope / noise) @ on_slope.transpose(0, 2, 1)
        m = precision.shape[1]
        precision[:, np.arange(m), np.arange(m)] += 1 / self.prior_var
        left = value - np.einsum("dm,dml->dl", self.on, offset)
        right = self.prior_mean / self.prior_var + np.einsum("dml,dl->dm", on_slope / noise, left)
        cov = np.linalg.inv(precision)
        root = np.linalg.cholesky(0.5 * (cov + cov.transpose(0, 2, 1)))
        noise_draw = rng.standard_normal(right.shape)
        self.effect = np.einsum("dmk,dk->dm", cov, right) + np.einsum("dmk,dk->dm", root, noise_draw)

    def rescale(self, rng: np.random.Generator) -> None:
        """Move each gene along what the features cannot tell: effects x s, weights / s.

        Proposed by what the cells say of effects and accepted by what that does not hold, the prior of the weights (Metropolis).
        """
        n_genes = self.beliefs.probability.shape[1]
        of_effects, gene = slice(n_genes, 2 * n_genes), self.gene.ravel()
        weight = self.on / self.prior_var
        precision = np.bincount(gene, (weight * self.effect**2).ravel(), n_genes)
        right = np.bincount(gene, (weight * self.effect * self.prior_mean).ravel(), n_genes)
        known = precision > 0
        precision = np.where(known, precision, 1.0)
        s = np.where(known, right / precision + rng.standard_normal(n_genes) / np.sqrt(precision), 1.0)
        s = np.where((s > 1 / FARTHEST) & (s < FARTHEST), s, 1.0)
        log = (np.bincount(gene, self.on.ravel(), n_genes) - 1) * np.log(s)
        for chain in self.chains:
            square = chain.weights[of_effects] ** 2 / (chain.prior[of_effects, None] * chain.scale)  # (G, L)
            log += 0.5 * (1 - s**-2) * square.sum(axis=1) - square.shape[1] * np.log(s)
        s = np.where(np.log(rng.random(n_genes)) < log, s, 1.0)
        self.effect = np.where(self.on > 0, self.effect * s[self.gene], self.effect)
        for chain in self.chains:
            chain.weights[of_effects] /= s[:, None]

    def shear(self, rng: np.random.Generator) -> None:
        """Move pairs of genes along what the features cannot tell, where all drugs that hit gene g hit gene a, too.

        For any c, effects on a plus c x effects on g, and weights of g less c x weights of a, explain the features as well; c is
        drawn given the priors of both, which are Gaussian in it.
        """
        n_genes = self.beliefs.probability.shape[1]
        hit = self.dense()[0] > 0  # (D, G)
        for g in np.flatnonzero(hit.any(axis=0)):
            drugs = np.flatnonzero(hit[:, g])
            with_g = np.logical_and.reduce(hit[drugs])
            with_g[g] = False
            by = self.effect[drugs, self.slot[drugs, g]]
            for a in np.flatnonzero(with_g):
                at = drugs, self.slot[drugs, a]
                precision = (by**2 / self.prior_var[at]).sum()
                right = (by * (self.prior_mean[at] - self.effect[at]) / self.prior_var[at]).sum()
                for chain in self.chains:
                    of_g, of_a = chain.weights[[n_genes + g, n_genes + a]]
                    variance = chain.prior[n_genes + g] * chain.scale  # (L,)
                    precision += (of_a**2 / variance).sum()
                    right += (of_g * of_a / variance).sum()
                c = right / precision + rng.standard_normal() / np.sqrt(precision)
                self.effect[at] += c * by
                for chain in self.chains:
                    chain.weights[n_genes + g] -= c * chain.weights[n_genes + a]

    def keep(self) -> None:
        """Keep the present draw."""
        self.kept.append((self.on.copy(), self.effect.copy()))

    def result(self) -> Beliefs:
        """Interventions given fit and features."""
        on, effect = np.array([k[0] for k in self.kept]), np.array([k[1] for k in self.kept])
        mass = on.sum(0)
        share = np.maximum(mass, 1e-9)
        mean = np.where(mass > 0, (on * effect).sum(0) / share, self.prior_mean)
        variance = (on * (effect - mean) ** 2).sum(0) / share
        probability, all_mean, all_var = (x.copy() for x in vars(self.beliefs).values())
        listed = np.where(self.unsure, mass / len(on), probability[self.own, self.gene])
        real = probability[self.own, self.gene] > UNSURE
        probability[self.own, self.gene] = np.where(real, listed, probability[self.own, self.gene])
        all_mean[self.own, self.gene] = np.where(real, mean, self.prior_mean)
        enough = real & (mass >= 5)
        all_var[self.own, self.gene] = np.where(enough, variance, self.prior_var)
        return Beliefs(probability, all_mean, all_var)
