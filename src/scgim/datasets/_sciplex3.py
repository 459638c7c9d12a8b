"""`scgim.datasets.sciplex3`: 188 compounds at four doses in three cell lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import FLAG, NAMES, PATH, TooLargeError, checked, number, or_none
from scgim.datasets._fetch import fetch

if TYPE_CHECKING:
    import anndata

FILE = "SrivatsanTrapnell2020_sciplex3.h5ad"
URL = f"https://zenodo.org/records/13350497/files/{FILE}"
SHA256 = (
    "603ed16c5e25401c8a7f5bb0b2b045179701017d65dcfc6aeea71722a66cd10a"  # as published by others; 2,526,631,614 bytes
)

NEEDED = ("perturbation", "dose_value", "cell_line")
KEPT = ("replicate", "plate", "well", "time", "dose_unit", "ncounts", "ngenes", "percent_mito", "pathway", "target")
ROWS = 20_000  # cells read at a time


@checked(
    directory=or_none(PATH),
    cell_lines=or_none(NAMES),
    drugs=or_none(NAMES),
    genes=or_none(NAMES),
    time=or_none(number(0, above=True)),
    max_gb=number(0, above=True),
    verify=FLAG,
)
def sciplex3(
    *,
    directory: str | os.PathLike[str] | None = None,
    cell_lines: str | Sequence[str] | None = None,
    drugs: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    time: float | None = 24,
    max_gb: float = 8,
    verify: bool = True,
) -> anndata.AnnData:
    """Cells of three cancer lines under 188 compounds at 10 to 10,000 nM :cite:p:`srivatsan2020,peidli2024`.

    The file is the one of scPerturb, version 1.4 (2.5 GB): 799,317 cells x 110,983 genes, raw UMI counts. Versions before
    1.4 had the gene names shifted by one row and are refused. The full matrix needs about 12 GB of memory, so choose
    cells and genes here: rows are read in blocks, and only what is chosen is kept. The checksum was taken from what
    others published about the file, not from our own download.

    Parameters
    ----------
    directory
        Folder with the file, or with a folder ``sciplex3`` that holds it. Otherwise the environment variable
        ``SCGIM_DATA_DIR`` is used, and without it the file is downloaded once into the cache.
    cell_lines
        ``"A549"``, ``"K562"``, ``"MCF7"`` or several of them; all by default.
    drugs
        Drugs to keep, as named in the file; the control is always kept. All by default.
    genes
        Gene names to keep, in this order; all by default.
    time
        Hours of treatment to keep (24, or 72 for a few drugs in A549); None keeps all.
    max_gb
        Refuse to build a larger matrix, in GB.
    verify
        Compare the checksum. Set it to false for a file of your own with the same columns, such as a part of it.

    Returns
    -------
    AnnData with

    `.X` : sparse
        Raw counts.
    `.obs`
        ``drug`` (``"control"`` for the vehicle; blanks around names removed), ``dose`` (nM; 0 for the control),
        ``cell_line``, and, where the file has them, the columns of the experiment, such as ``replicate`` and ``plate``.
        Cells without a drug, dose or cell line (no hash was read) are left out.
    `.uns["dose_unit"]` : str
        ``"nM"``.

    Raises
    ------
    FileNotFoundError, ConnectionError
        If the file cannot be found or downloaded; the message says what to do.
    ValueError
        If the file is not the published one, columns are missing, or `cell_lines`, `drugs` or `genes` are not in it.
    MemoryError
        If the matrix would be larger than `max_gb`.

    Examples
    --------
    >>> scgim.datasets.sciplex3(drugs=["Vorinostat"], genes=["HDAC1", "MYC"])  # doctest: +SKIP
    """
    import anndata
    from scipy import sparse

    path = fetch("sciplex3", FILE, URL, SHA256 if verify else None, directory)
    backed = anndata.read_h5ad(path, backed="r")
    try:
        obs = _labels(backed.obs, path)
        _check_genes(backed.var, path)
        keep = _cells(obs, cell_lines, drugs, time)
        columns = _columns(backed.var_names, genes)
        blocks: list[Any] = []
        size = 0.0
        for start in range(0, backed.n_obs, ROWS):
            stop = min(start + ROWS, backed.n_obs)
            inside = keep[(keep >= start) & (keep < stop)] - start
            if len(inside) == 0:
                continue
            block = sparse.csr_matrix(backed.X[start:stop])[inside]
            blocks.append((block if columns is None else block[:, columns]).astype(np.float32))
            size += blocks[-1].nnz * 8 / 1e9
            if size > max_gb:
                raise TooLargeError(
                    f"max_gb={max_gb:g}: the chosen cells and genes need more. Choose fewer with `cell_lines`, `drugs` or "
                    "`genes`, or raise max_gb."
                )
        var = backed.var.copy() if columns is None else backed.var.iloc[columns].copy()
    finally:
        backed.file.close()
    adata = anndata.AnnData(sparse.vstack(blocks, format="csr"), obs=obs.iloc[keep].copy(), var=var)
    for name in adata.obs.columns[adata.obs.dtypes == "category"]:
        adata.obs[name] = adata.obs[name].cat.remove_unused_categories()
    adata.uns["dose_unit"] = "nM"
    return adata


def _labels(obs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns of the file under our names, every cell in its place; missing values stay missing."""
    missing = [name for name in NEEDED if name not in obs]
    if missing:
        raise ValueError(
            f"{path}: expected the columns {list(NEEDED)} in .obs, as scPerturb's file has; {missing} are missing, "
            f"found {list(obs.columns)}."
        )
    drug = obs["perturbation"].astype(object).where(obs["perturbation"].notna(), None)
    drug = drug.map(lambda name: name if name is None else str(name).strip())
    dose = pd.to_numeric(obs["dose_value"].astype(object), errors="coerce").astype(float)
    dose = dose.mask(drug == "control", 0.0)
    if "dose_unit" in obs:
        units = set(obs["dose_unit"].dropna().astype(str)) - {"nM"}
        if units:
            raise ValueError(f"{path}: expected doses in nM, found the units {sorted(units)} in .obs['dose_unit'].")
    out = pd.DataFrame({"drug": pd.Categorical(drug), "dose": dose, "cell_line": pd.Categorical(obs["cell_line"])})
    out.index = obs.index
    for name in KEPT:
        if name in obs:
            out[name] = obs[name]
    return out


