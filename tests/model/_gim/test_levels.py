"""Effects that differ between levels of a covariate: simulated truth, requests, saving, bad input."""

import numpy as np
import pandas as pd
import pytest

import scgim
from scgim.datasets._simulator.truth import true_means
from scgim.model import GIM

COLUMNS = {
    "perturbation_key": "drug",
    "dose_key": "dose",
    "control": "control",
    "categorical_covariate_keys": ["cell_line"],
}
SMALL = {
    "n_genes": 6,
    "n_drugs": 6,
    "n_new_drugs": 0,
    "n_cell_lines": 3,
    "n_cells": 30,
    "n_control": 150,
    "n_test_cells": 5,
}


def simulate(sd: float, **kwargs):
    adata = scgim.datasets.simulate(**{**SMALL, "cell_line_effect_sd": sd, "features": "noise", "rng": 120, **kwargs})
    return adata


def train_part(adata, without: tuple[str, str] | None = None):
    """The training cells, without those of one drug in one line."""
    obs = adata.obs
    keep = (obs["split"] == "train").to_numpy()
    if without is not None:
        keep = keep & ~((obs["drug"] == without[0]) & (obs["cell_line"] == without[1])).to_numpy()
    return adata[keep].copy()


def fitted(adata, effects_by: str | None, **kwargs) -> GIM:
    adata = adata.copy()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, effects_by=effects_by, **kwargs)
    model.train(max_epochs=0)
    return model


def row(drug: str, dose: float, line: str | None = None) -> pd.DataFrame:
    table = pd.DataFrame({"drug": [drug], "dose": [dose]})
    return table if line is None else table.assign(cell_line=line)


def errors(model: GIM, truth: dict) -> tuple[float, float]:
    """Errors of mean expression at new doses, and of effects in fitted contexts."""
    contexts = truth["contexts"]
    new = contexts[contexts["split"] == "new_dose"]
    predicted = model.predict_mean(new[["drug", "dose", "cell_line"]].reset_index(drop=True)).to_numpy()
    mean = np.linalg.norm(predicted - true_means(truth, new.index.astype(int)), axis=1).mean()
    key = ["drug", "dose", "cell_line"]
    place = contexts[contexts["split"] == "train"].reset_index().set_index(key)["index"].astype(int)
    rows = place.loc[list(model.contexts[key].itertuples(index=False, name=None))].to_numpy()
    off = (model.fitted.of_context.mean - truth["effects"][rows])[truth["targets"][rows]]
    return float(mean), float(np.sqrt((off**2).mean()))


@pytest.fixture(scope="module")
def different():
    """Lines differ, and the first drug was not measured in the third line; with the shared and the separate fit."""
    adata = simulate(1.2)
    train = train_part(adata, ("drug_1", "line_3"))
    return adata.uns["truth"], train, fitted(train, None), fitted(train, "cell_line")


def test_effects_of_lines_are_recovered(different):
    truth, _, shared, model = different
    (mean, effect), (shared_mean, shared_effect) = errors(model, truth), errors(shared, truth)
    assert mean < 0.5 * shared_mean
    assert effect < 0.8 * shared_effect
    hit = truth["drug_effect"] != 0
    hit[0] = False
    off = model.fitted.kinds[0].at_level.mean.transpose(1, 0, 2) - truth["line_effect"]
    assert np.sqrt((off[:, hit] ** 2).mean()) < 0.3
    assert float(np.median(model.fitted.levels.between_sd)) == pytest.approx(1.2, rel=0.5)
    assert ((model.fitted.of_drug.probability > 0.5) == (truth["drug_effect"] != 0)).all()


def test_lines_without_differences_are_no_worse():
    adata = simulate(0.0)
    train = train_part(adata)
    (mean, effect), (shared_mean, shared_effect) = (
        errors(fitted(train, by), adata.uns["truth"]) for by in ("cell_line", None)
    )
    assert mean < 1.05 * shared_mean
    assert effect < 1.05 * shared_effect


def test_targets_of_contexts_and_of_rows_use_the_level(different):
    truth, _, _, model = different
    d = 1
    gene = int(np.flatnonzero(truth["drug_effect"][d])[0])
    table = model.get_targets().query("drug == 'drug_2' and dose == 2.0").set_index(["cell_line", "gene"])
    asked = pd.concat([row("drug_2", 1.8, f"line_{v + 1}") for v in range(3)], ignore_index=True)
    new = model.get_targets(asked).set_index(["cell_line", "gene"])
    fit, name, kind = model.fitted, model.genes[gene], model.fitted.kinds[0]
    for v in range(3):
        line = f"line_{v + 1}"
        effect, full = fit.effect_of(kind, d, np.array([1.8]), level=v), kind.at_level.mean[d, v, gene]
        assert new.loc[(line, name), "effect"] == pytest.approx(effect.mean[0, gene])
        assert new.loc[(line, name), "effect_sd"] == pytest.approx(effect.sd[0, gene])
        assert table.loc[(line, name), "effect"] / full == pytest.approx(effect.mean[0, gene] / full, rel=0.15)
    assert np.ptp(kind.at_level.mean[d, :, gene]) > 0.3


