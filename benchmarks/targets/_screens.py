"""Eight real screens whose targets are known, as a user would prepare them; the traps of each are named where they are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import _real
import numpy as np

FEWEST_CELLS = 0.02  # share of cells in which a gene of eccite_thp1 must be seen


@dataclass
class Screen:
    """One data set.

    Parameters
    ----------
    adata
        Cells (or wells) x genes on the scale to be modelled.
    keys
        Columns, for `scgim.tl.fit`.
    truth
        Genes that count as the target of each drug; drugs whose target was not measured are absent.
    """

    adata: Any
    keys: dict[str, Any]
    truth: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def drug(self) -> np.ndarray:
        """Drug of each cell, (n,) of text."""
        return self.adata.obs[self.keys["perturbation_key"]].astype(str).to_numpy()

    @property
    def stratum(self) -> np.ndarray:
        """Batch of each cell, (n,) of text."""
        batch = self.keys.get("batch_key")
        return np.full(self.adata.n_obs, "") if batch is None else self.adata.obs[batch].astype(str).to_numpy()

    @property
    def context(self) -> np.ndarray:
        """Drug, dose and batch of each cell in one text, (n,)."""
        columns = [self.keys[name] for name in ("perturbation_key", "dose_key", "batch_key") if name in self.keys]
        return self.adata.obs[columns].astype(str).agg("|".join, axis=1).to_numpy()

    @property
    def expression(self) -> np.ndarray:
        """(n, G)."""
        x = self.adata.X
        return np.asarray(x.toarray() if hasattr(x, "toarray") else x, float)


def read(name: str):
    import anndata

    return anndata.read_h5ad(_real.data_file(f"known_targets/{name}", f"{name}.h5ad"))


def _screen(adata, *, control: str = "control", **more: Any) -> Screen:
    """Targets from ``obs``, several separated by a bar; what is no gene of the object was not measured."""
    keys = {"perturbation_key": "drug", "control": control, **more}
    table = adata.obs[["drug", "target"]].astype(str).drop_duplicates("drug").set_index("drug")["target"].drop(control)
    genes = set(adata.var_names)
    listed = {drug: tuple(gene for gene in names.split("|") if gene in genes) for drug, names in table.items()}
    adata.obs["drug"] = adata.obs["drug"].astype(str).astype("category")
    return Screen(adata, keys, {drug: found for drug, found in listed.items() if found})


def tapseq_k562() -> Screen:
    """CRISPRi. Size factors leave out the five most abundant genes; HS2 acts on the whole globin locus."""
    adata = read("tapseq_k562")
    counts = np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X, float)
    adata.X = np.log1p(counts / adata.obs["size_factor"].to_numpy()[:, None]).astype(np.float32)
    screen = _screen(adata, batch_key="batch")
    screen.truth["HS2"] = ("HBE1", "HBB", "HBD")
    return screen


def eccite_thp1() -> Screen:
    """Knock-outs. Genes that hardly a cell has are cut; 16 of 25 targets were not measured."""
    adata = read("eccite_thp1")
    counts = np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X, float)
    size = counts.sum(1, keepdims=True) / np.median(counts.sum(1))
    adata.X = np.log1p(counts / size).astype(np.float32)
    return _screen(adata[:, (counts > 0).mean(0) >= FEWEST_CELLS].copy(), batch_key="batch")


def causal_chamber_lt() -> Screen:
    """A physical system. Scales differ by orders of magnitude, so the controls are the unit."""
    adata = read("causal_chamber_lt")
    x, control = np.asarray(adata.X, float), (adata.obs["drug"] == "control").to_numpy()
    adata.X = ((x - x[control].mean(0)) / x[control].std(0)).astype(np.float32)
    return _screen(adata)


def erbb_rnai_rppa() -> Screen:
    """RNAi in wells, before and after EGF; double knock-downs have two targets."""
    return _screen(read("erbb_rnai_rppa"), batch_key="egf")


def melanoma_rppa_doses() -> Screen:
    """RAF and MEK inhibitors at seven doses; one hour only, as later the cells' answers are as large as the direct effects."""
    adata = read("melanoma_rppa_doses")
    return _screen(adata[adata.obs["time_h"] == 1].copy(), dose_key="dose", batch_key="cell_line")


def hepatocytes_inhibitors() -> Screen:
    """Kinase inhibitors, one well a condition: wells are centred by line, stimulus and time, and are then the replicates; the line is the batch."""
    adata = read("hepatocytes_inhibitors")
    adata.X = np.asarray(adata.layers["context_centred"], np.float32)
    return _screen(adata, batch_key="cell_line")


def bodenmiller_stim() -> Screen:
    """Stimulated blood cells; where one enters depends on the cell type, and is labelled for B cells (igm+) alone."""
    adata = read("bodenmiller_stim")
    return _screen(adata[adata.obs["cell_type"] == "igm+"].copy())


def sachs() -> Screen:
    """Signalling in T cells, logarithms; both conditions without a drug are controls."""
    import scgim

    adata = scgim.datasets.sachs(directory=_real.data_file("sachs", "cyto_full_data.csv").parent)
    return _screen(adata, control="none")


SCREENS: dict[str, Callable[[], Screen]] = {
    "tapseq_k562": tapseq_k562,
    "eccite_thp1": eccite_thp1,
    "causal_chamber_lt": causal_chamber_lt,
    "erbb_rnai_rppa": erbb_rnai_rppa,
    "melanoma_rppa_doses": melanoma_rppa_doses,
    "hepatocytes_inhibitors": hepatocytes_inhibitors,
    "bodenmiller_stim": bodenmiller_stim,
    "sachs": sachs,
}
