import socket

import numpy as np
import pytest

from scgim import tl
from scgim._version import __version__
from scgim.model import GIM


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing is sent: a socket that is opened is an error."""

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_folder_opens_again_and_the_card_says_what_it_holds(model, parts, tmp_path):
    scores = tl.evaluate(model, parts["new_dose"], metrics="pearson_mean_change", baselines=("control",))
    folder = tmp_path / "out"
    text = tl.export_model(
        model, folder, license="cc-by-4.0", title="Twelve drugs", data="Simulated | cells.", evaluation=scores
    )
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.npz"]
    assert (folder / "README.md").read_text("utf-8") == text
    again = GIM.load(str(folder), adata=False)
    np.testing.assert_array_equal(again.fitted.of_drug.probability, model.fitted.of_drug.probability)
    cells, doses = int(model.contexts["n_cells"].sum()), np.unique(model.design.dose)
    value = scores[scores["method"] == "gim"]["value"].median()
    for line in (
        'license: "cc-by-4.0"',
        "# Twelve drugs",
        f"| cells | {cells:,} |",
        "| genes | 6 |",
        "| drugs | 12 |",
        f"4 doses from {doses[1]:g} to {doses[-1]:g}",
        "| intervention | `shift` |",
        f"| scgim | {__version__} |",
        f"| pearson_mean_change | {value:.3g} |",
    ):
        assert line in text, line
    assert all(f"`{name}`" in text for name in (*model.fitted.drugs, *model.fitted.genes))


def test_the_hub_reads_the_metadata(model, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(tl.export_model(model, tmp_path / "out", license="mit")).data.to_dict()
    assert data["license"] == "mit" and data["library_name"] == "scgim"
    assert f"scgim_version:{__version__}" in data["tags"]
    assert hub.RepoCard.load(tmp_path / "out" / "README.md").data.to_dict() == data


def test_what_is_there_is_replaced_only_when_asked(model, tmp_path):
    tl.export_model(model, tmp_path / "out", license="mit")
    with pytest.raises(ValueError, match="path: .* already exists"):
        tl.export_model(model, tmp_path / "out", license="mit")
    assert "cc0-1.0" in tl.export_model(model, tmp_path / "out", license="cc0-1.0", overwrite=True, save_anndata=True)
    assert GIM.load(str(tmp_path / "out")).adata.n_obs == model.adata.n_obs


def test_a_licence_must_be_chosen(model, tmp_path):
    with pytest.raises(TypeError, match="license: is missing"):
        tl.export_model(model, tmp_path / "out")
