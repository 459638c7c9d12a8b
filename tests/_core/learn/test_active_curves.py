"""What is not known of the dose curves of changes of activity."""

import numpy as np
import pytest

from scgim._core.learn import alternate
from scgim.datasets import simulate
from scgim.tl import fit

KEYS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "intervention": "activity"}


@pytest.mark.parametrize("known", [False, True])
def test_intervals_of_effects_hold_what_is_not_known_of_the_curve(monkeypatch, known):
    """At the lowest dose, where effects hang on the curve most; as they are asked for, they are those that were fitted."""
    if known:
        monkeypatch.setattr(alternate, "along_curves", lambda run, _: run.activity.found)
    size = {"n_genes": 8, "n_drugs": 10, "doses": (0.5, 1.0, 2.0), "new_doses": (), "n_new_drugs": 0}
    inside = []
    for seed in (401, 402, 403):
        adata = simulate(**size, n_control=800, n_cells=200, intervention="activity", rng=seed)
        truth = adata.uns.pop("truth")
        found = fit(adata, **KEYS, max_epochs=0, progress=False).fitted
        full = dict(zip(truth["drugs"], truth["drug_effect"], strict=True))
        full = np.stack([full[drug] for drug in found.drugs])
        low = np.stack([found.effect_of(found.kinds[0], d, np.array([0.5])).sd[0] for d in range(10)])
        rows = adata.uns["scgim"]["contexts"].reset_index(drop=True).query("dose == 0.5")
        at = rows.index[np.argsort([found.drugs.index(drug) for drug in rows["drug"]])]
        effect, target = found.of_context[at], (found.of_drug.probability > 0.5) & (full != 0)
        inside.append(np.abs(effect.mean - full / (1 + 1.5**4))[target] < 1.6449 * effect.sd[target])
        if not known:
            np.testing.assert_allclose(low[target], effect.sd[target], rtol=0.1)
    share = np.concatenate(inside).mean()
    assert share < 0.6 if known else share > 0.85
