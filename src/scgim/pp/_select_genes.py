"""`scgim.pp.select_genes`: the genes to model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scgim._checks import (
    ANNDATA,
    COLUMNS,
    FLAG,
    KEY,
    LABEL,
    NAMES,
    TEXT,
    TooLargeError,
    checked,
    count,
    did_you_mean,
    number,
    one_of,
    or_none,
)
from scgim._warnings import warn_user
from scgim.pp._columns import perturbations, target

if TYPE_CHECKING:
    import anndata

ROWS = 10_000  # cells read at a time


@checked(
    adata=ANNDATA,
    n_genes=count(),
    method=one_of("responsive", "variable", "listed"),
    genes=or_none(NAMES),
    perturbation_key=or_none(COLUMNS),
    control=or_none(LABEL),
    dose_key=or_none(COLUMNS),
    layer=or_none(TEXT),
    min_fraction=number(0, 1),
    subset=FLAG,
    max_gb=number(0, above=True),
    key_added=KEY,
    copy=FLAG,
)
def select_genes(
    adata: anndata.AnnData,
    n_genes: int = 200,
    *,
    method: Literal["responsive", "variable", "listed"] = "responsive",
    genes: Sequence[str] | None = None,
    perturbation_key: str | Sequence[str] | None = None,
    control: str | None = None,
    dose_key: str | Sequence[str] | None = None,
    layer: str | None = None,
    min_fraction: float = 0.02,
    subset: bool = False,
    max_gb: float = 16,
    key_added: str = "selected",
    copy: bool = False,
) -> anndata.AnnData | None:
    """Choose the genes that the causal model is to have.

    Choose them on training cells only, or the choice has seen the test contexts.

    Parameters
    ----------
    adata
        Annotated data, log-normalised.
    n_genes
        How many to choose, besides those in `genes`.
    method
        ``"responsive"``: genes whose mean moves most under the perturbations, by the mean over contexts of the squared z
        score of the change against the control. ``"variable"``: highly variable genes, by
        :func:`scanpy.pp.highly_variable_genes`. ``"listed"``: `genes` and no others.
    genes
        Genes that are chosen in any case, such as known targets.
    perturbation_key, control, dose_key
        Columns of ``.obs`` and the control label; the first two are needed by ``"responsive"``.
    layer
        Layer to use instead of ``.X``.
    min_fraction
        Genes that are not zero in a smaller fraction of the cells are chosen only if they are in `genes`.
    subset
        Keep only the chosen genes in `adata`.
    max_gb
        Refuse a choice that, as a dense float32 matrix of all cells, would be larger (in GB).
    key_added
        Column of ``.var`` to write.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    None, or the copy if `copy`. Sets:

    `adata.var[key_added]` : bool
        Whether the gene is chosen.
    `adata.var[f"{key_added}_score"]` : float
        Its score, NaN if it was not looked at; not with ``"listed"``.

    Raises
    ------
    KeyError
        If a column or layer is not there, or a gene of `genes`.
    ValueError
        If an argument is outside its range or missing for the method.
    MemoryError
        If the choice would be larger than `max_gb`.

    Examples
    --------
    >>> scgim.pp.select_genes(adata, 100, perturbation_key="drug", control="control", subset=True)
    """
    listed = _listed(adata, genes)
    _check(adata, method, listed, perturbation_key, control, layer)
    if method != "listed" and n_genes > adata.n_vars:
        warn_user(
            f"n_genes: expected at most the {adata.n_vars} genes that there are, found {n_genes}; all that can be scored are chosen."
        )
    wanted = int(listed.sum()) if method == "listed" else min(adata.n_vars, n_genes + int(listed.sum()))
    size = adata.n_obs * wanted * 4 / 1e9
    if not size <= max_gb:
        raise TooLargeError(
            f"max_gb={max_gb:g}: expected at most so many GB, found {wanted} genes x {adata.n_obs} cells of {size:.2g} GB as float32; "
            "choose fewer genes or cells, or raise max_gb if the memory is there."
        )
    chosen, score = listed.copy(), None
    if method != "listed":
        if method == "responsive":
            columns = [] if perturbation_key is None else perturbation_key
            kinds = perturbations(adata, columns, str(control), dose_key)
            score = _responsive(adata, layer, kinds, min_fraction)
        else:
            score = _variable(adata, layer, n_genes, min_fraction)
        rank = np.argsort(np.where(listed | np.isnan(score), np.inf, -score), kind="stable")
        usable = int((~np.isnan(score) & ~listed).sum())
        chosen[rank[: min(n_genes, usable)]] = True
    adata = target(adata, copy=copy)
    adata.var[key_added] = chosen
    if score is not None:
        adata.var[f"{key_added}_score"] = score
    if subset:
        adata._inplace_subset_var(chosen)
    return adata if copy else None


def _listed(adata: Any, genes: Sequence[str] | None) -> np.ndarray:
    """Which genes are asked for by name, (n_vars,) bool."""
    if isinstance(genes, str):
        raise ValueError(f"genes: expected a list of names, found the string {genes!r}.")
    wanted = [] if genes is None else list(genes)
    unknown = [gene for gene in wanted if gene not in adata.var_names]
    if unknown:
        near = did_you_mean(unknown[0], adata.var_names)
        raise KeyError(
            f"genes: {unknown[:10]} are not in adata.var_names, found {list(adata.var_names[:5])} ...{near}."
        )
    return np.asarray(adata.var_names.isin(wanted), dtype=bool)


def _check(
    adata: Any,
    method: str,
    listed: np.ndarray,
    perturbation_key: object,
    control: object,
    layer: str | None,
) -> None:
    """Refuse what does not fit together."""
    if method == "listed" and not listed.any():
        raise ValueError("genes: expected names for method='listed', found none.")
    if method == "responsive" and (perturbation_key is None or control is None):
        raise ValueError("perturbation_key and control: expected both for method='responsive', found one or none.")
    if layer is not None and layer not in adata.layers:
        found = [name for name in adata.layers if name is not None]
        raise KeyError(f"layer={layer!r} is not in adata.layers; expected None for adata.X, or one of {found}.")


def _blocks(adata: Any, layer: str | None) -> Any:
    """Blocks of cells as they are stored, with their positions."""
    values = adata.X if layer is None else adata.layers[layer]
    for start in range(0, adata.n_obs, ROWS):
        stop = min(start + ROWS, adata.n_obs)
        yield slice(start, stop), values[start:stop]


def _responsive(adata: Any, layer: str | None, kinds: list, min_fraction: float) -> np.ndarray:
    """Mean over contexts of the squared z score of the change, (n_vars,); NaN where a gene is too rare or constant."""
    from scipy import sparse

    control_first = sorted(set(kinds), key=lambda kind: (len(kind), sorted(kind)))
    order = {kind: k for k, kind in enumerate(control_first)}
    context = np.array([order[kind] for kind in kinds])
    n_contexts = len(order)
    if n_contexts < 2:
        raise ValueError(
            "control: expected perturbed cells beside it for method='responsive', found none; use method='variable'."
        )
    n = np.bincount(context, minlength=n_contexts).astype(float)
    columns = np.flatnonzero(_present(adata, layer) >= min_fraction * n.sum())  # the others need no memory
    total, square = np.zeros((n_contexts, len(columns))), np.zeros(len(columns))
    for rows, block in _blocks(adata, layer):
        part = sparse.csr_matrix(sparse.csr_matrix(block)[:, columns], dtype=np.float64)
        member = sparse.csr_matrix(
            (np.ones(part.shape[0]), (context[rows], np.arange(part.shape[0]))), shape=(n_contexts, part.shape[0])
        )
        total += (member @ part).toarray()
        square += np.asarray(part.multiply(part).sum(0)).ravel()
    mean = total / n[:, None]
    within = (square - (n[:, None] * mean**2).sum(0)) / max(n.sum() - n_contexts, 1)
    varies = within > 1e-10
    z2 = (mean[1:] - mean[0]) ** 2 / (np.where(varies, within, 1.0) * (1 / n[1:, None] + 1 / n[0]))
    score = np.full(adata.n_vars, np.nan)
    score[columns] = np.where(varies, z2.mean(0), np.nan)
    return score


def _present(adata: Any, layer: str | None) -> np.ndarray:
    """Number of cells in which each gene is not zero, (n_vars,)."""
    present = np.zeros(adata.n_vars)
    for _, block in _blocks(adata, layer):
        present += np.asarray((block != 0).sum(0)).ravel()
    return present


def _variable(adata: Any, layer: str | None, n_genes: int, min_fraction: float) -> np.ndarray:
    """Normalised dispersion from scanpy, (n_vars,); NaN where a gene is too rare."""
    import scanpy as sc

    usable = _present(adata, layer) >= max(min_fraction * adata.n_obs, 1)
    table = sc.pp.highly_variable_genes(
        adata, layer=layer, n_top_genes=min(n_genes, adata.n_vars), flavor="seurat", inplace=False
    )
    return np.where(usable, table["dispersions_norm"].to_numpy(float), np.nan)
