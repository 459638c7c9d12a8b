"""Posterior of a drug's intervention given its features: search over supports (layer `_core`; not from the paper).

Given a support, effects are Gaussian and integrate out. A beam grows supports by one gene at a time, then exchanges
genes; the posterior is averaged over all that were visited.
"""

import numpy as np
from scipy.linalg.lapack import dposv

from scgim._core.effects import Effects
from scgim._core.features.backward import LinearBlock
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Rows
from scgim._core.posterior.effects.slab import log_mixture, tilted_moments

CHUNK = 2000  # supports scored at a time
SIZES, SHARES = np.array([0.25, 0.5, 1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.4, 0.2, 0.1])
"""Multiples of the weights' covariance, and what is believed of each: effects whose weights are unknown may be small or large."""
MOST_BRANCHES, FEW_BRANCHES = 30, 12  # genes that a support grows by, in the beam and when genes are exchanged
WIDTHS = 8, 400  # supports of a beam, at the least and at the most
LOST = 6.0  # nats below the best at which larger supports are not tried
N_LEADERS = 4  # supports whose genes are exchanged


class DrugEvidence:
    """What one drug's features say of any support.

    Parameters
    ----------
    learned, blocks
        Weights of each block, and the rows of each block that belong to the drug.
    second_moment
        Variance of the Gaussian slab.
    inflation
        Factor of the variances, for calibration.
    """

    def __init__(
        self, learned: list[LinearBlock], blocks: list[Rows], second_moment: float, *, inflation: float = 1.0
    ) -> None:
        self.tau2, self.inflation = second_moment, inflation
        y, noise, offset, slope, self.parts = [], [], [], [], []
        for block, rows in zip(learned, blocks, strict=True):
            g = len(block.weights) // 2 - 1
            for x, on, by in zip(rows.value @ block.rotation, rows.on, rows.by, strict=True):
                self.parts.append((block.deviations, float(on), float(by)))
                y.append(x - on * block.weights[-2] - by * block.weights[-1])
                noise.append(inflation * block.noise)
                offset.append(on * block.weights[:g])
                slope.append(by * block.weights[g : 2 * g])
        self.y, self.noise = np.concatenate(y), np.concatenate(noise)  # (L,)
        self.offset, self.slope = np.concatenate(offset, -1), np.concatenate(slope, -1)  # (G, L)
        g = len(self.slope)
        constant, own_offset, own_slope = [], [], []
        for dev, on, by in self.parts:
            constant.append(((on * dev[-2] + by * dev[-1]) ** 2).mean(0))
            own_offset.append(on**2 * (dev[:g] ** 2).mean(1))
            own_slope.append(by**2 * (dev[g : 2 * g] ** 2).mean(1))
        self.own_constant = inflation * np.concatenate(constant)  # variances (L,)
        self.own_offset = inflation * np.concatenate(own_offset, -1)  # (G, L)
        self.own_slope = inflation * np.concatenate(own_slope, -1)

    def covariance(self, supports: np.ndarray, effect: np.ndarray, variance: np.ndarray | None = None) -> np.ndarray:
        """(n, L, L) covariance of the features' errors: noise, and the weights' uncertainty times effects (n, k).

        Effects with a variance (n, k) count with their mean square, so that a gene whose weights are unknown, and whose
        effect the features therefore cannot tell, explains what effects of the usual size would.
        """
        genes, place = np.unique(supports, return_inverse=True)
        place = place.reshape(supports.shape)
        always, hit, unit = self._draws(genes)
        joint = np.repeat(always[None], len(supports), axis=0)  # (n, T, L)
        for k, a in enumerate(effect.T[..., None, None]):
            joint += hit[place[:, k]] + a * unit[place[:, k]]
        cov = joint.transpose(0, 2, 1) @ joint
        if variance is not None:
            square = unit.transpose(0, 2, 1) @ unit  # of each gene, (., L, L)
            for k, v in enumerate(variance.T[..., None, None]):
                cov += v * square[place[:, k]]
        cov *= self.inflation / joint.shape[1]
        return _shrunk(cov, joint.shape[1]) + np.diag(self.noise)

    def _draws(self, genes: np.ndarray) -> list[np.ndarray]:
        """Draws of the features' errors: without targets (T, L), and what each of some genes adds, at any effect and by unit of it, (., T, L)."""
        g = len(self.slope)
        parts = [(on * dev[-2] + by * dev[-1], on * dev[genes], by * dev[g + genes]) for dev, on, by in self.parts]
        return [np.concatenate(each, -1).astype(float) for each in zip(*parts, strict=True)]

    def rough(self, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Like a call, with the errors of different features and genes taken as independent."""
        residual, slope = self.y - self.offset[supports].sum(1), self.slope[supports]
        offset_var, slope_var = self.own_offset[supports].sum(1), self.own_slope[supports]
        squares = np.full(supports.shape, self.tau2)
        for _ in range(2):
            variance = self.noise + self.own_constant + offset_var + (squares[..., None] * slope_var).sum(1)
            scaled = slope / variance[:, None]
            solved = _gaussian(scaled @ slope.transpose(0, 2, 1), (scaled @ residual[:, :, None])[..., 0], self.tau2)
            squares = solved[0] ** 2 + np.diagonal(solved[1], axis1=1, axis2=2)
        return solved[0], solved[1], solved[2] - 0.5 * (residual**2 / variance + np.log(variance)).sum(1)

    def __call__(self, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (n, k) and covariance (n, k, k) of the effects of supports (n, k), and log evidence (n,) up to a constant."""
        residual, slope = self.y - self.offset[supports].sum(1), self.slope[supports]
        mean, spread, _ = self.rough(supports)
        both = np.concatenate([slope, residual[:, None]], 1).transpose(0, 2, 1)  # (n, L, k + 1)

        def solve(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            whole, log_det = solve_each(cov, both)
            mean, spread, log = _gaussian(slope @ whole[..., :-1], (slope @ whole[..., -1:])[..., 0], self.tau2)
            return mean, spread, log - 0.5 * ((residual * whole[..., -1]).sum(1) + log_det)

        cov = self.covariance(supports, mean, np.diagonal(spread, axis1=1, axis2=2))
        mean, spread, _ = solve(cov)
        cov = self.covariance(supports, mean, np.diagonal(spread, axis1=1, axis2=2))
        noise = np.diag(self.noise)
        return _mixed([solve(noise + size * (cov - noise)) for size in SIZES], SHARES)

    def screen(self, support: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(G,) approximate gain of one more gene, the other effects held."""
        r = self.y - self.offset[support].sum(0) - mean @ self.slope[support]
        base = (
            self.noise
            + self.own_constant
            + self.own_offset[support].sum(0)
            + (mean[:, None] ** 2 * self.own_slope[support]).sum(0)
        )
        variance = base + self.own_offset + self.tau2 * self.own_slope
        left = r - self.offset
        weighted = self.slope / variance
        precision = (weighted * self.slope).sum(1) + 1 / self.tau2
        fit = (weighted * left).sum(1) ** 2 / precision
        return 0.5 * (fit - np.log(precision * self.tau2) - (left**2 / variance + np.log(variance / base)).sum(1))


def _shrunk(cov: np.ndarray, n_draws: int) -> np.ndarray:
    """Sampled covariances (n, L, L), off the diagonal as small as their sampling error asks (Schäfer and Strimmer 2005).

    Weights of a gene that no training drug hits are independent: what a few draws say of products is chance.
    """
    spread = np.diagonal(cov, axis1=1, axis2=2)  # (n, L)
    on = spread[:, :, None] * np.eye(cov.shape[1])
    square = ((cov - on) ** 2).sum((1, 2))
    chance = (spread.sum(1) ** 2 - (spread**2).sum(1) + square) / n_draws
    keep = np.maximum(1 - chance / np.maximum(square, 1e-300), 0)
    return on + keep[:, None, None] * (cov - on)


def solve_each(cov: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solutions (n, L, m) and log determinants (n,) of covariances (n, L, L), each factorised once."""
    out, log_det = np.empty_like(right), np.empty(len(cov))
    for i, each in enumerate(cov):
        factor, out[i], failed = dposv(each, right[i], lower=True)
        if failed:  # positive definite but for rounding
            out[i], log_det[i] = np.linalg.solve(each, right[i]), np.linalg.slogdet(each)[1]
        else:
            log_det[i] = 2 * np.log(np.diagonal(factor)).sum()
    return out, log_det


def _mixed(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (n, k), covariances and log evidence (n,) of a mixture of posteriors."""
    mean, spread, log = (np.stack(values) for values in zip(*parts, strict=True))
    joint = log + np.log(shares)[:, None]
    total = np.logaddexp.reduce(joint, axis=0)
    weight = np.exp(joint - total)  # (C, n)
    centre = np.einsum("cn,cnk->nk", weight, mean)
    apart = mean - centre
    square = spread + apart[..., :, None] * apart[..., None, :]
    return centre, np.einsum("cn,cnkl->nkl", weight, square), total


def _gaussian(precision: np.ndarray, right: np.ndarray, tau2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mean (n, k) and covariance (n, k, k) of effects with a N(0, tau2) prior, and the evidence they add (n,)."""
    k = right.shape[1]
    precision = precision + np.eye(k) / tau2
    cov = np.linalg.inv(precision)
    mean = (cov @ right[..., None])[..., 0]
    return mean, cov, 0.5 * ((right * mean).sum(1) - np.linalg.slogdet(precision)[1] - k * np.log(tau2))


Support = tuple[int, ...]


class Scores:
    """Supports visited, with log posterior and the effects' means and variances."""

    def __init__(self, evidence: DrugEvidence, prior: PopulationPrior, *, rough: bool) -> None:
        self.of, self.prior, self.log_size = (evidence.rough if rough else evidence), prior, prior.log_support()
        self.found: dict[Support, tuple[float, np.ndarray, np.ndarray]] = {}

    def visit(self, supports: list[Support]) -> None:
        """Score supports that were not seen before."""
        new = [s for s in dict.fromkeys(supports) if s not in self.found and len(s) < len(self.log_size)]
        for size in sorted({len(s) for s in new}):
            group = [s for s in new if len(s) == size]
            for low in range(0, len(group), CHUNK):
                part = group[low : low + CHUNK]
                array = np.array(part, int).reshape(len(part), size)
                mean, cov, log = self.of(array)
                log = log + self.log_size[size] + self.prior.log_odds[array].sum(1)
                results = _slab(log, mean, cov, self.prior)
                for s, v, m, w in zip(part, *results, strict=True):
                    self.found[s] = (float(v), m, w)

    def best(self, number: int, size: int | None = None) -> list[Support]:
        """The supports with the highest posterior, of one size if it is given."""
        pool = [s for s in self.found if size is None or len(s) == size]
        return sorted(pool, key=lambda s: -self.found[s][0])[:number]


def search(
    evidence: DrugEvidence, prior: PopulationPrior, *, budget: int = 4000, rescored: int = 100, exchanges: int = 2
) -> Effects:
    """Average over the supports that a beam search visits.

    Parameters
    ----------
    prior
        Prior of supports and effects.
    budget
        About how many supports are scored in each round; the beam is exhaustive where this exceeds their number.
    rescored
        Supports that are scored again with the full covariance of errors.
    exchanges
        Rounds in which the best supports lose a gene or exchange it for another.

    Returns
    -------
    Posterior of one drug, arrays (1, G).
    """
    n_genes, largest = len(prior.log_odds), len(prior.log_size) - 1
    branches = min(n_genes, MOST_BRANCHES)
    width = int(np.clip(budget // branches, *WIDTHS))
    rough, exact = Scores(evidence, prior, rough=True), Scores(evidence, prior, rough=False)

    def grow(scores: Scores, s: Support, most: int) -> list[Support]:
        if n_genes <= most:
            return [tuple(sorted((*s, j))) for j in range(n_genes) if j not in s]
        gain = evidence.screen(np.array(s, int), scores.found[s][1]) + prior.log_odds
        gain[list(s)] = -np.inf
        return [tuple(sorted((*s, int(j)))) for j in np.argpartition(-gain, most)[:most]]

    rough.visit([()])
    for size in range(largest):
        beam = rough.best(width, size)
        rough.visit([c for s in beam for c in grow(rough, s, branches if size else n_genes)])
        longer, shorter = rough.best(1, size + 1), rough.best(1)
        if size >= 2 and longer and rough.found[longer[0]][0] < rough.found[shorter[0]][0] - LOST:
            break  # more genes than needed
    exact.visit([(), *rough.best(rescored)])
    for _ in range(exchanges):
        leaders = exact.best(N_LEADERS)
        reduced = list(dict.fromkeys([*leaders, *(s[:i] + s[i + 1 :] for s in leaders for i in range(len(s)))]))
        exact.visit(reduced)
        exact.visit([c for s in reduced if len(s) < largest for c in grow(exact, s, min(branches, FEW_BRANCHES))])
    return _average(exact.found, prior)


def _slab(
    log: np.ndarray, mean: np.ndarray, cov: np.ndarray, prior: PopulationPrior
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exchange the Gaussian slab for the prior's mixture, gene by gene (exact where effects are independent)."""
    if mean.shape[1] == 0:
        return log, mean, np.zeros(mean.shape)
    tau2, variance = prior.second_moment, np.diagonal(cov, axis1=1, axis2=2)
    if len(prior.slab) == 1:
        return log, mean, variance
    precision = np.maximum(1 / variance - 1 / tau2, 1e-9 / tau2)
    cavity, centre = 1 / precision, mean / variance / precision
    gaussian = -0.5 * np.log(2 * np.pi * (cavity + tau2)) - 0.5 * centre**2 / (cavity + tau2)
    log = log + (log_mixture(centre, cavity, prior.slab) - gaussian).sum(1)
    return log, *tilted_moments(centre, cavity, prior.slab)


def _average(visited: dict[tuple[int, ...], tuple[float, np.ndarray, np.ndarray]], prior: PopulationPrior) -> Effects:
    n_genes = len(prior.log_odds)
    top = max(v[0] for v in visited.values())
    mass, first, second = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    total = 0.0
    for s, (log, mean, variance) in visited.items():
        weight = np.exp(log - top)
        total += weight
        if weight < 1e-12:
            continue
        genes = list(s)
        mass[genes] += weight
        first[genes] += weight * mean
        second[genes] += weight * (variance + mean**2)
    probability = mass / total
    sure = mass > 1e-12 * total
    share = np.where(sure, mass, 1.0)
    amplitude = np.where(sure, first / share, prior.mean)
    variance = np.where(sure, second / share - (first / share) ** 2, prior.variance)
    floor = 1e-12 * prior.second_moment
    return Effects(probability[None], amplitude[None], np.sqrt(np.maximum(variance, floor))[None])