def test_unknown_levels_get_the_mean_known_less_well(different):
    truth, _, _, model = different
    fit, gene = model.fitted, int(np.flatnonzero(truth["drug_effect"][0])[0])
    name = model.genes[gene]

    def asked(table: pd.DataFrame) -> tuple[float, float]:
        found = model.get_targets(table).set_index("gene").loc[name]
        return float(found["effect"]), float(found["effect_sd"])

    absent, known, unknown = (asked(row("drug_1", 1.8, v)) for v in ("line_3", "line_1", None))
    effect = fit.effect_of(fit.kinds[0], 0, np.array([1.8]))
    assert absent == pytest.approx((effect.mean[0, gene], effect.sd[0, gene]))
    assert unknown == pytest.approx(absent)
    assert absent[1] > 3 * known[1]
    measured = asked(row("drug_1", 2.0)), asked(row("drug_1", 2.0, "line_3"))  # the dose was measured in other lines
    assert measured[0] == pytest.approx(measured[1])
    assert measured[0][1] > 3 * asked(row("drug_1", 2.0, "line_1"))[1]
    cells = model.predict(row("drug_1", 1.8, "line_3"), n_cells=400)
    narrow = model.predict(row("drug_1", 1.8, "line_1"), n_cells=400)
    assert np.asarray(cells.X)[:, gene].std() > np.asarray(narrow.X)[:, gene].std()


def test_saved_models_predict_the_same(different, tmp_path):
    _, train, _, model = different
    model.save(str(tmp_path / "model"))
    asked = pd.concat([row("drug_2", 1.8, "line_2"), row("drug_1", 2.0, "line_3")], ignore_index=True)
    loaded = GIM.load(str(tmp_path / "model"), train.copy())
    assert loaded.settings["effects_by"] == "cell_line"
    pd.testing.assert_frame_equal(loaded.predict_mean(asked), model.predict_mean(asked))
    np.testing.assert_array_equal(loaded.design.level, model.design.level)


def test_fit_writes_the_setting(different):
    _, train, _, model = different
    adata = train.copy()
    other = scgim.tl.fit(adata, **COLUMNS, effects_by="cell_line", max_epochs=0)
    assert adata.uns["scgim"]["params"]["effects_by"] == "cell_line"
    np.testing.assert_allclose(other.fitted.levels.between_sd, model.fitted.levels.between_sd, rtol=0.05)
    assert len(adata.uns["scgim"]["targets"]) == (~model.design.control).sum() * len(model.genes)


def test_effects_by_batch_predict_better_where_hard_interventions_differ():
    adata = simulate(1.0, intervention="hard", n_cell_lines=2, n_drugs=4, rng=121)
    train = train_part(adata)
    train.obs = train.obs.rename(columns={"cell_line": "plate"})
    models = []
    for by in (None, "plate"):
        data = train.copy()
        GIM.setup_anndata(data, perturbation_key="drug", dose_key="dose", control="control", batch_key="plate")
        model = GIM(data, intervention="hard", effects_by=by)
        model.train(max_epochs=0)
        models.append(model)
    truth = adata.uns["truth"]
    new = truth["contexts"].query("split == 'new_dose'")
    asked = new[["drug", "dose"]].assign(plate=new["cell_line"]).reset_index(drop=True)
    means = true_means(truth, new.index.astype(int))
    shared, own = (np.linalg.norm(m.predict_mean(asked).to_numpy() - means, axis=1).mean() for m in models)
    assert own < shared


def test_second_stage_and_ensembles_keep_levels(different):
    truth, train, _, model = different
    data = train.copy()
    GIM.setup_anndata(data, **COLUMNS)
    other = GIM(data, effects_by="cell_line", n_ensemble=1)
    other.train(max_epochs=1)
    off = (other.fitted.kinds[0].at_level.mean - model.fitted.kinds[0].at_level.mean)[
        :, :, truth["drug_effect"].any(axis=0)
    ]
    assert other.fitted.kinds[0].at_level.mean.shape == (6, 3, 6)
    assert np.median(np.abs(off)) < 0.2
    assert other.settings["n_ensemble"] == 1


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"effects_by": ["cell_line"]}, TypeError, "effects_by: expected text, .* give one name in quotes"),
        ({"effects_by": "patient"}, KeyError, "effects_by: column 'patient' is not a registered covariate"),
        (
            {"effects_by": "cell_line", "intervention": "activity"},
            ValueError,
            "effects_by: .* use intervention='shift'",
        ),
        ({"effects_by": "cell_line", "structure": "gradient"}, ValueError, "effects_by: .* use structure='search'"),
        ({"effects_by": "site"}, ValueError, "effects_by: expected a column with at least two levels"),
    ],
)
def test_wrong_levels_are_refused(different, kwargs, error, message):
    data = different[1].copy()
    data.obs["site"] = "here"
    GIM.setup_anndata(data, **{**COLUMNS, "categorical_covariate_keys": ["cell_line", "site"]})
    with pytest.raises(error, match=message):
        GIM(data, **kwargs)
