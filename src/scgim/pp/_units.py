"""Doses written as text, with or without a unit."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from scgim._checks import did_you_mean

MOLAR = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "nM": 1e-9, "pM": 1e-12, "fM": 1e-15}
MASS = {"g/mL": 1.0, "mg/mL": 1e-3, "ug/mL": 1e-6, "ng/mL": 1e-9, "pg/mL": 1e-12}
FAMILIES = (MOLAR, MASS)

_TEXT = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d].*?)?\s*$")

_COMMA = re.compile(r"^\s*[+-]?\d*,\d")


def standard(unit: str) -> str:
    """The spelling used here of a unit; a ValueError if it is unknown."""
    spelled = unit.strip().replace("µ", "u").replace("μ", "u")
    known = {name.lower(): name for family in FAMILIES for name in family if name not in ("M", "mM")}
    if spelled in ("M", "mM"):
        return spelled
    if spelled.lower() in known and spelled not in ("m",):
        return known[spelled.lower()]
    known_units = [name for family in FAMILIES for name in family]
    raise ValueError(
        f"unit: {unit!r} is not a unit known here; expected one of {known_units}{did_you_mean(unit, known_units)}."
    )


def convert(number: float, unit: str, into: str) -> float:
    """A number in `unit` in `into`: the decimal that is written with other units, so that 100 pM and 0.0001 uM are one dose."""
    for family in FAMILIES:
        if unit in family and into in family:
            return float(Decimal(repr(float(number))).scaleb(_power(family[unit]) - _power(family[into])))
    raise ValueError(
        f"unit: {unit!r} cannot be converted into {into!r} without molar masses; convert such doses first."
    )


def _power(size: float) -> int:
    """Exponent of a power of ten."""
    return int(f"{size:e}".split("e")[1])


def read(value: Any) -> tuple[float, str | None]:
    """Number and unit (None if there is none) of a dose; a ValueError if it cannot be read or is negative."""
    if isinstance(value, str):
        if _COMMA.match(value):
            raise ValueError(f"{value!r} has a comma; write a decimal point, and no separator of thousands.")
        found = _TEXT.match(value)
        if not found:
            raise ValueError(f"{value!r} is not a number, with or without a unit, as expected.")
        number, unit = float(found[1]), None if found[2] is None else standard(found[2])
    else:
        number, unit = float(value), None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{value!r} is not a finite dose of at least 0.")
    return number, unit
