"""`scgim.datasets.screen`: real screens that are read from a folder of the user's, with what is known of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scgim._checks import PATH, checked, one_of, or_none
from scgim.datasets._fetch import find

if TYPE_CHECKING:
    import anndata


@dataclass(frozen=True)
class Source:
    """Where a screen comes from."""

    folder: str  # folder that holds the one of the screen, in a collection of screens
    shape: tuple[int, int]  # cells and genes of the file
    columns: tuple[str, ...]  # columns of `.obs` that the file must have
    origin: str  # where it is published, and under which licence


SCREENS = {
    "gbm_panobinostat": Source(
        "",
        (5000, 300),
        ("patient_id", "drug"),
        "`glioblastoma_example_data` of the Bioconductor package lemur (MIT; Zhao et al., Genome Medicine 2021)",
    ),
    "tapseq_k562": Source(
        "known_targets",
        (18185, 72),
        ("drug", "guide", "target", "batch", "size_factor"),
        "example_data/Schraivogel of github.com/velten-group/crispat (MIT; Schraivogel et al., Nature Methods 2020)",
    ),
    "eccite_thp1": Source(
        "known_targets",
        (18632, 299),
        ("drug", "guide", "target", "batch"),
        "`lowmoi_example_data` of the R package sceptredata (MIT; Papalexi et al., Nature Genetics 2021)",
    ),
    "melanoma_rppa_doses": Source(
        "known_targets",
        (15170, 19),
        ("drug", "dose", "cell_line", "time_h", "target", "smiles"),
        "HMS LINCS dataset 20218 (Fallahi-Sichani et al., Molecular Systems Biology 2015)",
    ),
    "hepatocytes_inhibitors": Source(
        "known_targets",
        (368, 17),
        ("drug", "stimulus", "time", "cell_line", "target"),
        "cno/datasets/extra of github.com/cellnopt/cellnopt (BSD; Alexopoulos et al., Mol Cell Proteomics 2010)",
    ),
}


@checked(name=one_of(*SCREENS), directory=or_none(PATH))
def screen(
    name: Literal["gbm_panobinostat", "tapseq_k562", "eccite_thp1", "melanoma_rppa_doses", "hepatocytes_inhibitors"],
    *,
    directory: str | os.PathLike[str] | None = None,
) -> anndata.AnnData:
    """Real screens of the tutorials and benchmarks, from a file that is at hand.

    These files are not downloaded: they are small tables that were made from what the authors published, which comes in other
    formats. Shape and columns are compared with the file that the tutorials were made from.

    ``"gbm_panobinostat"`` : 5000 cells x 300 genes, counts
        Slices of glioblastomas of five patients under panobinostat or without a drug :cite:p:`zhao2021`.
    ``"tapseq_k562"`` : 18185 cells x 72 genes, counts
        CRISPR interference at promoters and enhancers; the genes of all 14 elements are measured :cite:p:`schraivogel2020`.
    ``"eccite_thp1"`` : 18632 cells x 299 genes, counts
        CRISPR knock-outs in stimulated cells; nine of 25 knocked-out genes are measured :cite:p:`papalexi2021`.
    ``"melanoma_rppa_doses"`` : 15170 wells x 19 proteins, log2 ratios
        RAF and MEK inhibitors at seven doses and five times in nine lines :cite:p:`fallahi2015`.
    ``"hepatocytes_inhibitors"`` : 368 wells x 17 phosphorylated proteins, intensities
        Seven kinase inhibitors under eleven stimuli :cite:p:`alexopoulos2010`.

    Parameters
    ----------
    name
        One of these.
    directory
        Folder with the file ``NAME.h5ad``, or with a folder ``NAME`` that holds it. Otherwise the environment variable
        ``SCGIM_DATA_DIR`` is used.

    Returns
    -------
    AnnData as it is in the file. `.obs` names the drug and, but for the glioblastomas, its intended ``target`` (several are
    separated by a bar).

    Raises
    ------
    FileNotFoundError
        If the file is not there; the message says where the data are published.
    ValueError
        If the file has another shape or lacks columns.

    Examples
    --------
    >>> adata = scgim.datasets.screen("tapseq_k562")  # doctest: +SKIP
    """
    import anndata

    source = SCREENS[name]
    path = find("/".join(part for part in (source.folder, name) if part), f"{name}.h5ad", directory)
    if path is None:
        place = "SCGIM_DATA_DIR" if directory is None else f"directory={os.fspath(directory)!r}"
        raise FileNotFoundError(
            f"name: {place} does not hold {name}.h5ad, nor a folder {name} with it. Make it from {source.origin}, and name "
            "its folder in `directory` or in the environment variable SCGIM_DATA_DIR."
        )
    adata = anndata.read_h5ad(path)
    absent = [column for column in source.columns if column not in adata.obs]
    if adata.shape != source.shape or absent:
        raise ValueError(
            f"{path}: expected {source.shape[0]} x {source.shape[1]} values and the columns {list(source.columns)}, found "
            f"{adata.shape[0]} x {adata.shape[1]} without {absent}. Make it again from {source.origin}."
        )
    return adata
