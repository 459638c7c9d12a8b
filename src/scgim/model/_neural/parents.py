"""Rounds of the local search over the parents of neural mechanisms (layer `model`; not from the paper)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from scgim._core.structure.prior import Prior
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._neural.batch import (
    PARAMETERS_PER_PARENT,
    Batch,
    Sample,
    as_graph,
    leads,
    reachable,
    screen_additions,
    topological,
    train_batch,
)

logger = logging.getLogger(__name__)
Sets = dict[int, tuple[int, ...]]
BENT_WORTH = 20.0  # nats that hinges among the hidden units have to gain: two trainings differ by some nats anyway
TRIAL_RATE = 3e-3  # learning rate of proposals, whose networks are mostly trained already
REFRESH = 3  # proposals are trained for one in so many of the epochs
TEMPERATURE = 3.0  # scores of networks are less certain than those of closed forms


@dataclass
class EdgeMove:
    """A change of the graph: new parents of one or two genes, and the edge it is about."""

    kind: str
    edge: tuple[int, int]
    sets: Sets
    gain: float = 0.0


@dataclass
class NeuralStart:
    """Result of the search."""

    order: np.ndarray
    batch: Batch
    edge_probability: np.ndarray  # (G, G), NaN where no proposal tested the edge
    prior: Prior
    history: list[dict[str, Any]]


def propose(
    parents: list[tuple[int, ...]],
    additions: Sequence[tuple],
    tabu: set,
    active: set[int],
    may: np.ndarray,
    max_parents: int,
) -> list[EdgeMove]:
    """Drops, turns and additions that keep the graph acyclic and touch an active gene."""
    moves, graph = [], as_graph(parents)
    for j, pa in enumerate(parents):
        for i in pa:
            if not {i, j} & active:
                continue
            rest = tuple(p for p in pa if p != i)
            if ("drop", i, j) not in tabu:
                moves.append(EdgeMove("drop", (i, j), {j: rest}))
            without = graph.copy()
            without[i, j] = False
            room = len(parents[i]) < max_parents
            if room and may[j, i] and ("turn", i, j) not in tabu and not leads(without, i, j):
                moves.append(EdgeMove("turn", (i, j), {j: rest, i: (*parents[i], j)}))
    for _, i, j in additions:
        if ("add", i, j) not in tabu and j in active:
            moves.append(EdgeMove("add", (i, j), {j: (*parents[j], i)}))
    return moves


def pick(batch: Batch, rows: list[int]) -> Batch:
    """Some networks of a batch, as a batch."""
    source = batch.networks
    parents = [batch.parents[r] for r in rows]
    networks = NeuralGenes(len(rows), source.mask.shape[1], n_hidden=source.bias.shape[1])
    networks.load_state_dict({k: v[rows] for k, v in source.state_dict().items()})
    networks.set_hinges(source.n_hinges()[rows])
    networks.to(source.mask.device)
    return Batch(batch.genes[rows], parents, networks, batch.state.of(rows), batch.residual[:, rows])


def _keys(moves: list[EdgeMove]) -> list[tuple[int, tuple[int, ...]]]:
    """Distinct proposals, gene and parents, of all moves."""
    return list(dict.fromkeys((j, tuple(sorted(pa))) for move in moves for j, pa in move.sets.items()))


def _accept(moves: list[EdgeMove], parents: list[tuple[int, ...]], tabu: set) -> Sets:
    """Best moves first, each gene once, never a cycle."""
    chosen: Sets = {}
    for move in sorted(moves, key=lambda m: -m.gain):
        if move.gain <= 0 or set(move.sets) & set(chosen):
            continue
        trial = [chosen.get(j, move.sets.get(j, pa)) for j, pa in enumerate(parents)]
        if reachable(as_graph(trial)).diagonal().any():
            continue
        chosen |= move.sets
        i, j = move.edge
        tabu |= {"drop": {("add", i, j)}, "add": {("drop", i, j)}, "turn": {("turn", j, i)}}[move.kind]
        logger.info("%s edge %d -> %d, gain %.1f", move.kind, i, j, move.gain)
    return chosen


def _first(cells: Sample, genes: np.ndarray, sets: list[tuple[int, ...]], prior: Prior, **training: Any) -> Batch:
    """Networks of all genes, each in the form of hidden units that has more evidence: ``tanh`` alone, or hinges beside it."""
    smooth, bent = (train_batch(cells, genes, sets, prior, bent=bent, **training) for bent in (False, True))
    better = bent.state.evidence.score > smooth.state.evidence.score + BENT_WORTH
    logger.info("hinges among the hidden units of %d of %d genes", int(better.sum()), len(genes))
    return smooth if not better.any() else join(smooth, bent, better)


def _or_trusting(batch: Batch, cells: Sample, prior: Prior, **training: Any) -> Batch:
    """Networks of all genes, or anew from trust in the parents where that has more evidence: both are local optima of one score."""
    bent = batch.networks.n_hinges() > 0
    trusting = train_batch(cells, batch.genes, batch.parents, prior, bent=bent, trusting=True, **training)
    better = trusting.state.evidence.score > batch.state.evidence.score
    logger.info("%d of %d networks are better from trust in the parents", int(better.sum()), len(bent))
    return join(batch, trusting, better)


def join(one: Batch, other: Batch, use: np.ndarray) -> Batch:
    """Networks of `one`, or of `other` where `use` ``(M,)`` says so; parents are the same."""
    out = pick(one, list(range(len(use))))
    at = torch.as_tensor(use, device=out.residual.device)
    with torch.no_grad():
        for mine, theirs in zip(out.networks.parameters(), other.networks.parameters(), strict=True):
            mine[at, : theirs.shape[1]] = theirs[at]
    out.networks.set_hinges(np.where(use, other.networks.n_hinges(), one.networks.n_hinges()))
    residual = torch.where(at, other.residual, one.residual)
    return replace(out, residual=residual, state=one.state.where(use, other.state))


@dataclass
class Trial:
    """Networks of all genes, and behind them one for each proposal."""

    batch: Batch
    row: dict[tuple[int, tuple[int, ...]], int]  # of each proposal, by gene and parents


@dataclass
class ParentSearch:
    """A graph with its networks, from which rounds of proposals go on."""

    cells: Sample
    prior: Prior  # with the prices of edges
    max_parents: int
    sets: list[tuple[int, ...]]  # parents of each gene
    batch: Batch  # networks of all genes
    probability: np.ndarray  # (G, G), NaN where no proposal tested the edge
    active: set[int]  # genes that changed in the last round
    tabu: set[tuple[str, int, int]] = field(default_factory=set)

    @cached_property
    def _may(self) -> np.ndarray:
        """Edges ``(G, G)`` that are possible."""
        return np.isfinite(self.prior.edge_price) & ~np.eye(len(self.sets), dtype=bool)

    @cached_property
    def _price(self) -> np.ndarray:
        """Of each edge ``(G, G)``, in nats."""
        return self.prior.edge_price + 0.5 * np.log(len(self.cells.z)) * PARAMETERS_PER_PARENT

    def _paid(self, gene: int, parents: Sequence[int]) -> float:
        """Price of all edges to a gene."""
        return float(self._price[list(parents), gene].sum())

    @property
    def score(self) -> float:
        """Of the networks, less the price of their edges."""
        return float(self.batch.state.evidence.score.sum() - sum(self._paid(j, pa) for j, pa in enumerate(self.sets)))

    def moves(self) -> list[EdgeMove]:
        """Proposals of a round: additions that promise to be worth their price, drops and turns."""
        graph = as_graph(self.sets)
        room = np.array([len(pa) for pa in self.sets]) < self.max_parents
        candidates = self._may & ~graph & ~reachable(graph).T & room
        cheapest = float(
            self._price[self._may].min(initial=np.inf)
        )  # infinite where no edge is possible, as with one gene
        additions = screen_additions(self.cells, self.batch, candidates, cheapest)
        return propose(self.sets, additions, self.tabu, self.active, self._may, self.max_parents)

    def try_out(self, moves: list[EdgeMove], *, n_epochs: int, seed: int, **training: Any) -> Trial:
        """Trains the networks of all genes further, beside them those of the proposals, and weighs these."""
        n_genes, keys = len(self.sets), _keys(moves)
        batch = train_batch(
            self.cells,
            np.r_[np.arange(n_genes), [j for j, _ in keys]].astype(int),
            [*self.sets, *(pa for _, pa in keys)],
            self.batch.state.prior,
            n_epochs=n_epochs,
            start=self.batch,
            seed=seed,
            lr=TRIAL_RATE,
            **training,
        )
        trial = Trial(batch, {key: n_genes + k for k, key in enumerate(keys)})
        score = batch.state.evidence.score
        for move in moves:
            for j, pa in move.sets.items():
                new = score[trial.row[j, tuple(sorted(pa))]] - self._paid(j, pa)
                move.gain += float(new - score[j] + self._paid(j, self.sets[j]))
            if move.kind != "turn":
                sign = 1 if move.kind == "add" else -1
                self.probability[move.edge] = expit(sign * move.gain / TEMPERATURE)
        return trial

    def accept(self, moves: list[EdgeMove], trial: Trial) -> bool:
        """Takes over what was gained by; whether anything changed."""
        chosen = _accept(moves, self.sets, self.tabu)
        rows = [trial.row[j, tuple(sorted(chosen[j]))] if j in chosen else j for j in range(len(self.sets))]
        self.batch = pick(trial.batch, rows)
        self.sets = [tuple(sorted(chosen.get(j, pa))) for j, pa in enumerate(self.sets)]
        self.active = set(chosen)
        return bool(chosen)


def search_parents(
    cells: Sample,
    order: np.ndarray,
    parents: list[np.ndarray],
    *,
    prior: Prior | None = None,
    n_rounds: int = 4,
    n_epochs: int = 40,
    max_parents: int = 10,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
    **training: Any,
) -> NeuralStart:
    """Local search over the parents of all genes.

    Parameters
    ----------
    cells
        In memory, standardised.
    order, parents
        Causal order ``(G,)`` and parents of each gene to start from.
    prior
        Of the interventions, and the prices of edges; the usual ones if None.
    n_rounds, n_epochs
        Rounds of proposals, epochs of the first training; proposals take a third of them.
    max_parents
        Of a gene.
    seed
        Of weights and minibatches.
    progress
        Called with a stage and its score.
    training
        Passed to `train_batch`.
    """
    G = cells.z.shape[1]
    prior = Prior.default(G) if prior is None else prior
    sets = [tuple(sorted(int(p) for p in pa)) for pa in parents]
    training["n_epochs"] = n_epochs
    batch = _first(cells, np.arange(G), sets, prior, seed=seed, **training)
    batch = _or_trusting(batch, cells, prior, seed=seed, **training)
    search = ParentSearch(cells, prior, max_parents, sets, batch, np.full((G, G), np.nan), set(range(G)))
    history: list[dict[str, Any]] = []
    for n in range(1, n_rounds + 1):
        moves = search.moves()
        history.append({"stage": f"networks {n}", "score": search.score})
        if progress is not None:
            progress(f"networks {n}", search.score)
        if not moves:
            break
        trial = search.try_out(moves, seed=seed + n, **{**training, "n_epochs": max(n_epochs // REFRESH, 1)})
        if not search.accept(moves, trial):
            break
    batch = _or_trusting(search.batch, cells, search.batch.state.prior, seed=seed + n_rounds + 1, **training)
    return NeuralStart(topological(search.sets, order), batch, search.probability, batch.state.prior, history)
