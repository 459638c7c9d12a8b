"""How far the covariance within contexts can be trusted (layer `_core`; not from the paper).

Mechanisms are only about right, and with many cells false edges come to explain every trace of that. So noises of genes
are not taken for independent: their correlation is drawn around the identity, ``inverse Wishart``, as if from
`misfit_cells` cells, and N cells tell of edges what ``1 / (1 / N + 1 / misfit_cells)`` would. How many these are is
learned by the evidence of the correlations that a graph leaves.
"""

import numpy as np
from scipy.special import multigammaln

from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.score import ShiftScore

START_CELLS = 1000.0  # at first: an edge then has to explain about 1.5 % of what is left of its gene
FEWEST_CELLS = 10.0  # at the least: where noise of measurement correlates genes, their covariance says little of edges
STEP = 10**0.25  # between numbers of cells that are tried
LARGEST = 1e3  # times the cells that there are: as good as infinitely many
WORTH = 3.0  # nats that a misfit has to gain


def noise_correlation(score: ShiftScore, evidence: Evidence, parents: dict[int, tuple[int, ...]]) -> np.ndarray:
    """Correlations within contexts of what the mechanisms leave, ``(G, G)``."""
    G, B = score.n_genes, score.n_functions
    left = np.zeros((G * B, G))  # (F, G) residuals as sums of functions
    for j in range(G):
        left[j * B, j] = 1.0
        left[score.columns(np.array(parents[j], dtype=int)), j] -= evidence.coef[j]
    cov = left.T @ score.within @ left
    sd = np.sqrt(np.maximum(np.diag(cov), 1e-12))
    return np.asarray(cov / np.outer(sd, sd))


def log_evidence(eigenvalues: np.ndarray, n: float, cells: np.ndarray) -> np.ndarray:
    """Log density of the scatter matrix of n cells whose correlation has these eigenvalues ``(G,)``, but for constants.

    One for each number of `cells` that the covariance is known as if from. It is inverse Wishart with ``cells + G + 1`` degrees of
    freedom and mean one, and integrated out.
    """
    G = len(eigenvalues)
    m = cells + G + 1
    log_det = np.log1p(np.outer(n / cells, np.maximum(eigenvalues, 0.0))).sum(axis=1)
    gamma = multigammaln((m + n) / 2, G) - multigammaln(m / 2, G)
    return np.asarray(gamma - G * n / 2 * np.log(cells) - (m + n) / 2 * log_det)


def best_evidence(correlation: np.ndarray, n: float) -> tuple[float, float]:
    """Largest log evidence of correlations of noises ``(G, G)`` from n cells, and the cells that these are worth.

    Infinitely many where nothing speaks against independent noises.
    """
    eigenvalues = np.linalg.eigvalsh(correlation)
    infinite = float(log_evidence(eigenvalues, n, np.array([LARGEST * max(n, START_CELLS)]))[0])
    if len(correlation) < 2 or n <= START_CELLS:
        return infinite, np.inf
    values = FEWEST_CELLS * STEP ** np.arange(np.ceil(np.log(LARGEST * n / FEWEST_CELLS) / np.log(STEP)))
    found = log_evidence(eigenvalues, n, values)
    best = int(found.argmax())
    return (float(found[best]), float(values[best])) if found[best] > infinite + WORTH else (infinite, np.inf)


def total_evidence(score: ShiftScore, evidence: Evidence, parents: dict[int, tuple[int, ...]]) -> tuple[float, float]:
    """Log evidence of a graph with the misfit that suits it best, and the cells of that; comparable between misfits.

    The scores hold the covariance within contexts as if from `within_dof` cells of independent noises; here it is that
    of all cells.
    """
    log_noise = np.log(np.maximum(evidence.noise, 1e-8))
    within, cells = best_evidence(noise_correlation(score, evidence, parents), score.dof)
    between = float((evidence.score + 0.5 * score.within_dof * (log_noise + 1)).sum())
    return between - 0.5 * score.dof * float(log_noise.sum()) + within, cells


def explains_all(score: ShiftScore, evidence: Evidence, parents: dict[int, tuple[int, ...]]) -> bool:
    """Whether a graph leaves nothing to hidden causes or noise of measurement, which cost a loading or variance of every gene.

    They gain by a better match of the covariance within contexts, at the most what an exact one would, and by edges that
    they make needless: by neither as much as they cost. By both together they might, so this is no strict bound; in no simulated
    system, of 112 with and without causes, would it have kept a cause from being found.
    """
    G, dof, log_noise = score.n_genes, score.dof, np.log(np.maximum(evidence.noise, 1e-8))
    within = best_evidence(noise_correlation(score, evidence, parents), dof)[0] - 0.5 * dof * float(log_noise.sum())
    # noises that effects in any order leave have the determinant of the covariance as their product
    exact = best_evidence(np.eye(G), dof)[0] - 0.5 * dof * float(np.linalg.slogdet(score.within)[1])
    return bool(exact - within < 0.5 * G * np.log(dof)) and sum(map(len, parents.values())) <= G
