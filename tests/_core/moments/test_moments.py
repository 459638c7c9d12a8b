import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scgim._core.mechanisms import MECHANISMS
from scgim._core.moments.moments import Frame, Sums, chunk_sums, compute_moments, finish, location_scale

N, G, K = 240, 4, 6
BLOCK = np.array([0, 1, 1, 2, 2, 2])
NAMES = ("n", "mean", "within", "loc", "scale", "slope", "square")


def cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    context = rng.integers(0, K, N)
    x = rng.normal(size=(N, G)) @ rng.normal(size=(G, G)) + 3 * rng.normal(size=(K, G))[context] + 50.0
    return np.where(rng.random((N, G)) < 0.2, 0.0, x), context


def direct(x: np.ndarray, context: np.ndarray, mechanism: str) -> dict[str, np.ndarray]:
    """The definitions, context by context."""
    loc, scale = x.mean(axis=0), x.std(axis=0)
    z = (x - loc) / scale
    f = MECHANISMS[mechanism].functions(z)
    flat = f.reshape(len(x), -1)
    scatter = [np.cov(flat[context == k].T, bias=True) * (context == k).sum() for k in range(K)]
    return {
        "n": np.bincount(context, minlength=K),
        "mean": np.stack([f[context == k].mean(axis=0) for k in range(K)]),
        "within": sum(scatter) / (len(x) - K),
        "loc": loc,
        "scale": scale,
        "square": np.stack([((z[context == k] - z[context == k].mean(axis=0)) ** 2).sum(axis=0) for k in range(K)]),
        "slope": MECHANISMS[mechanism].derivatives(z).mean(axis=0),
        "scatter": np.stack([sum(scatter[k] for k in np.flatnonzero(BLOCK == u)) for u in range(3)]),
    }


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    assert np.shape(found) == np.shape(expected)
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def assert_same(a, b, tolerance: float = 1e-10) -> None:
    for name in NAMES:
        assert_close(getattr(a, name), getattr(b, name), tolerance)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("form", ["dense", "float32", "csr", "csc"])
