"""`scgim.pp.encode_doses`."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgim.pp import encode_doses
from scgim.pp._units import FAMILIES, convert, read


def make(doses, drugs=None):
    obs = pd.DataFrame({"dose": pd.Series(doses, dtype=object)})
    if drugs is not None:
        obs["drug"] = drugs
    obs.index = obs.index.astype(str)
    return anndata.AnnData(np.zeros((len(obs), 1)), obs=obs)


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (["10 nM", "1 µM", "0.5uM", "0"], "nM", [10, 1000, 500, 0]),
        (["1 μM", "2 UM"], None, [1, 2]),
        (["1e-3 mM", ".5 M"], "uM", [1, 500000]),
        (["10 ng/ml", "1 ug/mL"], "ng/mL", [10, 1000]),
        (["10", "2.5"], None, [10, 2.5]),
        ([10, 2.5], "nM", [10, 2.5]),
    ],
)
def test_doses_are_read_in_any_unit(values, unit, expected):
    adata = make(values)
    assert encode_doses(adata, "dose", unit=unit) is None
    np.testing.assert_array_equal(adata.obs["dose"], expected)
    assert adata.obs["dose"].dtype == float


def test_unit_is_recorded():
    adata = make(["1 µM", "2 µM"])
    encode_doses(adata, "dose", key_added="amount")
    assert adata.uns["amount_unit"] == "uM"
    assert list(adata.obs["dose"]) == ["1 µM", "2 µM"]


def test_controls_get_zero():
    adata = make(["DMSO", np.nan, "5 nM"], ["control", "control", "A"])
    encode_doses(adata, "dose", perturbation_key="drug")
    assert list(adata.obs["dose"]) == [0, 0, 5]


def test_copy_leaves_the_original():
    adata = make(["1 nM"])
    other = encode_doses(adata, "dose", copy=True)
    assert list(adata.obs["dose"]) == ["1 nM"]
    assert list(other.obs["dose"]) == [1]


def test_categorical_columns_are_read():
    adata = make(["1 nM", "20 nM"])
    adata.obs["dose"] = adata.obs["dose"].astype("category")
    encode_doses(adata, "dose")
    assert list(adata.obs["dose"]) == [1, 20]


@pytest.mark.parametrize(
    ("values", "kwargs", "message"),
    [
        (["1 nM", "1 uM"], {}, "mixes the units"),
        (["1 nM", "1"], {"unit": "nM"}, "with and without a unit"),
        (["1 nM", "1 ng/mL"], {"unit": "nM"}, "^unit: .*cannot be converted"),
        (["1 parsec"], {}, "'parsec' is not a unit"),
        (["much"], {}, "'much' is not a number"),
        (["1+10"], {}, "not a number|not a unit"),
        (["-1 nM"], {}, "at least 0"),
        ([-1.0], {}, "at least 0"),
        ([np.nan], {}, "1 cells have no dose"),
        (["1 nM"], {"unit": "furlong"}, "'furlong'"),
    ],
)
def test_wrong_values_are_named_and_nothing_is_written(values, kwargs, message):
    adata = make(values)
    before = list(adata.obs["dose"])
    with pytest.raises(ValueError, match=message):
        encode_doses(adata, "dose", **kwargs)
    assert str(before) == str(list(adata.obs["dose"]))


def test_wrong_columns_are_named():
    with pytest.raises(KeyError, match="dose_key='amount'"):
        encode_doses(make(["1"]), "amount")
    with pytest.raises(ValueError, match="control='DMSO' does not occur"):
        encode_doses(make(["1"], ["A"]), "dose", perturbation_key="drug", control="DMSO")
    with pytest.raises(ValueError, match="view"):
        encode_doses(make(["1", "2"])[:1], "dose")


@settings(max_examples=100, deadline=None)
@given(
    number=st.floats(0, 1e9, allow_nan=False),
    units=st.sampled_from(FAMILIES).flatmap(lambda f: st.tuples(*[st.sampled_from(sorted(f))] * 2)),
    blank=st.sampled_from(["", " ", "  "]),
)
def test_reading_and_converting_round_trips(number, units, blank):
    """Any written dose is read back, and there and back between units is the identity."""
    first, second = units
    value, unit = read(f" {number!r}{blank}{first} ")
    assert (value, unit) == (number, first)
    assert convert(convert(value, first, second), second, first) == pytest.approx(value)


@pytest.mark.parametrize("number", [*range(1, 100), 0.1, 0.3, 1.5, 2.5])
def test_one_dose_in_two_units_is_one_number(number):
    """100 pM * 1e-6 is not 0.0001 in floating point; two contexts would be made of it."""
    adata = make([f"{number} pM", f"{number}e-3 nM", f"{number}e-6 uM", f"{number}e-12 M"])
    encode_doses(adata, "dose", unit="uM")
    assert adata.obs["dose"].tolist() == [float(f"{number}e-6")] * 4


def test_a_comma_is_named():
    with pytest.raises(ValueError, match="'10,5 uM' has a comma; write a decimal point"):
        encode_doses(make(["10,5 uM"]), "dose")
