import matplotlib.pyplot as plt
import numpy as np

from scgim.pl._drawing.labels import beside, column


def test_heights_that_are_apart_stay_where_they_are():
    wanted = np.array([0.9, 0.5, 0.1])
    np.testing.assert_array_equal(column(wanted, 0.1, 0.0, 1.0), wanted)


def test_heights_keep_their_distance_and_stay_inside(rng):
    wanted = np.sort(0.1 * rng.random(9))[::-1]
    at = column(wanted, 0.1, 0.0, 1.0)
    assert (np.diff(at) <= -0.1 + 1e-12).all()
    assert at.min() >= 0 and at.max() <= 1


def test_names_stand_on_the_side_of_their_points():
    _, ax = plt.subplots()
    x, y = np.array([-1.0, 1.0, 2.0]), np.zeros(3)
    ax.scatter(x, y)
    beside(ax, x, y, ["left", "right", "$far$"])
    assert {(t.get_text(), t.get_ha()) for t in ax.texts} == {
        ("left", "left"),
        ("right", "right"),
        (r"\$far\$", "right"),
    }
    low, high = ax.get_ylim()
    assert all(low < t.get_position()[1] < high for t in ax.texts)
