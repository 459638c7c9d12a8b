"""Parents of neural mechanisms: local search from the additive engine's graph (layer `model`; not from the paper).

All networks of a round, those of the present graph and those of the proposed changes, are trained as one batch on the
same minibatches from the same weights, so that their scores differ by the change and not by chance. A proposal drops an
edge, adds one that the residuals ask for, or turns one round. The score is the closed-form marginal likelihood of
`_expectation` with a price for each parent.
"""

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from scgim._core.mechanisms.additive import Additive
from scgim._core.structure.prior import Prior
from scgim.model._module.expectation import expectation
from scgim.model._module.kinds import TRAINED, TrainedKind
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.residuals import Expectation, Residuals

logger = logging.getLogger(__name__)
PARAMETERS_PER_PARENT = 6  # effective number, for the price of an edge
PROMISE = 0.5
"""Share of an edge's price that a regression must promise for a network to be tried: networks gain more than regressions."""
MOST_EXPLAINED = 0.999
"""Share of a variance that a regression explains at the most, so that its logarithm stays finite."""
NO_VARIANCE = 1e-9
"""Sums of squares below this are of a constant; of standardised cells."""
BLOCK = 100
"""Genes whose basis functions are in memory together."""
MOVED = 0.3
"""Change of a parent's mean, in standard deviations, from which a context may reach a gene through it."""
TRUSTED = 0.5
"""Share of the epochs in which trusting networks take all that may come through parents as theirs."""
RIDGE = 1e-3
"""Of regressions on basis functions, as a share of their mean square: collinear functions do not blow up."""


@dataclass
class Sample:
    """Standardised cells in memory and their contexts."""

    z: torch.Tensor  # (n, G) standard deviations of the genes
    context: torch.Tensor  # (n,)
    drug_set: np.ndarray  # (K,)
    group: np.ndarray  # (K,)
    kind: TrainedKind = TRAINED["shift"]
    seen: torch.Tensor | None = None  # (n, G) what children see of each gene, where that is not the gene itself

    @property
    def inputs(self) -> torch.Tensor:
        """What mechanisms read, ``(n, G)``, in standard deviations of the genes."""
        return self.z if self.seen is None else self.seen

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Sums over the cells of each context, in float64 on the CPU: (n, M) -> (K, M)."""
        total = torch.zeros(len(self.drug_set), values.shape[1], dtype=torch.float64)
        return total.index_add_(0, self.context.cpu(), values.double().cpu())


@dataclass
class Batch:
    """Networks of M proposals after training."""

    genes: np.ndarray  # (M,)
    parents: list[tuple[int, ...]]
    networks: NeuralGenes
    state: Expectation
    residual: torch.Tensor  # (n, M) standard deviations of the genes


def residual_sums(cells: Sample, y: torch.Tensor, residual: torch.Tensor) -> Residuals:
    """Sums for the expectation step: genes ``y`` and residuals, ``(n, M)`` each."""
    n = cells.sums(torch.ones(len(y), 1)).numpy() + np.zeros((1, y.shape[1]))
    values = [residual, residual.double() ** 2, *([y, y.double() ** 2] if cells.kind.reads_genes else [])]
    sums = [cells.sums(v).numpy() for v in values]
    return Residuals(n, *sums, *([] if cells.kind.reads_genes else [np.zeros_like(n)] * 2))


def warm_start(networks: NeuralGenes, parents: list[tuple[int, ...]], genes: np.ndarray, start: Batch) -> None:
    """Weights of `start`'s network of the same gene: lost parents fall out, new ones begin with small weights."""
    row = {int(g): m for m, g in enumerate(start.genes)}
    networks.set_hinges(start.networks.n_hinges()[[row[int(j)] for j in genes]])
    with torch.no_grad():
        for m, (j, pa) in enumerate(zip(genes, parents, strict=True)):
            s = row[int(j)]
            old = {p: k for k, p in enumerate(start.parents[s])}
            networks.bias[m], networks.outer[m] = start.networks.bias[s], start.networks.outer[s]
            networks.inner[m] *= 0.3
            networks.skip[m] = 0
            for k, p in enumerate(pa):
                if p in old:
                    networks.inner[m, k] = start.networks.inner[s, old[p]]
                    networks.skip[m, k] = start.networks.skip[s, old[p]]


