"""Genes that no training drug hits, from drugs without cells."""

from types import SimpleNamespace

import numpy as np
import pytest

from scgim._core.features import FeatureModel
from scgim._core.features.rows import Rows
from scgim._core.features.unseen import learn_unseen
from scgim._core.posterior.curves import DoseCurves


@pytest.fixture(scope="module")
def unseen(world):
    """Drugs none of which hits one gene, features of others of which some do, and maps without and with these."""
    w = world(n_features=12, n_new=16, n_drugs=36)
    w.gene = int((w.new_effect != 0).sum(axis=0).argmax())
    kept = np.flatnonzero(w.known[:, w.gene] == 0)
    effects, table = w.fit.of_drug[kept], w.design.dose[:, kept]
    curves = DoseCurves.known(np.full(len(kept), 0.75), np.full(len(kept), 4.0), 10)
    fit = SimpleNamespace(of_drug=effects, acting=effects, curves=curves)
    design = SimpleNamespace(dose=table[(table.sum(1) > 0) | (np.arange(len(table)) == 0)], has_dose=True)
    features = w.new_features[::3]
    w.gone, w.asked, w.rows = fit, design, w.features[kept]
    models = [FeatureModel.fit(fit, design, w.rows, others=others, rng=1) for others in (None, features)]
    return w, features, models


def test_drugs_without_cells_tell_the_targets_beside_an_unseen_gene(unseen):
    w, features, models = unseen
    hit = w.new_effect[:, w.gene] != 0
    assert hit.sum() >= 3
    alone, told = (model.decode_drugs(features)[0] for model in models)
    assert (told.probability[hit, w.gene] > 0.9).all()
    wrong = [np.abs(e.expected - w.new_effect)[hit][:, np.arange(10) != w.gene].sum() for e in (alone, told)]
    assert wrong[1] < 0.3 * wrong[0]
    np.testing.assert_allclose(told.expected[~hit], w.new_effect[~hit], atol=0.5)


def test_neither_sign_nor_name_of_what_is_unseen_is_made_up(unseen):
    """An effect on it goes either way, unless the usual effects go one way."""
    w, features, models = unseen
    found = models[1].decode_drugs(features)[0]
    hit = w.new_effect[:, w.gene] != 0
    assert (np.abs(found.mean[hit, w.gene]) < 0.5 * found.sd[hit, w.gene]).all()
    assert models[1].backward.nameless.tolist() == [w.gene]


def test_features_that_share_nothing_leave_the_map_as_it_is(unseen, rng):
    w, _, (model, _) = unseen
    values = 3 * rng.normal(size=(16, model.backward.blocks[0].weights.shape[1]))
    rows = [Rows(values, np.arange(16), np.ones(16), np.ones(16))]
    targets = np.ones((1, 10)) * (np.arange(10) != w.gene)
    assert learn_unseen(model.backward, rows, 16, targets, model.prior) is model.backward


def test_more_genes_than_can_be_told_or_one_drug_leave_the_map_as_it_is(unseen):
    w, _, (model, _) = unseen
    rows = [Rows(np.ones((2, model.backward.blocks[0].weights.shape[1])), np.arange(2), np.ones(2), np.ones(2))]
    targets = np.ones((1, 10)) * (np.arange(10) != w.gene)
    assert learn_unseen(model.backward, rows, 1, targets, model.prior) is model.backward
    assert learn_unseen(model.backward, rows, 2, 0 * targets, model.prior) is model.backward


def test_neither_order_nor_copies_of_drugs_without_cells_count(unseen):
    w, features, (_, model) = unseen
    again = FeatureModel.fit(w.gone, w.asked, w.rows, others=np.vstack([features[::-1], features]), rng=1)
    assert again.backward.sign == model.backward.sign
    np.testing.assert_array_equal(again.backward.blocks[0].weights, model.backward.blocks[0].weights)