def _check_genes(var: pd.DataFrame, path: Path) -> None:
    """Refuse the versions whose gene names are shifted by one row."""
    first = str(var["ensembl_id"].iloc[0]) if "ensembl_id" in var and len(var) else ""
    if first.startswith("id "):
        raise ValueError(
            f"{path} is a version of scPerturb before 1.4, in which every gene name is shifted by one row. Download {URL}."
        )


def _cells(
    obs: pd.DataFrame, cell_lines: str | Sequence[str] | None, drugs: Sequence[str] | None, time: float | None
) -> np.ndarray:
    """Positions of the chosen cells, in order."""
    keep = np.array(obs[["drug", "dose", "cell_line"]].notna().all(axis=1), dtype=bool)
    chosen = [cell_lines] if isinstance(cell_lines, str) else cell_lines
    for name, column, wanted in (("cell_lines", "cell_line", chosen), ("drugs", "drug", drugs)):
        if wanted is None:
            continue
        if isinstance(wanted, str):
            raise ValueError(f"{name}: expected a list of names, found the string {wanted!r}.")
        unknown = [value for value in wanted if value not in set(obs[column].dropna())]
        if unknown:
            raise ValueError(f"{name}: {unknown} are not in the file, which has {sorted(set(obs[column].dropna()))}.")
        also = {"control"} if name == "drugs" else set()
        keep &= obs[column].isin(set(wanted) | also).to_numpy(bool)
    if time is not None and "time" in obs:
        hours = pd.to_numeric(obs["time"].astype(object), errors="coerce")
        keep &= (hours == time).to_numpy(bool)
    if not keep.any():
        raise ValueError("cell_lines, drugs and time: expected cells with all of them, found none in this file.")
    return np.flatnonzero(keep)


def _columns(names: pd.Index, genes: Sequence[str] | None) -> np.ndarray | None:
    """Positions of the chosen genes."""
    if genes is None:
        return None
    if isinstance(genes, str):
        raise ValueError(f"genes: expected a list of names, found the string {genes!r}.")
    wanted = list(genes)
    position = {name: i for i, name in reversed(list(enumerate(names)))}
    unknown = [gene for gene in wanted if gene not in position]
    if unknown or len(set(wanted)) < len(wanted):
        raise ValueError(f"genes: expected distinct names of the file, found {unknown[:10]}.")
    return np.array([position[gene] for gene in wanted], dtype=int)
