"""`scgim.pp.fingerprints`: chemical structures as features of drugs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from scgim._checks import FLAG, checked, count, one_of

LARGEST_RADIUS = 20
"""In bonds: more than that describe whole molecules, and RDKit has a limit."""
MOST_BITS = 2**24
"""Columns: 64 MB a drug."""


@checked(kind=one_of("count", "bit"), radius=count(0, LARGEST_RADIUS), n_bits=count(1, MOST_BITS), chirality=FLAG)
def fingerprints(
    smiles: pd.Series | Mapping[str, str],
    *,
    kind: Literal["count", "bit"] = "count",
    radius: int = 2,
    n_bits: int = 1024,
    chirality: bool = False,
) -> pd.DataFrame:
    """Morgan fingerprints of drugs from their SMILES, to be used as features.

    Needs RDKit (extra ``chem``). New drugs get the same columns from a later call with the same arguments.

    Parameters
    ----------
    smiles
        SMILES by drug: a Series whose index holds the drugs, or a mapping.
    kind
        How often each substructure occurs, or whether it does.
    radius
        Radius of the substructures in bonds; 2 is known as ECFP4.
    n_bits
        Number of columns Q into which substructures are hashed.
    chirality
        Tell mirror images apart.

    Returns
    -------
    Table of drugs x `n_bits`, float32. Store it in ``adata.uns["features"]`` and pass ``features_key="features"``.

    Raises
    ------
    ImportError
        If RDKit is not installed.
    TypeError
        If `smiles` is neither a Series nor a mapping.
    ValueError
        If a drug occurs twice, or its SMILES is missing or cannot be read; the message names the drugs.

    Examples
    --------
    >>> table = scgim.pp.fingerprints({"aspirin": "CC(=O)Oc1ccccc1C(=O)O"}, n_bits=64)
    >>> table.shape
    (1, 64)
    """
    generator = _generator(radius, n_bits, chirality=chirality)
    drugs, values = _unpack(smiles)
    rows, bad = [], []
    for drug, text in zip(drugs, values, strict=True):
        molecule = _molecule(text)
        if molecule is None:
            bad.append(f"{drug!r}: {text!r}")
            continue
        count = kind == "count"
        rows.append(
            generator.GetCountFingerprintAsNumPy(molecule) if count else generator.GetFingerprintAsNumPy(molecule)
        )
    if bad:
        shown = "; ".join(bad[:10]) + (f"; and {len(bad) - 10} more" if len(bad) > 10 else "")
        raise ValueError(f"smiles: {len(bad)} of {len(drugs)} cannot be read: {shown}. Correct them or drop the drugs.")
    table = np.array(rows, dtype=np.float32).reshape(len(drugs), n_bits)
    return pd.DataFrame(table, index=pd.Index(drugs), columns=[f"morgan_{q}" for q in range(n_bits)])


def _unpack(smiles: pd.Series | Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """Drugs and their SMILES."""
    if not isinstance(smiles, pd.Series | Mapping):
        raise TypeError(
            "smiles: expected a pandas Series with drugs as index, or a mapping from drug to SMILES, "
            f"found {type(smiles).__name__}."
        )
    series = smiles if isinstance(smiles, pd.Series) else pd.Series(dict(smiles), dtype=object)
    drugs = [str(drug) for drug in series.index]
    twice = sorted({drug for drug in drugs if drugs.count(drug) > 1})
    if twice:
        raise ValueError(f"smiles: {twice[:10]} occur more than once in the index. Keep one row a drug.")
    return drugs, series.tolist()


def _generator(radius: int, n_bits: int, *, chirality: bool) -> Any:
    """RDKit's Morgan generator."""
    try:
        from rdkit.Chem import rdFingerprintGenerator
    except ImportError as error:
        raise ImportError('fingerprints needs RDKit: pip install "scgim[chem]"') from error
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=n_bits, includeChirality=bool(chirality))


def _molecule(text: Any) -> Any:
    """The molecule of a SMILES, or None if it cannot be read; RDKit's own messages are held back."""
    from rdkit import Chem, rdBase

    if not isinstance(text, str) or not text.strip():
        return None
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text.strip())