def test_equal_to_the_definitions(mechanism, form):
    x, context = cells()
    x = x.astype(np.float32)
    given_ = {"dense": x.astype(float), "float32": x, "csr": sparse.csr_matrix(x), "csc": sparse.csc_matrix(x)}[form]
    parts = [(given_[i : i + 50], context[i : i + 50]) for i in range(0, N, 50)]
    moments = compute_moments(lambda: iter(parts), K, mechanism=MECHANISMS[mechanism], pool=BLOCK)
    expected = direct(x.astype(float), context, mechanism)
    for name, value in expected.items():
        assert_close(getattr(moments, name), value)
    assert moments.n_genes == G
    assert moments.n_functions == MECHANISMS[mechanism].n_functions


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, N), max_size=8),
    order=st.randoms(use_true_random=False),
    mechanism=st.sampled_from(["linear", "additive"]),
    blocks=st.booleans(),
)
def test_any_partition_in_any_order_gives_the_same(cuts, order, mechanism, blocks):
    x, context = cells()
    edges = sorted({0, *cuts, N})
    parts = [(x[a:b], context[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    order.shuffle(parts)
    block = BLOCK if blocks else None
    whole = compute_moments(lambda: iter([(x, context)]), K, mechanism=MECHANISMS[mechanism], pool=block)
    moments = compute_moments(lambda: iter(parts), K, mechanism=MECHANISMS[mechanism], pool=block)
    assert_same(moments, whole)
    if blocks:
        assert_close(moments.scatter, whole.scatter)
        assert_close(moments.scatter.sum(axis=0) / (N - K), whole.within)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, N - 1), far=st.floats(-1e3, 1e3))
def test_merged_parts_and_any_origin_give_the_same(cut, far):
    x, context = cells()
    frame = Frame(MECHANISMS["linear"], x[0] + far, np.ones(G))
    whole = compute_moments(lambda: iter([(x, context)]), K)
    for parts in ((slice(0, cut), slice(cut, N)), (slice(cut, N), slice(0, cut))):
        total = Sums.zeros(K, G)
        for rows in parts:
            total.add(chunk_sums(x[rows], context[rows], frame))
        assert_same(finish(total, frame), whole, 1e-8)


@pytest.mark.parametrize(("mechanism", "passes"), [("linear", 1), ("additive", 2)])
def test_linear_moments_take_one_pass_and_additive_ones_two(mechanism, passes):
    x, context = cells()
    calls = []

    def chunks():
        calls.append(0)
        yield x, context

    compute_moments(chunks, K, mechanism=MECHANISMS[mechanism])
    assert len(calls) == passes


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_known_standardisation_is_used(mechanism):
    x, context = cells()
    loc, scale = np.full(G, 45.0), np.linspace(1, 3, G)
    moments = compute_moments(lambda: iter([(x, context)]), K, mechanism=MECHANISMS[mechanism], loc=loc, scale=scale)
    f = MECHANISMS[mechanism].functions((x - loc) / scale)
    assert_close(moments.mean[2], f[context == 2].mean(axis=0))
    np.testing.assert_array_equal(moments.loc, loc)


def test_large_offsets_lose_no_digits():
    x, context = cells()
    near = compute_moments(lambda: iter([(x, context)]), K)
    far = compute_moments(lambda: iter([(x[:100] + 2.0**26, context[:100]), (x[100:] + 2.0**26, context[100:])]), K)
    assert_close(far.within, near.within, 1e-7)
    assert_close(far.scale, near.scale, 1e-7)


def test_constant_gene_keeps_scale_one_and_empty_context_mean_zero():
    x, context = cells()
    x[:, 1] = 0.1
    moments = compute_moments(lambda: iter([(x[:70], context[:70]), (x[70:], context[70:])]), K + 1)
    assert moments.scale[1] == 1.0
    np.testing.assert_allclose(moments.within[1], 0, atol=1e-20)
    np.testing.assert_array_equal(moments.mean[K], 0)


def test_no_cells_are_refused():
    with pytest.raises(ValueError, match="chunks: expected at least one"):
        compute_moments(lambda: iter([]), K)


@pytest.mark.parametrize("pooled", [False, True])
def test_location_and_scale_are_those_of_all_cells(rng, pooled):
    x, context = rng.normal(2.0, 3.0, (50, 3)), np.arange(50) % 2
    x[:, 1] *= 10
    linear = MECHANISMS["linear"]
    frame = Frame(linear, x.mean(axis=0) + 1, np.ones(3))
    total = chunk_sums(x, context, frame, np.array([0, 1]) if pooled else None)
    loc, scale = location_scale(total, frame)
    np.testing.assert_allclose(loc, x.mean(axis=0))
    np.testing.assert_allclose(scale, x.std(axis=0))
    frame = Frame(linear, x[0] - 1, np.ones(3))
    loc, scale = location_scale(chunk_sums(x[:1], context[:1], frame), frame)
    np.testing.assert_allclose(loc, x[0])
    assert not scale.any()


def test_a_spread_that_rounding_makes_is_none():
    """Digits of a double end at about 1e-16 of the origin: a hundred times that is rounding, and more than that is not."""
    sign = np.where(np.arange(40) % 2, 1.0, -1.0)[:, None]
    x = 1e6 + sign * [1e-9, 1e-7, 1.0]
    frame = Frame(MECHANISMS["linear"], np.full(3, 1e6), np.ones(3))
    scale = location_scale(chunk_sums(x, np.zeros(40, int), frame), frame)[1]
    assert scale[0] == 0
    np.testing.assert_allclose(scale[1:], [1e-7, 1.0], rtol=1e-2)


def test_genes_of_any_spread_are_standardised():
    x, context = cells()
    usual, small = (compute_moments(lambda u=u: iter([(u * x, context)]), K) for u in (1.0, 1e-4))
    np.testing.assert_allclose(small.scale, 1e-4 * x.std(axis=0))
    np.testing.assert_allclose(small.within, usual.within)


def test_one_pair_of_cells_tells_a_covariance():
    """Two cells of one context and one of another: half the products of their difference, with one degree of freedom."""
    x = np.array([[1.0, 2.0], [3.0, 7.0], [0.0, 1.0]])
    found = compute_moments(lambda: iter([(x, np.array([0, 0, 1]))]), 2)
    away = (x[1] - x[0]) / x.std(axis=0)
    np.testing.assert_allclose(found.within, np.outer(away, away) / 2)
