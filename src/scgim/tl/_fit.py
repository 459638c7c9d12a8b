"""Set-up, training, and results in one call."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scgim import _keys
from scgim._checks import DATA, FLAG, KEY, LAYER, MAPPING, MODALITIES, check_loaded, checked, or_none
from scgim._options import (
    CHOICE_CHECKS,
    SETUP_CHECKS,
    TRAINING_CHECKS,
    Columns,
    Devices,
    InterventionName,
    MechanismName,
    NoiseName,
    StructureName,
    documented,
)
from scgim._version import __version__

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData
    from mudata import MuData

    from scgim.model import GIM


@documented
@checked(
    adata=DATA,
    key_added=KEY,
    model_kwargs=or_none(MAPPING),
    progress=or_none(FLAG),
    layer=LAYER,
    modalities=or_none(MODALITIES),
    **SETUP_CHECKS,
    **CHOICE_CHECKS,
    **TRAINING_CHECKS,
)
def fit(
    adata: "AnnData | MuData",
    *,
    perturbation_key: Columns,
    control: str,
    dose_key: Columns | None = None,
    features_key: str | None = None,
    layer: str | Mapping[str, str | None] | None = None,
    batch_key: str | None = None,
    categorical_covariate_keys: Columns | None = None,
    continuous_covariate_keys: Columns | None = None,
    size_factor_key: str | None = None,
    modalities: Mapping[str, Any] | None = None,
    mechanism: MechanismName = "linear",
    intervention: InterventionName | None = None,
    noise: NoiseName = "gaussian",
    structure: StructureName = "search",
    graph_prior: Any = None,
    known_targets: Any = None,
    regulators: Any = None,
    n_ensemble: int = 0,
    effects_by: str | None = None,
    weigh_baselines: bool = True,
    penetrance: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
    max_epochs: int | None = None,
    accelerator: str = "auto",
    devices: Devices = "auto",
    rng: "int | np.random.Generator | None" = 0,
    batch_size: int | None = None,
    train_size: float | None = None,
    balance: float | None = None,
    window: int | None = None,
    plan_kwargs: dict[str, Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    key_added: str = _keys.DEFAULT,
    progress: bool | None = None,
    **trainer_kwargs: Any,
) -> "GIM":
    """Fit a generative intervention model :cite:p:`schneider2025` and write what it says into ``adata``.

    Registers the columns, learns the graph, the mechanisms, and where each perturbation acts, and writes the tables and
    arrays listed under *Returns*. Everything is checked first; if a check or the fit fails, ``adata`` is as before.

    Parameters
    ----------
    adata
        Cells x genes on the scale to be modelled (log-normalised for single-cell RNA, or raw counts with
        ``noise="poisson_lognormal"``; log or arcsinh for cytometry), or a MuData whose modalities become one graph.
    %(setup)s
    %(modalities)s
    %(choices)s
    model_kwargs
        Settings of the torch module, such as ``{"n_hidden": 32}``.
    %(training)s
    %(key_added)s
    progress
        Show what the fit is doing, with what is done and left of it: on one line of terminals and notebooks, in a line every ten
        seconds elsewhere. None follows ``scvi.settings.verbosity``, and shows nothing above that of information.
    **trainer_kwargs
        Of :class:`scvi.train.Trainer`, such as ``precision="bf16-mixed"`` or ``strategy="ddp"``.

    Returns
    -------
    The fitted model. In ``adata`` (for a MuData also in each modality):

    `adata.uns[key_added]` : dict
        ``params``, ``contexts`` (one row a context), ``targets`` (tidy table), ``history``.
    `adata.varm[key_added + '_target_probability']`, `adata.varm[key_added + '_effect']` : float32 (G, K)
        Per gene and context; columns in the order of the ``contexts`` table.
    `adata.varp[key_added + '_graph']`, `adata.varp[key_added + '_graph_probability']` : sparse float32 (G, G)
        Edge weights and probabilities; row causes column.
    `adata.obs[key_added + '_target']`, `adata.obs[key_added + '_target_probability']`
        The most probable target of the cell's perturbation ("none" in controls; below 1/2 a regulator, as "name (regulator)", or
        "unassigned").

    Warns
    -----
    UserWarning
        Drugs that the design confounds: measured only together, or in one level of a column that looks like a batch and was
        not given; patients, plates and the like that were not given (:func:`scgim.tl.diagnose` lists all). A search that
        `timeout` or Ctrl-C ended: the best so far is written.

    Raises
    ------
    KeyError
        A column, layer or drug without features is named.
    TypeError, ValueError
        What does not fit is named, with the call that mends it.

    Examples
    --------
    >>> model = scgim.tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control")
    >>> scgim.get.targets(adata, min_probability=0.5)
    """
    # here, so that the command line reads this signature without loading numpy
    from scgim.get._tables import as_list
    from scgim.model import GIM
    from scgim.model._module.options import refuse_further
    from scgim.model._training.limits import NO_SEED
    from scgim.tl._design import find_confounded, labels_of, warn_confounded
    from scgim.tl._fitting.progress import display
    from scgim.tl._fitting.results import results_of
    from scgim.tl._fitting.seed import as_seed, seeded
    from scgim.tl._fitting.silent import warn_silent
    from scgim.tl._fitting.write import write

    columns: dict[str, Any] = {
        "perturbation_key": perturbation_key,
        "control": control,
        "dose_key": dose_key,
        "features_key": features_key,
        "layer": layer,
        "batch_key": batch_key,
        "categorical_covariate_keys": categorical_covariate_keys,
        "continuous_covariate_keys": continuous_covariate_keys,
        "size_factor_key": size_factor_key,
    }
    choices: dict[str, Any] = {
        "mechanism": mechanism,
        "intervention": intervention,
        "noise": noise,
        "structure": structure,
        "graph_prior": graph_prior,
        "known_targets": known_targets,
        "regulators": regulators,
        "n_ensemble": n_ensemble,
        "effects_by": effects_by,
        "weigh_baselines": weigh_baselines,
        "penetrance": penetrance,
    } | dict(model_kwargs or {})
    training: dict[str, Any] = {
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "train_size": train_size,
        "balance": balance,
        "window": window,
        "plan_kwargs": plan_kwargs,
        "checkpoint": checkpoint,
        "timeout": timeout,
    }
    if checkpoint is not None and rng is None:
        raise ValueError(NO_SEED)
    seed = as_seed(rng)
    refuse_further(trainer_kwargs, fit)
    light = _registered(adata, columns, choices, modalities)
    with display(show=progress) as (report, callbacks), seeded(seed):
        model = GIM(light, **choices)
        warn_confounded(find_confounded(labels_of(light, model.study.spec), **columns))
        trainer: dict[str, Any] = {"enable_progress_bar": False} | trainer_kwargs
        trainer["callbacks"] = [*callbacks, *(trainer_kwargs.get("callbacks") or [])]
        model.train(accelerator=accelerator, devices=devices, rng=seed, progress=report, **training, **trainer)
    given = {name: value for name, value in training.items() if value is not None and name != "checkpoint"}
    params = (
        columns
        | choices
        | {"modalities": modalities, "rng": seed, "train_kwargs": given | trainer_kwargs}
        | model.settings
        | _versions()
    )
    params["perturbation_key"] = as_list(perturbation_key)
    params["dose_key"] = None if dose_key is None else as_list(dose_key)
    write(adata, results_of(model, params), key=key_added)
    warn_silent(model.fitted, model.design, network=regulators is not None)
    return model


def _registered(
    adata: Any, columns: dict[str, Any], choices: dict[str, Any], modalities: Mapping[str, Any] | None
) -> Any:
    """A copy of what the fit reads, registered: the object stays as it is until there are results."""
    from scgim.model import GIM
    from scgim.tl._fitting.light import light_copy

    is_mudata, layer = _check_object(adata), columns["layer"]
    if not is_mudata and isinstance(layer, Mapping):
        raise TypeError(f"layer: expected the name of one layer with an AnnData, found {layer!r}.")
    if not is_mudata and modalities is not None:
        raise ValueError("modalities: expected None with an AnnData; it says where the columns of a MuData are.")
    light = light_copy(adata, columns | choices)
    if is_mudata:
        GIM.setup_mudata(light, **columns, modalities=modalities)
    else:
        GIM.setup_anndata(light, **columns)
    return light


def _check_object(adata: Any) -> bool:
    """AnnData or MuData, not a view; returns whether it is a MuData."""
    from anndata import AnnData
    from mudata import MuData

    if not isinstance(adata, AnnData | MuData):
        raise TypeError(f"adata: expected an AnnData or a MuData, found {type(adata).__name__}.")
    check_loaded("adata", adata)
    if adata.is_view:
        copied = "to_memory" if getattr(adata, "isbacked", False) else "copy"
        raise ValueError(
            f"adata: found a view, into which results cannot be written; make it a copy with adata.{copied}()."
        )
    return isinstance(adata, MuData)


def _versions() -> dict[str, Any]:
    """Versions of what the numbers depend on."""
    from importlib.metadata import version

    names = ("scvi-tools", "torch", "lightning", "anndata", "numpy", "scipy")
    return {"versions": {"scgim": __version__} | {name: version(name) for name in names}}
