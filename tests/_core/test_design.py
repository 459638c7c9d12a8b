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


def test_doses_of_one_drug_or_combination_share_a_drug_set():
    drug_set = DESIGN.drug_set
    np.testing.assert_array_equal(drug_set[DESIGN.control], -1)
    assert drug_set[1] == drug_set[2]
    assert drug_set[4] == drug_set[6]
    assert len({int(drug_set[k]) for k in (1, 3, 4)}) == 3
    assert sorted(set(drug_set.tolist())) == [-1, 0, 1, 2]


def test_design_survives_its_dict():
    again = Design.from_dict(DESIGN.to_dict())
    assert (again.drugs, again.group_names, again.has_dose) == (DESIGN.drugs, DESIGN.group_names, True)
    for name in ("dose", "group", "n_cells", "drug_set"):
        np.testing.assert_array_equal(getattr(again, name), getattr(DESIGN, name))


def test_contexts_of_a_drug_and_what_is_known_of_it():
    np.testing.assert_array_equal(DESIGN.of(0), [1, 2, 4, 6])
    np.testing.assert_array_equal(DESIGN.alone(0), [1, 2])
    for d in range(3):
        np.testing.assert_array_equal(DESIGN.purest(d), DESIGN.alone(d) if len(DESIGN.alone(d)) else DESIGN.of(d))
    assert DESIGN.combined
    assert (DESIGN.n_drug_sets, DESIGN.n_levels) == (3, 1)
    values = np.arange(3.0)[:, None]
    by_context = DESIGN.by_context(values, -9.0)[:, 0]
    np.testing.assert_array_equal(by_context[DESIGN.control], -9.0)
    np.testing.assert_array_equal(by_context[~DESIGN.control], DESIGN.drug_set[~DESIGN.control])
    mean = DESIGN.mean_by_drug(values)[:, 0]
    assert mean[0] == DESIGN.drug_set[1]  # alone: its own, and not that of the combination
    assert mean[2] == 0.0  # never given


def test_drugs_that_no_context_tells_apart_are_not_identified():
    def identified(dose):
        K, D = np.shape(dose)
        return Design(tuple("abcd"[:D]), dose, np.zeros(K, int), ("x",), np.full(K, 5)).identified.tolist()

    assert DESIGN.identified.tolist() == [True, True, False]  # c was never given
    assert identified([[0, 0, 0], [1, 2, 0], [2, 1, 0], [0, 0, 1]]) == [False, False, True]
    assert identified([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) == [True, True, True]
    assert identified([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]]) == [True, True, True]
