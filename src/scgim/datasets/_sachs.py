"""`scgim.datasets.sachs`: protein signalling in single T cells under seven drugs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim._checks import FLAG, PATH, checked, or_none
from scgim.datasets._fetch import fetch

if TYPE_CHECKING:
    import anndata

FILE = "cyto_full_data.csv"
URL = (
    "https://raw.githubusercontent.com/FenTechSolutions/CausalDiscoveryToolbox/master/"
    "cdt/data/resources/cyto_full_data.csv"
)
SHA256 = "fc331dcd0bc1d8765986b88cd1d23dd5a3f52e4ffc299fdf96de9d522ddf01aa"

PROTEINS = ("Raf", "Mek", "PLCg", "PIP2", "PIP3", "Erk", "Akt", "PKA", "PKC", "p38", "Jnk")  # columns, in order

COLUMNS = ("condition", "n_cells", "drug", "target", "effect", "stimulation")
CONDITIONS = (  # in the order of the rows of the file, with the columns above; the target is the intended one
    ("cd3cd28", 853, "none", "none", "none", "CD3+CD28"),
    ("cd3cd28_icam2", 902, "none", "none", "none", "CD3+CD28+ICAM2"),
    ("cd3cd28_aktinhib", 911, "AKT-inhibitor", "Akt", "inhibit", "CD3+CD28"),
    ("cd3cd28_g0076", 723, "G0076 (Go6976)", "PKC", "inhibit", "CD3+CD28"),
    ("cd3cd28_psitect", 810, "Psitectorigenin", "PIP2", "inhibit", "CD3+CD28"),
    ("cd3cd28_u0126", 799, "U0126", "Mek", "inhibit", "CD3+CD28"),
    ("cd3cd28_ly", 848, "LY294002", "PIP3", "inhibit", "CD3+CD28"),
    ("pma", 913, "PMA", "PKC", "activate", "none"),
    ("b2camp", 707, "b2cAMP (8-Br-cAMP)", "PKA", "activate", "none"),
)

CONSENSUS = (  # acyclic consensus of the literature, cause -> effect
    ("Raf", "Mek"),
    ("Mek", "Erk"),
    ("PLCg", "PIP2"),
    ("PLCg", "PKC"),
    ("PIP2", "PKC"),
    ("PIP3", "PLCg"),
    ("PIP3", "PIP2"),
    ("PIP3", "Akt"),
    ("PKA", "Raf"),
    ("PKA", "Mek"),
    ("PKA", "Erk"),
    ("PKA", "Akt"),
    ("PKA", "p38"),
    ("PKA", "Jnk"),
    ("PKC", "Raf"),
    ("PKC", "Mek"),
    ("PKC", "p38"),
    ("PKC", "Jnk"),
)


@checked(directory=or_none(PATH), log=FLAG)
def sachs(*, directory: str | os.PathLike[str] | None = None, log: bool = True) -> anndata.AnnData:
    """Eleven phosphorylated proteins and lipids in primary human T cells :cite:p:`sachs2005`.

    Flow cytometry of 7466 cells in nine conditions: two without a drug and seven with one drug each. The public table
    holds no labels; they are attached from the order of the rows.

    Read the results with care. The two conditions ``pma`` and ``b2camp`` lack the CD3/CD28 stimulation of the others, so
    more than the drug differs. Inhibitors of activity do not lower the amount of the protein that is measured: Mek rises
    under its inhibitor U0126. LY294002 hits PI3K, which is not measured; PIP3 is the target that most authors use.

    Parameters
    ----------
    directory
        Folder with the file ``cyto_full_data.csv``, or with a folder ``sachs`` that holds it. Otherwise the environment
        variable ``SCGIM_DATA_DIR`` is used, and without it the file (0.5 MB) is downloaded once.
    log
        Take natural logarithms, which suit the models here: raw intensities span 1 to 9910.

    Returns
    -------
    AnnData of 7466 cells x 11 proteins with

    `.X` : float32
        Log intensities if `log`, else raw ones.
    `.layers["raw"]` : float32
        Raw intensities.
    `.obs`
        ``condition``, ``condition_id`` (1 to 9), ``drug`` (``"none"`` in conditions 1 and 2), ``dose`` (one dose was
        measured: 1, and 0 without a drug), ``target`` (the intended one), ``effect`` and ``stimulation``.
    `.uns["consensus_edges"]` : :class:`~pandas.DataFrame`
        The 18 edges of the consensus graph of the literature, ``source`` and ``target``.

    Raises
    ------
    FileNotFoundError
        If `directory` does not hold the file.
    ValueError
        If the file is not the published one.
    ConnectionError
        If it cannot be downloaded; the message says what to do.

    Examples
    --------
    >>> adata = scgim.datasets.sachs()  # doctest: +SKIP
    >>> model = scgim.tl.fit(adata, perturbation_key="drug", control="none")  # doctest: +SKIP
    """
    import anndata

    table = pd.read_csv(fetch("sachs", FILE, URL, SHA256, directory))
    raw = table.to_numpy(np.float32)
    conditions = pd.DataFrame(CONDITIONS, columns=list(COLUMNS))
    row = np.repeat(np.arange(len(conditions)), conditions["n_cells"])
    if raw.shape != (len(row), len(PROTEINS)):
        raise ValueError(f"{FILE}: expected {len(row)} cells x {len(PROTEINS)} proteins, found {raw.shape}.")
    labels = {
        name: pd.Categorical(values.to_numpy()[row], categories=values.unique())
        for name, values in conditions.drop(columns="n_cells").items()
    }
    obs = pd.DataFrame(
        {
            "condition": labels.pop("condition"),
            "condition_id": row + 1,
            "drug": labels.pop("drug"),
            "dose": (conditions["drug"] != "none").to_numpy(float)[row],
            **labels,
        },
        index=[f"c{i}" for i in range(len(row))],
    )
    adata = anndata.AnnData(np.log(raw) if log else raw.copy(), obs=obs, var=pd.DataFrame(index=list(PROTEINS)))
    adata.layers["raw"] = raw
    adata.uns["consensus_edges"] = pd.DataFrame(
        list(CONSENSUS), columns=["source", "target"], index=[str(e) for e in range(len(CONSENSUS))]
    )
    return adata
