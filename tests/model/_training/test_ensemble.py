"""Moments drawn again for a bootstrap."""

import numpy as np

from scgim._core.moments.moments import compute_moments
from scgim.model._training.ensemble import resample


def test_samples_of_moments_redraw_the_scatter_of_each_context():
    """Means over many samples are the moments, and the spread of a mean is that of its own context's cells."""
    rng = np.random.default_rng(0)
    context = np.repeat([0, 1], [400, 100])
    x = rng.normal(size=(500, 2)) * np.array([[1.0, 2.0], [3.0, 0.5]])[context]
    moments = compute_moments(lambda: iter([(x, context)]), 2, pool=np.array([0, 1]))
    samples = [resample(moments, rng) for _ in range(2000)]
    freedom = np.array([399, 99])[:, None, None]
    own = moments.scatter / freedom  # (2, G, G) covariance of each context
    scatter = np.stack([s.scatter for s in samples]) / freedom
    np.testing.assert_allclose(scatter.mean(axis=0), own, rtol=0.03, atol=0.02)
    diagonal = np.einsum("skgg->skg", scatter)
    np.testing.assert_allclose(
        diagonal.var(axis=0), 2 * np.einsum("kgg->kg", own) ** 2 / freedom[:, 0], rtol=0.15
    )  # of a Wishart matrix
    spread = np.stack([s.mean[:, :, 0] for s in samples]).var(axis=0)
    np.testing.assert_allclose(spread, np.einsum("kgg->kg", own) / moments.n[:, None], rtol=0.15)
    for sample in samples[:3]:
        np.testing.assert_allclose(sample.within, sample.scatter.sum(axis=0) / freedom.sum())
