"""Training of the module by scvi-tools' `TrainRunner`: epochs, minibatches, and whether it helped (layer `model`)."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi.train import TrainRunner

from scgim._version import __version__
from scgim.model._loading.datamodule import held_out_batches, make_data_module
from scgim.model._loading.splitter import TRAIN_SIZE, split_cells
from scgim.model._module.checkpoint import name_of, with_checkpoints, with_safe_files
from scgim.model._module.module import GIMModule
from scgim.model._module.options import TrainOptions
from scgim.model._module.plan import GIMTrainingPlan

if TYPE_CHECKING:
    from scvi.model.base import BaseModelClass

    from scgim.model._reading.cells import Cells

logger = logging.getLogger(__name__)
SMALLEST_BATCH = 32
"""Cells of a minibatch at least: the gradient of fewer says little."""


def default_batch_size(module: GIMModule, n_cells: int) -> int:
    """Cells of a minibatch: a tenth of the cells, within limits."""
    return int(np.clip(n_cells // 10, SMALLEST_BATCH, module.mechanisms.largest_batch))


@torch.no_grad()
def held_out_loss(cells: Cells, module: GIMModule, index: np.ndarray) -> float:
    """Mean expected negative log-likelihood of some cells ``(n,)``, in nats a cell."""
    module.eval()
    total = 0.0
    for batch in held_out_batches(cells, index):
        _, _, loss = module(batch)
        total += float(loss.reconstruction_loss_sum)
    return total / max(len(index), 1)


@dataclass(frozen=True)
class Training:
    """Training by minibatches with scvi-tools, split and sized."""

    # the scvi-tools model whose `history_`, `is_trained_` and `trainer` the training sets; nothing else is asked of it
    host: BaseModelClass
    cells: Cells  # registered cells
    options: TrainOptions  # what the user asked for
    loader: dict[str, Any]  # settings of the minibatches, with their size and with the split of the cells

    @classmethod
    def of(
        cls,
        host: BaseModelClass,
        cells: Cells,
        options: TrainOptions,
        module: GIMModule,
        rng: np.random.Generator,
        *,
        largest: int | None = None,
    ) -> Training:
        """Splits the cells, unless the user has.

        Parameters
        ----------
        host, cells, options
            See the class.
        module
            To train; the default size of a minibatch depends on its mechanisms.
        rng
            Of the split.
        largest
            Most cells of a minibatch.
        """
        loader = dict(options.loader)
        loader.setdefault("batch_size", default_batch_size(module, cells.n_cells))
        if largest is not None:
            loader["batch_size"] = min(loader["batch_size"], largest)
        size = loader.pop("train_size", None)
        if loader.get("external_indexing") is None:
            train, held = split_cells(cells.index, TRAIN_SIZE if size is None else size, rng)
            loader["external_indexing"] = [train, held, np.array([], dtype=int)]
        return cls(host, cells, options, loader)

    @property
    def train(self) -> np.ndarray:
        """Positions of the training cells."""
        return self.loader["external_indexing"][0]

    @property
    def held(self) -> np.ndarray:
        """Positions of the cells held out."""
        return self.loader["external_indexing"][1]

    def better(self, module: GIMModule, initial: dict, trained: dict) -> bool:
        """Whether training improved the likelihood of held-out cells; leaves the trained weights in the module."""
        module.load_state_dict(initial)
        before = held_out_loss(self.cells, module, self.held)
        module.load_state_dict(trained)
        after = held_out_loss(self.cells, module, self.held)
        logger.info("held-out loss %.4f before training, %.4f after", before, after)
        return after < before

    def run(
        self,
        module: GIMModule,
        n_epochs: int,
        rng: np.random.Generator,
        *,
        plan_cls: type[GIMTrainingPlan] = GIMTrainingPlan,
        check_every: int = 1,
    ) -> None:
        """Runs scvi-tools' `TrainRunner`.

        Parameters
        ----------
        module
            To train; it stands in the host for that time.
        n_epochs
            Number of epochs.
        rng
            Of the order of the cells.
        plan_cls
            Training plan.
        check_every
            Epochs from one look at the held-out cells to the next, unless the user gave it.
        """
        host, options = self.host, self.options
        seed = int(rng.integers(2**31))
        strategy = options.trainer.get("strategy")
        splitter = make_data_module(self.cells, host.adata_manager, self.loader, seed, strategy)
        defaults = {"lr": 1e-3} if plan_cls is GIMTrainingPlan else {}
        plan = plan_cls(module, **{**defaults, **options.plan})
        module.train()
        host.history_, host.is_trained_ = None, False  # a new training, not a longer one
        trainer = self._trainer(
            module, n_epochs, seed, n_train=splitter.n_train, check_every=check_every if splitter.n_val else 0
        )
        own, host.module = host.module, module
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*LeafSpec.*")
                warnings.filterwarnings("ignore", message=".*has `__len__` defined.*")  # no workers, equal shards
                runner = TrainRunner(
                    host,
                    training_plan=plan,
                    data_splitter=splitter,
                    max_epochs=n_epochs,
                    accelerator=options.accelerator,
                    devices=options.devices,
                    **trainer,
                )
                runner()
        except SystemExit as end:  # Lightning's answer to Ctrl-C, which would end a script without a word
            if isinstance(end.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt("training was broken off; no model was made of it.") from None
            raise
        finally:
            host.module = own

    def _trainer(
        self, module: GIMModule, n_epochs: int, seed: int, *, n_train: int, check_every: int
    ) -> dict[str, Any]:
        """Settings of Lightning's trainer: those of the user, usual ones beside them, and checkpoints where they were asked for."""
        trainer = dict(self.options.trainer)
        trainer.setdefault("log_every_n_steps", max(n_train // self.loader["batch_size"], 1))
        if check_every:
            trainer.setdefault("check_val_every_n_epoch", check_every)
        if trainer.get("ckpt_path") is not None:
            trainer = with_safe_files(trainer)
        if self.options.checkpoint is None:
            return trainer
        drawn = (seed, torch.initial_seed())  # of minibatches and weights
        fit = (type(module).__name__, repr(module), n_epochs, self.options.plan, self.loader, trainer, drawn)
        name = partial(name_of, self.cells, (__version__, *fit, self.host.settings_))
        return with_checkpoints(trainer, self.options.checkpoint, name)
