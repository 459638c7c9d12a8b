"""Checkpoints of a training by minibatches, from which a fit that was cut off goes on (layer `model`).

Lightning writes and restores weights, optimizer and loops. Beside them stand what it does not know: random states, the
objective of the epochs that are done, and what the training plan and the module keep outside of weights. A file is read by
torch's unpickler of weights, which makes tensors, numbers, text, lists and dicts, and runs nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from scgim._version import __version__
from scgim._writing import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scgim.model._reading.cells import Cells

SHARE = 0.05
"""Of the time of a training that writing checkpoints may take."""
FORMAT = "scgim training"


class SafeIO(TorchCheckpointIO):
    """Files that a kill cannot spoil, and whose content cannot run."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes beside, then renames."""
        with beside(path, "checkpoint") as new:
            torch.save(checkpoint, new)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = "cpu",
        weights_only: bool | None = True,  # noqa: FBT001, FBT002 -- as in Lightning
    ) -> dict[str, Any]:
        """Reads weights alone, whatever was asked for."""
        return torch.load(path, map_location=map_location, weights_only=True)


class Checkpoints(pl.Callback):
    """Writes the state of a training at the start of an epoch, once the share of time allows it.

    Parameters
    ----------
    path
        Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._history: dict[str, Any] | None = None
        self._ended, self._took = -float("inf"), 0.0  # seconds: when the last one was written, and how long that took

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The objective of the epochs before."""
        experiment: Any = getattr(trainer.logger, "experiment", None)
        if self._history is not None and hasattr(experiment, "data"):
            experiment.data = {name: _as_table(name, column) for name, column in self._history.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All of the epoch before is logged by now, and nothing of the next one is drawn."""
        began = time.monotonic()
        resumed = self._history is not None and trainer.fit_loop.restarting
        due = trainer.current_epoch > 0 and not resumed and began - self._ended >= self._took / SHARE
        if not trainer.strategy.broadcast(due):  # all processes write together, or none does
            return
        loop = trainer.fit_loop.epoch_loop
        for progress in (loop.batch_progress, loop.scheduler_progress, loop.automatic_optimization.optim_progress):
            progress.reset_on_run()  # as Lightning does in a moment; else the file would say that this epoch is over
        trainer.save_checkpoint(self.path)
        self._ended = time.monotonic()
        self._took = self._ended - began

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        """Random states, the objective so far, and the file's mark."""
        history = getattr(trainer.logger, "history", None) or {}
        checkpoint[FORMAT] = {
            "scgim": __version__,
            "random": torch.get_rng_state(),
            "random_devices": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": {name: _as_lists(table) for name, table in history.items() if isinstance(table, pd.DataFrame)},
        }

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        """Random states are restored before the first minibatch of the next epoch is drawn."""
        own = checkpoint.get(FORMAT)
        if own is None:  # of another callback, named by ckpt_path
            return
        torch.set_rng_state(own["random"])
        if own["random_devices"] and len(own["random_devices"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(own["random_devices"])
        self._history = own["history"]


def _as_lists(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "values": table.iloc[:, 0].astype(float).tolist(),
        "index": [int(step) for step in table.index],
        "index_name": str(table.index.name or "epoch"),
    }


def _as_table(name: str, column: dict[str, Any]) -> pd.DataFrame:
    index = pd.Index(column["index"], name=column["index_name"], dtype=object)
    return pd.DataFrame({name: pd.Series(column["values"], index=index, dtype=object)})


def check_file(path: Path) -> None:
    """Raise where a file is no checkpoint of a training, before anything is restored from it.

    Raises
    ------
    ValueError
    """
    try:
        found = SafeIO().load_checkpoint(path)
        if not isinstance(found, dict) or not isinstance(found.get(FORMAT), dict):
            raise ValueError("it has not been written by scgim")
    except Exception as error:  # noqa: BLE001 -- an unpickler that refuses can raise anything
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ValueError(
            f"checkpoint: {path} is damaged or not of scgim ({reason}); remove it, and the training starts from its beginning."
        ) from None


def name_of(cells: Cells, parts: Iterable[Any]) -> str:
    """A file name for a training: the same data and settings have the same, others have others.

    Parameters
    ----------
    cells
        What is trained on.
    parts
        Settings; of those that are neither numbers nor text, the name of the class counts.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps([_plain(part) for part in parts], sort_keys=True).encode())
    for block in _blocks(cells):
        digest.update(block)
    return f"training-{digest.hexdigest()}.ckpt"


def _blocks(cells: Cells) -> Iterator[bytes]:
    for x, context in cells.dense():
        yield np.ascontiguousarray(x).tobytes()
        yield np.ascontiguousarray(context, dtype=np.int64).tobytes()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8).hexdigest()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | None) else type(value).__name__


def with_safe_files(trainer: dict[str, Any]) -> dict[str, Any]:
    """Settings of a trainer that reads and writes checkpoints by `SafeIO`."""
    plugins = trainer.get("plugins") or []
    return trainer | {"plugins": [*(plugins if isinstance(plugins, list | tuple) else [plugins]), SafeIO()]}


def with_checkpoints(
    trainer: dict[str, Any], folder: str | os.PathLike[str], name: Callable[[], str]
) -> dict[str, Any]:
    """Settings of a trainer that writes checkpoints, and goes on from the one that is there.

    Parameters
    ----------
    trainer
        Settings of scvi-tools' trainer.
    folder
        Of the file.
    name
        Makes its name.

    Raises
    ------
    ValueError
        There is a file of that name that is no checkpoint.
    """
    path = Path(folder) / name()
    out = with_safe_files(trainer)
    out["callbacks"] = [*(trainer.get("callbacks") or []), Checkpoints(path)]
    if path.is_file():
        check_file(path)
        out["ckpt_path"] = os.fspath(path)
    return out