def _random_networks(
    parents: list[tuple[int, ...]], n_hidden: int, generator: torch.Generator, *, bent: bool | np.ndarray
) -> NeuralGenes:
    """Networks of M proposals with random weights; where `bent`, half of the hidden units are hinges."""
    networks = NeuralGenes(len(parents), max(map(len, parents), default=1), n_hidden=n_hidden, generator=generator)
    networks.set_parents(parents, generator)
    networks.set_hinges(np.full(len(parents), n_hidden // 2 * bent))
    return networks


def train_batch(
    cells: Sample,
    genes: np.ndarray,
    parents: list[tuple[int, ...]],
    prior: Prior,
    *,
    n_hidden: int = 16,
    n_epochs: int = 40,
    batch_size: int = 512,
    lr: float = 1e-2,
    ridge: float = 1e-5,
    start: Batch | None = None,
    seed: int = 0,
    bent: bool | np.ndarray = False,
    trusting: bool = False,
) -> Batch:
    """Trains M networks together by expectation maximisation, minibatched over cells.

    Parameters
    ----------
    cells
        In memory.
    genes, parents
        Gene and parents of each proposal, M each.
    prior
        Of the interventions; its background has the length G and is fixed here.
    n_hidden, n_epochs, batch_size, lr, ridge
        Of the networks and their training.
    start
        Networks to start from; random weights without.
    seed
        Of weights and minibatches.
    bent
        Whether half of the hidden units are hinges, of all or of each ``(M,)``; those of `start` are what they are there.
    trusting
        Whether no gene is a target where a parent moved, in the first half of the epochs. Otherwise networks, small at first,
        leave to effects what parents do where only few drugs bring them, and are never asked about it again.
    """
    generator = torch.Generator().manual_seed(seed)
    device, M = cells.z.device, len(genes)
    networks = _random_networks(parents, n_hidden, generator, bent=bent).to(device)
    if start is not None:
        warm_start(networks, parents, genes, start)
    prior = prior.of(np.asarray(genes))
    index = torch.as_tensor(genes, device=device)
    residual = _residual(cells, networks, index)
    state = _expect(cells, index, residual, prior, learn=start is None)
    N, half_log = len(cells.z), torch.zeros(M, device=device)
    optimiser = torch.optim.Adam(networks.parameters(), lr=lr, eps=1e-8)
    n_steps = n_epochs * -(-N // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=max(n_steps, 1), pct_start=0.1)
    group = torch.as_tensor(cells.group, device=device)[cells.context]
    may_follow = _parents_moved(cells, parents) if trusting else np.zeros((1, M), dtype=bool)
    for epoch in range(n_epochs):
        if epoch:
            residual = _residual(cells, networks, index)
            state = _expect(cells, index, residual, state.prior, learn=start is None, probability=state.probability)
        if epoch < TRUSTED * n_epochs:
            state = replace(state, probability=np.where(may_follow, 0.0, state.probability))
        offset, weight = _targets(state, device, cells.kind)
        half_log = torch.as_tensor(0.5 / state.evidence.noise, dtype=torch.float32, device=device)
        for rows in torch.randperm(N, generator=generator).to(device).split(batch_size):
            z, k = cells.z[rows], cells.context[rows]
            error = z[:, index] - networks(cells.inputs[rows]) - offset[k] - _baseline(state, device)[group[rows]]
            loss = (weight[k] * error.square() * half_log).sum(1).mean() + ridge * networks.weight_square()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks.parameters(), 10.0 * M**0.5)
            optimiser.step()
            schedule.step()
    residual = _residual(cells, networks, index)
    state = _expect(cells, index, residual, state.prior, learn=start is None, probability=state.probability)
    return Batch(np.asarray(genes), list(parents), networks, state, residual)


def _parents_moved(cells: Sample, parents: list[tuple[int, ...]]) -> np.ndarray:
    """Whether a parent's mean moved off that of the controls, ``(K, M)``."""
    n, control = cells.sums(torch.ones(len(cells.z), 1)).numpy(), cells.drug_set < 0
    total = cells.sums(cells.inputs).numpy()  # (K, G)
    usual = total[control].sum(axis=0) / np.maximum(n[control].sum(), 1)
    moved = (np.abs(total / np.maximum(n, 1) - usual) > MOVED) & ~control[:, None] & (n > 0)
    return np.stack([moved[:, list(pa)].any(axis=1) for pa in parents], axis=1)


def _baseline(state: Expectation, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(state.evidence.baseline, dtype=torch.float32, device=device)


def _targets(state: Expectation, device: torch.device, kind: TrainedKind) -> tuple[torch.Tensor, torch.Tensor]:
    """What is taken off the cells of each context before the regression, and their weight, ``(K, M)`` each."""
    q = torch.as_tensor(state.probability, dtype=torch.float32, device=device)
    return kind.regression_target(q, torch.as_tensor(state.effect, dtype=torch.float32, device=device))


@torch.no_grad()
def _residual(cells: Sample, networks: NeuralGenes, index: torch.Tensor) -> torch.Tensor:
    parts = zip(cells.z.split(4096), cells.inputs.split(4096), strict=True)
    return torch.cat([z[:, index] - networks(seen) for z, seen in parts])


def _expect(
    cells: Sample,
    index: torch.Tensor,
    residual: torch.Tensor,
    prior: Prior,
    *,
    learn: bool,
    probability: np.ndarray | None = None,
) -> Expectation:
    stats = residual_sums(cells, cells.z[:, index], residual)
    return expectation(
        stats, cells.drug_set, cells.group, prior, cells.kind, learn_prior=learn, probability=probability
    )


class Addition(NamedTuple):
    """One more parent of a gene, and what a regression of its residual would gain by it, in nats."""

    gain: float
    parent: int
    gene: int


def screen_additions(cells: Sample, batch: Batch, allowed: np.ndarray, price: float, most: int = 2) -> list[Addition]:
    """Parents that the residuals ask for: a regression of each residual on functions of one more gene.

    Parameters
    ----------
    cells
        In memory.
    batch
        Networks of all genes, in order.
    allowed
        ``(G, G)`` bool; edges that may be added.
    price
        Of an edge, in nats; candidates must promise `PROMISE` of it.
    most
        Additions proposed for each gene.
    """
    gain = _additive_gains(cells, batch)  # (G, G) nats, [parent, gene]
    _add_gains_beside_parents(gain, cells, batch, allowed)
    worth = allowed & (gain > PROMISE * price)
    out: list[Addition] = []
    for j in range(len(gain)):
        found = [Addition(gain[i, j], int(i), j) for i in np.flatnonzero(worth[:, j])]
        out += sorted(found, reverse=True)[:most]
    return out


def _gain(n_cells: int, share: np.ndarray) -> np.ndarray:
    """Log-likelihood that a regression gains, in nats: ``-n / 2 log(1 - share)`` for the share of the variance that it explains."""
    return -0.5 * n_cells * np.log1p(-np.minimum(share, MOST_EXPLAINED))


def _centre(cells: Sample, values: torch.Tensor) -> torch.Tensor:
    """Values ``(n, F)`` less the mean of their context, in their own units."""
    n = cells.sums(torch.ones(len(values), 1)).clamp(min=1)
    return values - (cells.sums(values) / n).to(values.dtype)[cells.context.cpu()]


def _additive_gains(cells: Sample, batch: Batch) -> np.ndarray:
    """What a regression of each residual on the basis functions of each gene would gain, ``(G, G)`` nats, [parent, gene]."""
    residual = _centre(cells, batch.residual.cpu()).double()
    total, z = residual.square().sum(0).clamp(min=NO_VARIANCE), cells.inputs.cpu()
    gain = np.zeros((z.shape[1], z.shape[1]))
    for start in range(0, z.shape[1], BLOCK):
        f = torch.as_tensor(Additive().functions(z[:, start : start + BLOCK].numpy()))  # (n, g, B)
        f = _centre(cells, f.flatten(1)).double().reshape(f.shape)
        gram = torch.einsum("ngb,ngc->gbc", f, f)
        right = (f.flatten(1).T @ residual).reshape(f.shape[1], f.shape[2], -1)  # (g, B, G)
        ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(f.shape[2])
        share = (right * torch.linalg.solve(gram + ridge, right)).sum(1) / total  # (g, G)
        gain[start : start + BLOCK] = _gain(len(z), share.numpy())
    return gain


def _add_gains_beside_parents(gain: np.ndarray, cells: Sample, batch: Batch, allowed: np.ndarray) -> None:
    """Adds what each gene would say together with a parent: the gain of a regression on the product of the two, in place.

    With products ``z_i z_p`` centred within contexts and a residual r that is, the share of its variance is
    ``(sum z_i z_p r)**2 / (sum (z_i z_p)**2 - sum_k (sum_k z_i z_p)**2 / n_k) / sum r**2``: matrix products for all genes i.
    """
    z, residual = cells.inputs.cpu().double(), _centre(cells, batch.residual.cpu()).double()
    total = residual.square().sum(0).clamp(min=NO_VARIANCE)
    square = _squares_of_products(cells, z).clamp(min=NO_VARIANCE)  # (G, G)
    for j, parents in enumerate(batch.parents):
        if not len(parents) or not allowed[:, j].any():
            continue
        several = list(parents)
        product = z.T @ (z[:, several] * residual[:, [j]])  # (G, p)
        share = product.square() / square[:, several] / total[j]
        for column in share.T.numpy():
            gain[:, j] += _gain(len(z), column)


def _squares_of_products(cells: Sample, z: torch.Tensor) -> torch.Tensor:
    """Sums of squares of the products of two genes of cells ``(n, G)``, each product centred within contexts, ``(G, G)``."""
    out, square = torch.zeros(z.shape[1], z.shape[1], dtype=z.dtype), z.square()
    out += square.T @ square
    context = cells.context.cpu()
    order = torch.argsort(context, stable=True)
    for rows in order.split(torch.bincount(context, minlength=len(cells.drug_set)).tolist()):
        if len(rows):
            out -= (z[rows].T @ z[rows]).square() / len(rows)
    return out


def reachable(graph: np.ndarray) -> np.ndarray:
    """Booleans ``(G, G)``; ``[i, j]`` if a directed path leads from i to j."""
    out = graph.astype(bool)
    for k in range(len(out)):
        out |= out[:, [k]] & out[[k], :]
    return out


def leads(graph: np.ndarray, first: int, last: int) -> bool:
    """Whether a directed path, of one edge at the least, leads from one gene to another in a graph ``(G, G)``."""
    seen, new = np.zeros(len(graph), dtype=bool), graph[first]
    while not new[last]:
        new = new & ~seen
        if not new.any():
            return False
        seen |= new
        new = graph[new].any(axis=0)
    return True


def as_graph(parents: list[tuple[int, ...]]) -> np.ndarray:
    """Booleans ``(G, G)``; row causes column."""
    graph = np.zeros((len(parents), len(parents)), dtype=bool)
    for j, pa in enumerate(parents):
        graph[list(pa), j] = True
    return graph


def topological(parents: list[tuple[int, ...]], order: np.ndarray) -> np.ndarray:
    """A causal order that stays close to `order`."""
    left, out = [int(g) for g in order], []
    while left:
        out.append(next(g for g in left if not set(parents[g]) & set(left)))
        left.remove(out[-1])
    return np.array(out)
