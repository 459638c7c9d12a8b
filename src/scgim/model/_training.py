"""Second stage of a fit: the torch module trained by Lightning from the exact engine's start (layer `model`).

`GIM.train` calls `refine` with the `Fit` of the search. `refine` runs scvi-tools' `TrainRunner`, so that the model's
``history_``, ``is_trained_`` and ``trainer`` are set as in every scvi-tools model, and returns the refreshed `Fit`, or the
given one where the trained module describes held-out cells no better. ``max_epochs=0`` skips the training.
"""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from scvi.train import TrainRunner

from scgim._core.fit import Fit
from scgim.model._assemble import assemble, parents_of
from scgim.model._constants import CONTEXT_KEY
from scgim.model._datamodule import held_out_batches, make_data_module
from scgim.model._expectation import Expectation, expectation
from scgim.model._module import GIMModule, as_residuals
from scgim.model._neural_moves import NeuralStart, search_parents
from scgim.model._neural_search import Batch, Cells
from scgim.model._plan import GIMTrainingPlan
from scgim.model._prior import known_targets_matrix, prior_matrix
from scgim.model._splitter import split_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

logger = logging.getLogger(__name__)
TRAIN_SIZE = 0.9
SEARCH_CELLS = 20_000  # cells on which the parents of neural mechanisms are searched
LOADER_KWARGS = ("batch_size", "train_size", "balance", "window", "num_workers", "pin_memory", "datasplitter_kwargs")


def heuristic_epochs(mechanism: str, n_cells: int) -> int:
    """Epochs that suffice: few where closed forms are at the optimum already, about 700 steps for networks."""
    if mechanism != "neural":
        return int(np.clip(round(5 * 10_000 / max(n_cells, 1)), 1, 5))
    return int(np.clip(round(40 * 10_000 / max(n_cells, 1)), 5, 100))


