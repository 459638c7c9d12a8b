"""`scgim.pp.fingerprints`."""

import sys

import numpy as np
import pandas as pd
import pytest

from scgim.pp import fingerprints

pytest.importorskip("rdkit")

DRUGS = {"ethanol": "CCO", "(+/-)-drug": "OCC", "aspirin/β": "CC(=O)Oc1ccccc1C(=O)O"}


def test_the_same_molecule_has_the_same_row():
    """The way a SMILES is written does not matter; the order of the drugs is kept."""
    table = fingerprints(DRUGS, n_bits=256)
    assert list(table.index) == list(DRUGS)
    assert table.shape == (3, 256)
    assert table.to_numpy().dtype == np.float32
    np.testing.assert_array_equal(table.iloc[0], table.iloc[1])
    assert (table.iloc[0] != table.iloc[2]).any()
    pd.testing.assert_frame_equal(table, fingerprints(pd.Series(DRUGS), n_bits=256))


def test_bits_are_counts_that_occur():
    counts, bits = fingerprints(DRUGS, n_bits=256), fingerprints(DRUGS, n_bits=256, kind="bit")
    np.testing.assert_array_equal(bits, counts > 0)
    assert counts.to_numpy().max() > 1


def test_radius_zero_counts_atoms():
    """Three heavy atoms of ethanol: two carbons with different surroundings and an oxygen."""
    assert fingerprints({"ethanol": "CCO"}, radius=0, n_bits=2048).to_numpy().sum() == 3


def test_mirror_images_differ_only_with_chirality():
    mirror = {"l": "C[C@H](N)C(=O)O", "d": "C[C@@H](N)C(=O)O"}
    plain, chiral = fingerprints(mirror), fingerprints(mirror, chirality=True)
    assert (plain.loc["l"] == plain.loc["d"]).all()
    assert (chiral.loc["l"] != chiral.loc["d"]).any()


def test_bad_smiles_name_the_drug(capfd):
    """All bad ones are named at once, and RDKit's own messages do not appear."""
    with pytest.raises(ValueError, match=r"3 of 4.*'broken': 'C1CC'.*'nothing': ''.*'missing': nan"):
        fingerprints(pd.Series({"good": "C", "broken": "C1CC", "nothing": "", "missing": np.nan}))
    assert "SMILES" not in capfd.readouterr().err


def test_drugs_are_named_once():
    with pytest.raises(ValueError, match="'a'. occur more than once"):
        fingerprints(pd.Series(["C", "CC"], index=["a", "a"]))


def test_without_rdkit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit.Chem", None)
    with pytest.raises(ImportError, match=r"pip install .scgim\[chem\]"):
        fingerprints(DRUGS)


def test_all_188_real_drugs_have_fingerprints(shared_data):
    table = pd.read_csv(shared_data / "sciplex_drugs" / "sciplex3_drugs_targets_smiles.csv")
    prints = fingerprints(table.set_index("product_name")["SMILES"])
    assert prints.shape == (188, 1024)
    assert (prints.sum(axis=1) > 5).all()
