"""What a user asks of a training, checked before anything is run (layer `model`)."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.accelerators import AcceleratorRegistry
from scvi.train import Trainer

from scgim._checks import TEXT, as_declared, one_of
from scgim._options import CHOICES
from scgim.model._loading.datamodule import check_settings
from scgim.model._module.module import GIMModule
from scgim.model._module.plan import GIMTrainingPlan

LOADER = ("num_workers", "pin_memory", "datasplitter_kwargs")
"""Keywords besides the named ones that go to the minibatches."""
RUNNER = ("trainer_config", "ckpt_path")
"""Keywords of scvi-tools' `TrainRunner`, which hands everything else to its `Trainer`."""
MEANT = {
    "seed": "rng",
    "random_state": "rng",
    "random_seed": "rng",
    "epochs": "max_epochs",
    "n_epochs": "max_epochs",
    "use_gpu": "accelerator",
    "gpus": "devices",
    "key": "key_added",
    "dose": "dose_key",
    "batch": "batch_key",
    "features": "features_key",
}
"""Names that other packages have for the same thing."""
MENDS = {
    "copy": "results are written into the object; to keep it as it is, pass adata.copy()",
    **dict.fromkeys(
        ("mod", "modality"),
        "to fit one modality pass mdata.mod[...], an AnnData; modalities= says which holds each column",
    ),
    "use_raw": "name a layer (layer=), or fit adata.raw.to_adata()",
    "inplace": "results are written into the object; to keep it as it is, pass adata.copy()",
}


def parameters(function: Callable[..., Any]) -> set[str]:
    """Names of the parameters of a function, without `self` and those that gather others."""
    gather = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {n for n, p in inspect.signature(function).parameters.items() if p.kind not in gather and n != "self"}


def plan_parameters(plan: type) -> set[str]:
    """Settings of a training plan: those of the class and of the plans that it hands the rest to."""
    names: set[str] = set()
    for cls in plan.__mro__:
        if "__init__" in vars(cls):
            signature = inspect.signature(cls.__init__)  # type: ignore[misc]
            names |= parameters(cls.__init__)  # type: ignore[misc]
            if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values()):
                break
    return names - {"module"}


def trainer_parameters() -> set[str]:
    """Settings of scvi-tools' and Lightning's trainers, and of the minibatches."""
    return (parameters(Trainer.__init__) | parameters(pl.Trainer.__init__)).union(LOADER, RUNNER)


def refuse_unknown(given: Iterable[str], allowed: Iterable[str], also: Iterable[str] = (), **places: set[str]) -> None:
    """Refuse keywords that nothing would read.

    Parameters
    ----------
    given
        Keywords.
    allowed
        Those that are read.
    also
        Further parameters of the function called, for the hint.
    places
        Name of an argument that takes a dict, and the names that are meant for it.

    Raises
    ------
    TypeError
        The first of them is named, with the one that was probably meant.
    """
    allowed, also = set(allowed), set(also)
    for name in given:
        if name in allowed:
            continue
        place = next((argument for argument, names in places.items() if name in names), None)
        close = difflib.get_close_matches(name, sorted(allowed | also), n=1, cutoff=0.75)
        meant = MEANT.get(name) or (close[0] if close else None)
        if name in MENDS:
            hint = MENDS[name]
        elif place is not None:
            hint = f"write {place}={{{name!r}: ...}}"
        elif meant is not None:
            hint = f"did you mean {meant!r}?"
        else:
            hint = "leave it out"
        raise TypeError(f"{name}: unknown argument; {hint}")


def module_parameters() -> set[str]:
    """Settings of the torch module that are not choices of the model."""
    return parameters(GIMModule.__init__) - set(CHOICES) - {"n_genes", "design"}


POSITIVE = ("lr", "eps", "lr_edges", "lr_maps", "n_hidden", "max_parents")
"""Settings that have to be above zero."""


def check_by_signature(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Numbers, whole numbers and booleans where the signature says so, none of them negative.

    Raises
    ------
    TypeError, ValueError
    """
    known = inspect.signature(function).parameters
    for name, value in given.items():
        if name in known:
            as_declared(str(known[name].annotation), positive=name in POSITIVE)(name, value)


def check_accelerator(name: str) -> None:
    """An accelerator that Lightning knows and finds; looked up before anything is run.

    Raises
    ------
    ValueError
    """
    TEXT("accelerator", name)
    known = sorted(AcceleratorRegistry.available_accelerators())
    one_of("auto", "gpu", *known)("accelerator", name)
    wanted = ("cuda", "mps") if name == "gpu" else (name,)
    if name != "auto" and not any(AcceleratorRegistry[each]["accelerator"].is_available() for each in wanted):
        raise ValueError(f"accelerator: expected one that this machine has, found no {name!r}; use 'auto' or 'cpu'.")


def refuse_further(further: Iterable[str], function: Callable[..., Any]) -> None:
    """Refuse what a trainer does not know among the further keywords of a function, see `refuse_unknown`."""
    plan = plan_parameters(GIMTrainingPlan)
    also = parameters(function)
    refuse_unknown(further, trainer_parameters(), also, plan_kwargs=plan, model_kwargs=module_parameters())


@dataclass(frozen=True)
class TrainOptions:
    """Settings of a training, sorted by who reads them."""

    max_epochs: int | None = None  # epochs; None lets the model choose, 0 is no training
    # of Lightning
    accelerator: str = "auto"
    devices: int | list[int] | str = "auto"
    plan: dict[str, Any] = field(default_factory=dict)  # of the training plan
    loader: dict[str, Any] = field(default_factory=dict)  # of the minibatches
    trainer: dict[str, Any] = field(default_factory=dict)  # of scvi-tools' trainer
    checkpoint: str | os.PathLike[str] | None = None  # folder for checkpoints; None for none

    @classmethod
    def sort(
        cls,
        plan_cls: type,
        max_epochs: int | None,
        accelerator: str,
        devices: int | list[int] | str,
        plan_kwargs: dict[str, Any] | None,
        minibatches: dict[str, Any],
        further: dict[str, Any],
        also: Iterable[str] = (),
    ) -> TrainOptions:
        """Check and sort.

        Parameters
        ----------
        plan_cls
            Training plan that will be used.
        max_epochs, accelerator, devices
            See the class.
        plan_kwargs
            Settings of the plan.
        minibatches
            `batch_size`, `train_size`, `balance` and `window`; those that are None are left out.
        further
            All other keywords.
        also
            Parameters of the function that was called, for hints.

        Raises
        ------
        TypeError
            A keyword is unknown; the message says which one was probably meant.
        ValueError
            A value is out of range.
        """
        plan, planned = dict(plan_kwargs or {}), plan_parameters(plan_cls)
        refuse_unknown(further, trainer_parameters(), also, plan_kwargs=planned)
        refuse_unknown(plan, planned)
        check_by_signature(plan_cls.__init__, plan)  # type: ignore[misc]
        check_accelerator(accelerator)
        loader = {name: value for name, value in minibatches.items() if value is not None}
        loader |= {name: further[name] for name in LOADER if name in further}
        loader |= loader.pop("datasplitter_kwargs", None) or {}
        check_settings(loader.get("batch_size", 1), loader.get("balance", 0.0), loader.get("window"))
        trainer = {name: value for name, value in further.items() if name not in LOADER}
        return cls(max_epochs, accelerator, devices, plan, loader, trainer)