def default_batch_size(mechanism: str, n_cells: int) -> int:
    """Cells of a minibatch."""
    return int(np.clip(n_cells // 10, 32, 512 if mechanism == "neural" else 2048))


def refine(
    model: Any,
    fit: Fit | None,
    *,
    max_epochs: int | None = None,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    rng: int | np.random.Generator | None = 0,
    plan_kwargs: dict[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
    **kwargs: Any,
) -> Fit:
    """Trains ``model.module`` from a fit, and returns the refreshed fit.

    Parameters
    ----------
    model
        A `GIM`.
    fit
        Of the search; None for ``structure="gradient"``.
    max_epochs
        Of the training; None for `heuristic_epochs`, 0 for none.
    accelerator, devices
        See :class:`lightning.pytorch.Trainer`.
    rng
        Seed or generator.
    plan_kwargs
        Of :class:`GIMTrainingPlan`.
    progress
        Called with a stage and its score.
    kwargs
        `batch_size`, `train_size`, `balance`, `window` and `datasplitter_kwargs` for the splitter, everything else for
        :class:`scvi.train.Trainer`.
    """
    rng = np.random.default_rng(rng)
    with torch.random.fork_rng(devices=[]):  # torch's global state decides the minibatches; it is left as it was
        torch.manual_seed(int(rng.integers(2**31)))
        return _refine(
            model,
            fit,
            max_epochs=max_epochs,
            accelerator=accelerator,
            devices=devices,
            rng=rng,
            plan_kwargs=plan_kwargs,
            progress=progress,
            **kwargs,
        )


def _refine(
    model: Any,
    fit: Fit | None,
    *,
    max_epochs: int | None,
    accelerator: str,
    devices: int | list[int] | str,
    rng: np.random.Generator,
    plan_kwargs: dict[str, Any] | None,
    progress: Callable[[str, float], None] | None,
    **kwargs: Any,
) -> Fit:
    """See `refine`."""
    if fit is None:
        from scgim.model._published_fit import fit_published

        return fit_published(
            model,
            max_epochs=max_epochs,
            rng=rng,
            plan_kwargs=plan_kwargs,
            accelerator=accelerator,
            devices=devices,
            **kwargs,
        )
    module: GIMModule = model.module
    active = bool((fit.kind == "activity").any()) and not module.scaled
    exact = active or module.structure == "cyclic" or module.noise != "gaussian"
    if exact or (max_epochs == 0 and module.mechanism != "neural"):
        return fit  # closed forms stand: activities that change, cycles, and counts and zeros by moments are exact in the engine
    prepare(model, module)
    loader = loader_settings(model, module, rng, kwargs)
    n_epochs = heuristic_epochs(module.mechanism, model.adata.n_obs) if max_epochs is None else max_epochs
    held = loader["external_indexing"][1] if n_epochs else np.array([], dtype=int)
    start: NeuralStart | None = None
    if module.scaled and (fit.kind == "activity").any():
        from scgim.model._active_networks import fit_active_networks  # it stands on this file

        held, runs = loader["external_indexing"][1], (plan_kwargs, accelerator, devices, loader, kwargs)
        train = partial(run_training, model, module, n_epochs, rng, *runs) if n_epochs else None
        return fit_active_networks(model, module, fit, held, rng, train, progress)
    if module.mechanism == "neural":
        cells, graph = neural_cells(model, module, fit, held, rng), fit.mechanisms
        start = start_networks(model, module, cells, graph.order, graph.parents, rng, progress)
    else:
        module.load_mechanisms(fit.mechanisms)
    before = copy.deepcopy(module.state_dict())
    state = closed_form(model, module, None if start is None else start.batch.state)
    initial = copy.deepcopy(module.state_dict())
    if n_epochs > 0:
        run_training(model, module, n_epochs, rng, plan_kwargs, accelerator, devices, loader, kwargs)
        trained = copy.deepcopy(module.state_dict())
        if len(held) and not better(model, module, held, initial, trained):
            module.load_state_dict(before)
        state = closed_form(model, module, state)
    if start is None and torch.equal(before["mechanisms.coef"], module.mechanisms.coef.detach().cpu()):
        return fit
    return finish(model, module, state, fit, start, rng)


def prepare(model: Any, module: GIMModule) -> None:
    """Where minibatches hold expression and covariates."""
    from scgim.model._registration import expression_keys

    module.expression_keys = tuple(expression_keys(model.registered.spec))
    adjustment = model._adjustment()
    if adjustment is not None:
        module.covariate_mean = torch.as_tensor(adjustment.mean, dtype=torch.float32)
        module.covariate_coef = torch.as_tensor(adjustment.coef, dtype=torch.float32)


def sample_cells(
    model: Any, n_cells: int, rng: np.random.Generator, without: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the model, adjusted for covariates, ``(n, G)``, and contexts ``(n,)``; all of them where they are few."""
    chunks = model.cells()
    keep = rng.random(len(chunks.index)) < n_cells / max(len(chunks.index), 1)
    if without is not None:
        keep[without] = False
    xs, ks, start = [], [], 0
    for x, context in chunks():
        rows = np.flatnonzero(keep[start : start + len(context)])
        start += len(context)
        x = x[rows]
        xs.append(np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float32))
        ks.append(context[rows])
    return np.concatenate(xs), np.concatenate(ks)


def neural_cells(model: Any, module: GIMModule, fit: Fit, held: np.ndarray, rng: np.random.Generator) -> Cells:
    """Standardised cells on which networks are searched, without those held out."""
    module.set_scale(fit.mechanisms.loc, fit.mechanisms.scale)
    x, context = sample_cells(model, SEARCH_CELLS, rng, held)
    z = torch.as_tensor((x - module.loc.cpu().numpy()) / module.scale.cpu().numpy())
    k = torch.as_tensor(context)
    seen = module.seen(z, k) if module.scaled else None
    return Cells(z, k, module.unit, np.asarray(model.design.group), module.hard, seen)


def start_networks(
    model: Any,
    module: GIMModule,
    cells: Cells,
    order: np.ndarray,
    parents: Sequence[Any],
    rng: np.random.Generator,
    progress: Callable[[str, float], None] | None,
) -> NeuralStart:
    """Parents and first weights of neural mechanisms, from another graph, such as that of the additive engine."""
    prior, allowed, price = prior_matrix(model._graph_prior, module.n_genes), None, None
    if prior is not None:
        allowed = prior > 0
        with np.errstate(divide="ignore"):
            price = np.where(allowed, np.log1p(-np.minimum(prior, 1 - 1e-9)) - np.log(np.maximum(prior, 1e-9)), 1e9)
            price = np.maximum(price, -20.0)
    start = search_parents(
        cells,
        order,
        [np.asarray(pa, dtype=int) for pa in parents],
        allowed=allowed,
        edge_price=price,
        max_parents=module.mechanisms.mask.shape[1],
        n_hidden=module.mechanisms.bias.shape[1],
        seed=int(rng.integers(2**31)),
        progress=progress,
    )
    load_networks(module, start.batch)
    return start


def load_networks(module: GIMModule, batch: Batch) -> None:
    """Networks of all genes, with their expectation step, as the mechanisms of the module."""
    source, target = batch.networks, module.mechanisms
    target.set_parents(batch.parents)
    with torch.no_grad():
        width = min(source.mask.shape[1], target.mask.shape[1])
        target.inner[:, :width], target.skip[:, :width] = source.inner[:, :width], source.skip[:, :width]
        target.bias.copy_(source.bias)
        target.outer.copy_(source.outer)
    module.apply_expectation(batch.state)


def dense_blocks(model: Any, size: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All cells of the model, adjusted for covariates, in blocks ``(n, G)`` with their contexts ``(n,)``."""
    for x, context in model.cells()():
        x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float32)
        for start in range(0, len(x), size):
            yield x[start : start + size], context[start : start + size]


@torch.no_grad()
def closed_form(model: Any, module: GIMModule, state: Expectation | None) -> Expectation:
    """Expectation step over all cells, taken over by the module."""
    module.eval()
    device = module.loc.device
    sums = torch.zeros(5, len(module.names), module.n_genes, dtype=torch.float64)
    for x, context in dense_blocks(model):
        k = torch.as_tensor(context, device=device)
        z = (torch.as_tensor(x, device=device) - module.loc) / module.scale
        sums += module.residual_sums(z - module.mechanisms(module.seen(z, k)), z, k).to(sums)
    group = module.group.cpu().numpy()
    probability = None if state is None else state.probability
    new = expectation(as_residuals(sums), module.unit, group, module.prior, hard=module.hard, probability=probability)
    module.apply_expectation(new)
    return new


@torch.no_grad()
def held_out_loss(model: Any, module: GIMModule, index: np.ndarray) -> float:
    """Mean expected negative log-likelihood of some cells."""
    module.eval()
    total = 0.0
    for batch in held_out_batches(model, index):
        _, _, loss = module(batch)
        total += float(loss.reconstruction_loss_sum)
    return total / max(len(index), 1)


def better(model: Any, module: GIMModule, held: np.ndarray, initial: dict, trained: dict) -> bool:
    """Whether training improved the likelihood of held-out cells; leaves the better weights in the module."""
    module.load_state_dict(initial)
    before = held_out_loss(model, module, held)
    module.load_state_dict(trained)
    after = held_out_loss(model, module, held)
    logger.info("held-out loss %.4f before training, %.4f after", before, after)
    return after < before


def loader_settings(model: Any, module: GIMModule, rng: np.random.Generator, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Takes the settings of the splitter out of `kwargs`, with the split of the cells."""
    loader = {k: kwargs.pop(k) for k in LOADER_KWARGS if k in kwargs}
    loader |= loader.pop("datasplitter_kwargs", None) or {}
    loader.setdefault("batch_size", default_batch_size(module.mechanism, model.adata.n_obs))
    size = loader.pop("train_size", None)
    if loader.get("external_indexing") is None:
        context = np.asarray(model.adata_manager.get_from_registry(CONTEXT_KEY)).ravel()
        train, held = split_cells(context, TRAIN_SIZE if size is None else size, rng)
        loader["external_indexing"] = [train, held, np.array([], dtype=int)]
    return loader


def run_training(
    model: Any,
    module: GIMModule,
    n_epochs: int,
    rng: np.random.Generator,
    plan_kwargs: dict[str, Any] | None,
    accelerator: str,
    devices: int | list[int] | str,
    loader: dict[str, Any],
    kwargs: dict[str, Any],
    plan_cls: type[GIMTrainingPlan] = GIMTrainingPlan,
) -> None:
    """Runs scvi-tools' `TrainRunner`."""
    kwargs = dict(kwargs)
    splitter = make_data_module(model, loader, int(rng.integers(2**31)), kwargs.get("strategy"))
    defaults = {"lr": 1e-3} if plan_cls is GIMTrainingPlan else {}
    plan = plan_cls(module, **{**defaults, **(plan_kwargs or {})})
    module.train()
    model.history_, model.is_trained_ = None, False  # a new training, not a longer one
    kwargs.setdefault("log_every_n_steps", max(splitter.n_train // loader["batch_size"], 1))
    if splitter.n_val:
        kwargs.setdefault("check_val_every_n_epoch", 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*has `__len__` defined.*")  # no workers, equal shards
        runner = TrainRunner(
            model,
            training_plan=plan,
            data_splitter=splitter,
            max_epochs=n_epochs,
            accelerator=accelerator,
            devices=devices,
            **kwargs,
        )
        runner()


def edge_probability(fit: Fit, start: NeuralStart, parents: list[np.ndarray]) -> np.ndarray:
    """Edge probabilities ``(G, G)``: of the search over networks where it tested an edge, else of the fit before."""
    tested = ~np.isnan(start.edge_probability)
    probability = np.where(tested, start.edge_probability, fit.graph_probability)
    edges = np.zeros(probability.shape, dtype=bool)
    for j, pa in enumerate(parents):
        edges[pa, j] = True
    return np.where(edges, np.maximum(probability, 0.5), np.minimum(probability, 0.5))


def finish(
    model: Any, module: GIMModule, state: Expectation, fit: Fit, start: NeuralStart | None, rng: np.random.Generator
) -> Fit:
    """The refreshed fit."""
    probability, order, history = fit.graph_probability, fit.mechanisms.order, []
    if start is not None:
        order, history = start.order, start.history
        probability = edge_probability(fit, start, parents_of(module))
    x, _ = sample_cells(model, 4000, rng)
    z = ((torch.as_tensor(x, device=module.loc.device) - module.loc) / module.scale).float()
    known = known_targets_matrix(model._known_targets, model.drugs, model.genes)
    known = None if known is None else np.where(known, 1.0, np.nan)
    out = assemble(
        module,
        state,
        model.design,
        fit,
        order=order,
        edge_probability=probability,
        z=z,
        rng=rng,
        known=known,
        history=history,
    )
    return replace(out, settings={**out.settings, "trained": True})
