"""Minibatches from collections on disk, and context-aware sampling (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from scvi import REGISTRY_KEYS
from torch.utils.data import DataLoader, IterableDataset

from scgim._core.arrays import dense
from scgim.model._loading.rows import WINDOW_VALUES, Draws, RowReader, chunk_starts, shard, visit, windows
from scgim.model._loading.splitter import GIMDataSplitter
from scgim.model._reading.cells import DENSE_ROWS, Cells
from scgim.model._reading.expression import matrices
from scgim.model._reading.keys import CONTEXT_KEY, WEIGHT_KEY
from scgim.model._study.study import expression_keys

if TYPE_CHECKING:
    from scvi.data import AnnDataManager


class GIMDataModule(LightningDataModule):
    """Training and held-out cells wherever they are: in memory, in a backed file, or behind Dask.

    Every process of a multi-process training reads its own part of the cells, and all have the same number of
    minibatches. One window of cells is read by a thread while the one before is trained on.

    Parameters
    ----------
    cells
        Registered cells; minibatches hold them as they are stored, with their covariates.
    batch_size
        Cells of a minibatch.
    external_indexing
        Training, held-out and other cells.
    balance
        0 shows every training cell once an epoch; 1 shows every context equally often, with importance weights that
        keep the expected loss; values between lie between.
    window
        Cells that are in memory and shuffled together; 64 MB of them by default.
    seed
        Of the order of the cells.
    pin_memory
        Whether minibatches are in pinned memory.

    Raises
    ------
    ValueError
        `balance`, `batch_size` or `window` are out of range.
    """

    def __init__(
        self,
        cells: Cells,
        *,
        batch_size: int,
        external_indexing: list[np.ndarray],
        balance: float = 0.0,
        window: int | None = None,
        seed: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        check_settings(batch_size, balance, window)
        self.batch_size, self.seed, self.pin_memory = int(batch_size), int(seed), pin_memory
        self.balance = float(balance)
        self.train_idx, self.val_idx, self.test_idx = (np.asarray(i, dtype=np.int64) for i in external_indexing)
        self.n_train, self.n_val = len(self.train_idx), len(self.val_idx)
        self.context = cells.index
        values = cells.covariates
        self.covariates = None if values is None else np.asarray(values, dtype=np.float32)
        sources = matrices(cells.data, cells.spec)
        self.keys = expression_keys(cells.spec)
        self.reader = RowReader(sources, chunk_starts(sources))
        self.draws = Draws.make(self.train_idx, self.context, self.balance)
        n_genes = sum(m.shape[1] for m in sources)
        size = WINDOW_VALUES // max(n_genes, 1) if window is None else int(window)
        self.window = max(size // self.batch_size, 1) * self.batch_size

    def place(self) -> tuple[int, int]:
        """Number of this process, and of processes."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def rows(self, epoch: int) -> np.ndarray:
        """What this process sees in an epoch, in the order of reading."""
        rng = np.random.default_rng([self.seed, epoch])
        return shard(visit(self.draws.sample(rng), self.reader.starts, rng), *self.place())

    def batches(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Iterator[dict[str, torch.Tensor]]:
        """Minibatches of these cells: training cells, shuffled, with a generator; else in order, each counting once."""
        weight = self.draws.weights() if self.balance and rng is not None else None
        parts = windows(rows, self.window, rng)
        with ThreadPoolExecutor(1) as thread:
            part = next(parts, None)
            waiting = None if part is None else thread.submit(self.reader.read, part)
            while part is not None and waiting is not None:
                blocks, now = waiting.result(), part
                part = next(parts, None)
                waiting = None if part is None else thread.submit(self.reader.read, part)
                for start in range(0, len(now), self.batch_size):
                    yield self._tensors(blocks, now, slice(start, start + self.batch_size), weight)

    def _tensors(
        self, blocks: list[Any], rows: np.ndarray, cut: slice, weight: np.ndarray | None
    ) -> dict[str, torch.Tensor]:
        """One minibatch, under the names that the module reads."""
        out = {}
        for key, block in zip(self.keys, blocks, strict=True):
            out[key] = torch.as_tensor(np.ascontiguousarray(dense(block[cut], np.float32)))
        context = self.context[rows[cut]]
        out[CONTEXT_KEY] = torch.as_tensor(context)[:, None]
        if self.covariates is not None:
            out[REGISTRY_KEYS.CONT_COVS_KEY] = torch.as_tensor(self.covariates[rows[cut]])
        if weight is not None:
            out[WEIGHT_KEY] = torch.as_tensor(weight[context], dtype=torch.float32)[:, None]
        return out

    def train_dataloader(self) -> DataLoader:
        """Training cells in a new order each epoch."""
        return self._loader(_Cells(self, self.draws.total, shuffled=True))

    def val_dataloader(self) -> DataLoader | list:
        """Held-out cells in the order of the data."""
        return self._loader(_Cells(self, self.n_val, shuffled=False)) if self.n_val else []

    def _loader(self, cells: _Cells) -> DataLoader:
        return DataLoader(cells, batch_size=None, pin_memory=self.pin_memory)


class _Cells(IterableDataset):
    """Minibatches of the training cells, or of those held out; their number is the same in every process."""

    def __init__(self, module: GIMDataModule, n_cells: int, *, shuffled: bool) -> None:
        self.module, self.n_cells, self.shuffled = module, n_cells, shuffled

    def __len__(self) -> int:
        per = -(-self.n_cells // self.module.place()[1])
        return -(-per // self.module.batch_size)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        module = self.module
        rank, world = module.place()
        if not self.shuffled:
            yield from module.batches(shard(module.val_idx, rank, world))
            return
        epoch = 0 if module.trainer is None else int(module.trainer.current_epoch)
        yield from module.batches(module.rows(epoch), np.random.default_rng([module.seed, epoch, rank]))


def check_settings(batch_size: int, balance: float, window: int | None) -> None:
    """Settings in range.

    Raises
    ------
    ValueError
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected a whole number of at least 1, found {batch_size!r}.")
    if not 0 <= balance <= 1:
        raise ValueError(
            f"balance: expected a number from 0 (each cell once an epoch) to 1 (each context equally often), found {balance!r}."
        )
    if window is not None and window < 1:
        raise ValueError(f"window: expected a number of cells of at least 1, found {window!r}.")


def make_data_module(
    cells: Cells, manager: AnnDataManager, loader: dict[str, Any], seed: int, strategy: Any
) -> GIMDataSplitter | GIMDataModule:
    """scvi-tools' splitter for cells in memory; `GIMDataModule` for cells on disk or where contexts are balanced.

    Parameters
    ----------
    cells
        Registered cells.
    manager
        Of the same cells, for scvi-tools' splitter.
    loader
        `batch_size`, `external_indexing`, perhaps `balance` and `window`, and settings of scvi-tools' loader.
    seed
        Of the order of the cells.
    strategy
        Of the trainer.

    Raises
    ------
    ValueError
        A setting is out of range or does not apply to cells on disk.
    """
    from scvi.model._utils import use_distributed_sampler

    settings = dict(loader)
    own = {key: settings.pop(key) for key in ("balance", "window") if settings.get(key) is not None}
    if cells.in_memory and not own.get("balance") and "window" not in own:
        settings.pop("balance", None)
        settings.pop("window", None)
        return GIMDataSplitter(manager, distributed_sampler=use_distributed_sampler(strategy), **settings)
    if settings.pop("num_workers", 0):
        raise ValueError(
            "num_workers: expected 0 for cells on disk and for balanced contexts, which a thread of the process reads; "
            "leave it out."
        )
    known = ("batch_size", "external_indexing", "pin_memory")
    strange = sorted(set(settings) - set(known))
    if strange:
        raise ValueError(f"datasplitter_kwargs: {strange} only apply to cells in memory; leave them out.")
    return GIMDataModule(cells, seed=seed, **settings, **own)


def held_out_batches(
    cells: Cells, index: np.ndarray, batch_size: int = DENSE_ROWS
) -> Iterator[dict[str, torch.Tensor]]:
    """Minibatches of some cells ``(n,)``, in every process all of them."""
    none = np.array([], dtype=np.int64)
    module = GIMDataModule(cells, batch_size=batch_size, external_indexing=[none, index, none])
    yield from module.batches(module.val_idx)
