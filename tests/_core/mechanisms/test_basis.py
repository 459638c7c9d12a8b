import numpy as np
import pytest

from scgim._core.mechanisms import basis


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_derivative_is_that_of_the_functions(mechanism, rng):
    z, step = rng.normal(size=(7, 3)), 1e-6
    numeric = (basis.evaluate(z + step, mechanism) - basis.evaluate(z - step, mechanism)) / (2 * step)
    np.testing.assert_allclose(basis.derivative(z, mechanism), numeric, atol=1e-8)
    assert numeric.shape == (7, 3, basis.N_FUNCTIONS[mechanism])


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_first_function_is_the_gene_itself(mechanism, rng):
    z = rng.normal(size=(7, 3))
    np.testing.assert_array_equal(basis.evaluate(z, mechanism)[..., 0], z)


def test_unknown_mechanism_is_named():
    with pytest.raises(ValueError, match="mechanism: .*'cubic'"):
        basis.evaluate(np.zeros((1, 1)), "cubic")
