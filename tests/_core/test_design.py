import numpy as np

from scgim._core.design import Design

DESIGN = Design(
    ("a", "b", "c"),
    np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 3, 0], [0, 0, 0], [2, 1, 0]], dtype=float),
    np.array([0, 0, 0, 0, 0, 1, 1]),
    ("x", "y"),
    np.array([9, 5, 5, 5, 5, 8, 5]),
)


def test_control_contexts_hold_no_drug():
    np.testing.assert_array_equal(DESIGN.control, [1, 0, 0, 0, 0, 1, 0])


def test_doses_of_one_drug_or_combination_share_a_unit():
    unit = DESIGN.unit
    np.testing.assert_array_equal(unit[DESIGN.control], -1)
    assert unit[1] == unit[2]
    assert unit[4] == unit[6]
    assert len({int(unit[k]) for k in (1, 3, 4)}) == 3
    assert sorted(set(unit.tolist())) == [-1, 0, 1, 2]


def test_round_trip():
    again = Design.from_dict(DESIGN.to_dict())
    assert (again.drugs, again.group_names, again.has_dose) == (DESIGN.drugs, DESIGN.group_names, True)
    for name in ("dose", "group", "n_cells", "unit"):
        np.testing.assert_array_equal(getattr(again, name), getattr(DESIGN, name))
