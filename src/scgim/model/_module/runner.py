"""Training of the module by scvi-tools' `TrainRunner`: epochs, minibatches, and whether it helped (layer `model`)."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi.train import TrainRunner

from scgim.model._loading.datamodule import held_out_batches, make_data_module
from scgim.model._loading.splitter import split_cells
from scgim.model._module.module import GIMModule
from scgim.model._module.plan import GIMTrainingPlan
from scgim.model._reading.keys import CONTEXT_KEY

if TYPE_CHECKING:
    pass


logger = logging.getLogger(__name__)
TRAIN_SIZE = 0.9
LOADER_KWARGS = ("batch_size", "train_size", "balance", "window", "num_workers", "pin_memory", "datasplitter_kwargs")


def default_batch_size(module: GIMModule, n_cells: int) -> int:
    """Cells of a minibatch."""
    return int(np.clip(n_cells // 10, 32, module.mechanisms.largest_batch))


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
    loader.setdefault("batch_size", default_batch_size(module, model.adata.n_obs))
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
