"""Set-up, training, and results in one call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scgim import _keys
from scgim._version import __version__
from scgim.tl._light import light_copy
from scgim.tl._progress import display
from scgim.tl._results import results_of
from scgim.tl._seed import as_seed, seeded
from scgim.tl._write import write

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData
    from mudata import MuData

    from scgim.model import GIM


def fit(
    adata: "AnnData | MuData",
    *,
    perturbation_key: str | Sequence[str],
    control: str,
    dose_key: str | Sequence[str] | None = None,
    features_key: str | None = None,
    layer: str | Mapping[str, str | None] | None = None,
    batch_key: str | None = None,
    categorical_covariate_keys: Sequence[str] | None = None,
    continuous_covariate_keys: Sequence[str] | None = None,
    size_factor_key: str | None = None,
    modalities: Mapping[str, Any] | None = None,
    mechanism: str = "linear",
    intervention: str | None = None,
    noise: str = "gaussian",
    structure: str = "search",
    graph_prior: Any = None,
    known_targets: Any = None,
    effects_by: str | None = None,
    n_ensemble: int | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    key_added: str = _keys.DEFAULT,
    rng: "int | np.random.Generator | None" = 0,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    progress: bool | None = None,
    **train_kwargs: Any,
) -> "GIM":
    """Fit a generative intervention model :cite:p:`schneider2025` and write what it says into ``adata``.

    Registers the columns, learns the graph, the mechanisms, and where each perturbation acts, and writes the tables and
    arrays listed under *Returns*. Everything is checked first; if a check or the fit fails, ``adata`` is as before.

    Parameters
    ----------
    adata
        Cells x genes on the scale to be modelled (log-normalised for single-cell RNA, or raw counts with
        ``noise="poisson_lognormal"``; log or arcsinh for cytometry), or a MuData whose modalities become one graph.
    perturbation_key
        Column of ``adata.obs`` with the perturbation, or a list of columns for combinations.
    control
        The label of unperturbed cells in these columns.
    dose_key
        Column with the dose, or as many as ``perturbation_key`` has.
    features_key
        Key of ``adata.uns`` with a DataFrame of drug features, or of ``adata.obsm`` with one row a cell, constant within
        a context. Needed to predict new drugs.
    layer
        Layer to model instead of ``adata.X``; for a MuData also a dict from modality to layer.
    batch_key
        Column of the batch; each batch has its own baseline and needs its own control cells.
    categorical_covariate_keys, continuous_covariate_keys
        Further columns that shift the baseline.
    size_factor_key
        Column with the size factors of ``noise="poisson_lognormal"``; library sizes over the modelled genes without it.
    modalities
        For a MuData: where the columns and layers are, see :meth:`scgim.model.GIM.setup_mudata`.
    mechanism
        ``"linear"``, ``"additive"`` or ``"neural"``.
    intervention
        ``"shift"``, ``"hard"``, ``"activity"``, or ``"auto"`` (shifts and changes of activity, weighed drug by drug). None is
        ``"auto"`` where every drug was measured in one context and has no features, else ``"shift"``, see
        :class:`scgim.model.GIM`.
    noise
        ``"gaussian"`` for log-normalised values, ``"poisson_lognormal"`` for raw counts, ``"zero_inflated_lognormal"`` for
        normalised values without logs, see :class:`scgim.model.GIM`.
    structure
        ``"search"`` for the exact score with a search over orders, ``"gradient"`` for the published estimator,
        ``"cyclic"`` where genes may act on each other in cycles (linear mechanisms, shift interventions).
    graph_prior
        What is known of the graph: edge list, matrix, or key of ``adata.varp``.
    known_targets
        Table with columns ``drug`` and ``gene``: targets that are known.
    effects_by
        One of the covariates, such as the cell line: drugs keep their targets, but effects may differ between its levels.
    n_ensemble
        Number of fits that the edge probabilities come from; the default of the model if not given.
    model_kwargs
        Further arguments of :class:`scgim.model.GIM`.
    key_added
        Start of the keys that are written.
    rng
        Seed or generator. The same seed gives the same result; the global seeds are as before afterwards.
    accelerator, devices
        Where to train, as in Lightning.
    progress
        Show what the fit is doing; by default in terminals and notebooks.
    **train_kwargs
        Further arguments of :meth:`scgim.model.GIM.train`.

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
        The most probable target of the cell's perturbation ("none" in controls, "unassigned" below 1/2).

    Raises
    ------
    KeyError
        A column, layer or drug without features is named.
    TypeError, ValueError
        What does not fit is named, with the call that mends it.

    Examples
    --------
    >>> model = scgim.tl.fit(  # doctest: +SKIP
    ...     adata, perturbation_key="drug", dose_key="dose", control="DMSO"
    ... )
    >>> scgim.get.targets(adata, min_probability=0.5)  # doctest: +SKIP
    """
    arguments = dict(locals())
    setup = {name: arguments[name] for name in _SETUP}
    build = {name: arguments[name] for name in _BUILD} | dict(model_kwargs or {})
    if n_ensemble is not None:
        build["n_ensemble"] = n_ensemble
    _check_key(key_added)
    seed = as_seed(rng)

    from scgim.model import GIM

    is_mudata = _check_object(adata)
    light = light_copy(adata, setup | build)
    if is_mudata:
        GIM.setup_mudata(light, **setup, modalities=modalities)
    elif modalities is not None:
        raise ValueError("modalities: expected None with an AnnData; it says where the columns of a MuData are.")
    else:
        GIM.setup_anndata(light, **setup)
    with display(show=progress) as (report, callbacks), seeded(seed):
        model = GIM(light, **build)
        options: dict[str, Any] = {"progress": report, "enable_progress_bar": False} | train_kwargs
        options["callbacks"] = [*callbacks, *(train_kwargs.get("callbacks") or [])]
        model.train(accelerator=accelerator, devices=devices, rng=seed, **options)
    params = (
        setup
        | build
        | {"modalities": modalities, "rng": seed, "train_kwargs": train_kwargs}
        | model.settings
        | _versions()
    )
    params["perturbation_key"] = _as_list(perturbation_key)
    params["dose_key"] = None if dose_key is None else _as_list(dose_key)
    write(adata, results_of(model, params), key=key_added)
    return model


_SETUP = (
    "perturbation_key",
    "control",
    "dose_key",
    "features_key",
    "layer",
    "batch_key",
    "categorical_covariate_keys",
    "continuous_covariate_keys",
    "size_factor_key",
)
_BUILD = ("mechanism", "intervention", "noise", "structure", "graph_prior", "known_targets", "effects_by")


def _as_list(columns: str | Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def _check_key(key_added: str) -> None:
    """A key that every format can hold."""
    if not isinstance(key_added, str) or not key_added or "/" in key_added:
        raise ValueError(f"key_added: expected text without '/', which cannot be stored, found {key_added!r}.")


def _check_object(adata: Any) -> bool:
    """AnnData or MuData, not a view; returns whether it is a MuData."""
    from anndata import AnnData
    from mudata import MuData

    if not isinstance(adata, AnnData | MuData):
        raise TypeError(f"adata: expected an AnnData or a MuData, found {type(adata).__name__}.")
    if adata.is_view:
        raise ValueError("adata: found a view, into which results cannot be written; make it a copy with adata.copy().")
    return isinstance(adata, MuData)


def _versions() -> dict[str, Any]:
    """Versions of what the numbers depend on."""
    from importlib.metadata import version

    names = ("scvi-tools", "torch", "lightning", "anndata", "numpy", "scipy")
    return {"versions": {"scgim": __version__} | {name: version(name) for name in names}}
