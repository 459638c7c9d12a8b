"""Saved models come back, run no code, and say what is wrong with files that are not theirs."""

import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import systems
from scgim.cli import main
from scgim.model import GIM
from scgim.model._study import setup

ASKED = pd.DataFrame({"drug": ["Ünï-drug α"], "dose": [3.0]})
posix = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


@pytest.fixture(scope="module")
def model() -> GIM:
    adata = systems.make_screen()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    model = GIM(adata)
    model.train(max_epochs=0)
    return model


@pytest.fixture
def folder(model: GIM, tmp_path: Path) -> Path:
    model.save(tmp_path / "m")
    return tmp_path / "m"


def same(a: GIM, b: GIM) -> None:
    np.testing.assert_array_equal(a.predict(ASKED).X, b.predict(ASKED).X)
    pd.testing.assert_frame_equal(a.get_targets(), b.get_targets())


def test_columns_that_are_taken_now_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adata = systems.make_screen()
    adata.obs["n_cells"] = "a"
    columns = {"perturbation_key": "drug", "control": "DMSO", "batch_key": "n_cells"}
    with pytest.raises(ValueError, match="taken"):
        GIM.setup_anndata(adata, **columns)
    with monkeypatch.context() as old:
        old.setattr(setup, "refuse_taken", lambda spec: None)
        GIM.setup_anndata(adata, **columns)
    GIM(adata).save(tmp_path / "m")
    GIM.load(tmp_path / "m", adata)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_one_file_without_pickles(folder: Path) -> None:
    assert [p.name for p in folder.iterdir()] == ["model.npz"]
    with np.load(folder / "model.npz", allow_pickle=False) as arrays:
        assert np.isfinite(arrays["parameters.log_noise"]).all()
        header = json.loads(arrays["model.json"])
    assert header["format"] == "scgim model" and header["format_version"] == 1


def test_the_same_model_gives_the_same_bytes(model: GIM, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model.save(tmp_path / name)
    GIM.load(tmp_path / "a", adata=False).save(tmp_path / "c")
    first, second, third = ((tmp_path / name / "model.npz").read_bytes() for name in "abc")
    assert first == second == third


def test_prefix_data_and_overwrite(model: GIM, tmp_path: Path) -> None:
    model.save(tmp_path / "m", prefix="one_", save_anndata=True, compression="gzip")
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"one_model.npz", "one_adata.h5ad"}
    with pytest.raises(ValueError, match="overwrite=True"):
        model.save(tmp_path / "m", prefix="two_")
    model.save(tmp_path / "m", prefix="two_", overwrite=True)
    with_data = GIM.load(tmp_path / "m", prefix="one_")
    assert with_data.adata is not None and with_data.adata.n_obs == model.adata.n_obs
    same(with_data, model)
    with pytest.warns(UserWarning, match="holds no two_adata.h5ad"):
        same(GIM.load(tmp_path / "m", prefix="two_"), model)
    with pytest.raises(ValueError, match=r"no model with prefix='three_'; found \['one_', 'two_'\]"):
        GIM.load(tmp_path / "m", adata=False, prefix="three_")


def test_registry_and_arguments_of_the_set_up(model: GIM, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert GIM.load_registry(folder)["setup_args"]["control"] == "DMSO"
    GIM.view_setup_args(folder)
    assert "DMSO" in capsys.readouterr().out


def test_an_object_of_the_hub_opens_it(model: GIM, tmp_path: Path) -> None:
    hub = pytest.importorskip("scvi.hub")
    card = pytest.importorskip("huggingface_hub").ModelCard("---\nlicense: mit\n---\n")
    model.save(tmp_path / "m", save_anndata=True)
    about = hub.HubMetadata("1.4.2", version("anndata"), "GIM", model_parent_module="scgim.model")
    hub.HubModel(str(tmp_path / "m"), metadata=about, model_card=card).save()
    again = hub.HubModel(str(tmp_path / "m"))
    same(again.model, model)


class _Run:
    """Runs when it is unpickled: makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def places(content: dict[str, bytes]) -> list[str]:
    return [*content, "new.npy", "data.pkl", "model/data.pkl", "model.json.pkl"]


def opened(folder: Path, tmp_path: Path) -> None:
    """Through every door."""
    ASKED.to_csv(tmp_path / "p.csv", index=False)
    for call in (
        lambda: GIM.load(folder, adata=False),
        lambda: GIM.load(folder, adata=False).predict(ASKED),
        lambda: GIM.load_registry(folder),
        lambda: main(
            ["predict", str(folder), str(tmp_path / "p.csv"), "--out", str(tmp_path / "p.h5ad"), "--overwrite"]
        ),
    ):
        try:
            call()
        except ValueError as error:
            assert str(folder) in str(error)
        except SystemExit as stop:
            assert stop.code in (0, 2)


def test_code_that_was_planted_does_not_run(folder: Path, tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", folder / "model.npz"
    payload = pickle.dumps(_Run(proof))
    pickle.loads(payload).close()
    assert proof.exists()
    proof.unlink()
    content = members(path)
    planted = np.empty(1, dtype=object)
    planted[0] = _Run(proof)
    array = io.BytesIO()
    np.save(array, planted, allow_pickle=True)
    kept = places(content)
    for name in [kept[0], *random.Random(0).sample(kept[1:-4], 6), *kept[-4:]]:
        for hidden in (payload, array.getvalue()):
            rewrite(path, content | {name: hidden})
            opened(folder, tmp_path)
            assert not proof.exists(), name
    for raw in (payload, array.getvalue()):
        path.write_bytes(raw)
        opened(folder, tmp_path)
    torch.save({"model": _Run(proof)}, path)
    opened(folder, tmp_path)
    for name in ("model.pt", "model_params.pt", "attr.pkl", "adata.h5ad"):
        rewrite(path, content)
        (folder / name).write_bytes(payload)
        opened(folder, tmp_path)
    path.unlink()
    opened(folder, tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen", "exec", "Fit"])
def test_classes_that_the_tree_names_are_not_looked_up(folder: Path, tmp_path: Path, name: str) -> None:
    path, proof = folder / "model.npz", tmp_path / "ran"
    content = members(path)
    command = f"touch {proof}" if name != "builtins.eval" else f"open({str(proof)!r}, 'w')"
    planted = {"#": "object", "class": name, "fields": {"command": command, "args": command, "source": command}}

    def everywhere(tree: Any, depth: int = 0) -> list[Any]:
        """The tree with the object in place of each of its parts, down to some depth."""
        if depth > 3 or not isinstance(tree, dict):
            return [planted]
        return [planted, *({**tree, k: part} for k, v in tree.items() for part in everywhere(v, depth + 1))]

    header = json.loads(content["model.json"])
    trees = everywhere(header["tree"])
    assert len(trees) > 50
    for tree in random.Random(0).sample(trees, 40):
        rewrite(path, content | {"model.json": json.dumps(header | {"tree": tree}).encode()})
        with pytest.raises(ValueError, match=r"dir_path: .*damaged"):
            GIM.load(folder, adata=False)
    for method in ("save", "__init__", "setup_datamodule", "__class__"):
        tree = json.loads(content["model.json"])
        tree["tree"]["attributes"]["registry_"]["setup_method_name"] = method
        rewrite(path, content | {"model.json": json.dumps(tree).encode()})
        with pytest.raises(ValueError, match=f"set up by '{method}'"):
            GIM.load(folder, adata=False)
    tree = json.loads(content["model.json"])
    tree["tree"]["attributes"] |= {"__class__": "x", "module": None, "__init__": 1, "predict": 2}
    rewrite(path, content | {"model.json": json.dumps(tree).encode()})
    assert callable(GIM.load(folder, adata=False).predict)
    assert not proof.exists()


def test_damaged_files_are_one_sentence(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "model.npz"
    whole = path.read_bytes()
    source = random.Random(0)
    damaged = [whole[: int(len(whole) * share)] for share in (0, 0.001, 0.3, 0.9, 0.999)]
    for _ in range(20):
        k = source.randrange(len(whole) - 16)
        damaged.append(whole[:k] + bytes(source.randrange(256) for _ in range(16)) + whole[k + 16 :])
    for content in damaged:
        path.write_bytes(content)
        try:
            GIM.load(folder, adata=False)
        except ValueError as error:
            text = str(error)
            assert text.startswith(f"dir_path: {path} is damaged") and text.endswith("fit again and save.")
        else:
            assert content != whole[: len(content)] or len(content) == len(whole)
    path.write_bytes(whole[:1000])
    ASKED.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(folder), str(tmp_path / "p.csv"), "--out", str(tmp_path / "p.h5ad")])
    error = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "damaged" in error and "\n" not in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2, "scgim": "9.9"}, r"saved by scgim 9\.9, later than this version .* update scgim"),
        ({"format": "other"}, "damaged or was not saved by scgim"),
        ({"tree": {}}, "damaged"),
        ({"tree": {"attributes": [], "parameters": [], "var_names": []}}, "damaged"),
        ({"tree": {"attributes": {}, "parameters": {}, "var_names": []}}, "damaged"),
    ],
    ids=str,
)
def test_other_headers(folder: Path, change: dict[str, Any], message: str) -> None:
    content = members(folder / "model.npz")
    header = json.loads(content["model.json"]) | change
    rewrite(folder / "model.npz", content | {"model.json": json.dumps(header).encode()})
    with pytest.raises(ValueError, match=message):
        GIM.load(folder, adata=False)


def test_arrays_cannot_claim_more_than_there_is(folder: Path) -> None:
    content = members(folder / "model.npz")
    name = "parameters.log_noise.npy"
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    for hidden in (claim.getvalue(), content[name][:-1], content[name].replace(b"<f4", b"|O4")):
        rewrite(folder / "model.npz", content | {name: hidden})
        with pytest.raises(ValueError, match="damaged"):
            GIM.load(folder, adata=False)


def test_models_of_others(model: GIM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        GIM.load(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"holds no saved model \(model.npz\)"):
        GIM.load(tmp_path)
    torch.save({"attr_dict": {"registry_": {"model_name": "GIM"}}}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model.pt is a pickle, .*fit again and save"):
        GIM.load(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="is a pickle"):
        GIM.load(tmp_path)
    scvi = pytest.importorskip("scvi")
    adata = ad.AnnData(np.ones((4, 3), np.float32))
    scvi.model.SCVI.setup_anndata(adata)
    scvi.model.SCVI(adata, n_hidden=4, n_latent=2).save(str(tmp_path / "scvi"))
    with pytest.raises(ValueError, match=r"saved by SCVI, not by GIM; open it with SCVI.load"):
        GIM.load(tmp_path / "scvi")


def test_data_that_cannot_be_read(model: GIM, folder: Path) -> None:
    (folder / "adata.h5ad").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"adata.h5ad cannot be read .*adata=False"):
        GIM.load(folder)
    with pytest.raises(TypeError, match="adata: expected AnnData"):
        GIM.load(folder, adata="adata.h5ad")
    same(GIM.load(folder, adata=False), model)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dir_path": 3}, TypeError, "dir_path: expected a path"),
        ({"dir_path": ""}, ValueError, "dir_path: expected a path"),
        ({"prefix": 3}, TypeError, "prefix: expected text"),
        ({"prefix": "a/b"}, ValueError, "prefix: expected the start"),
        ({"overwrite": "yes"}, TypeError, "overwrite: expected True"),
        ({"save_anndata": 2}, TypeError, "save_anndata: expected True"),
        ({"save_kwargs": {"pickle_protocol": 2}}, TypeError, "save_kwargs: is not used"),
        ({"legacy_mudata_format": True}, TypeError, "legacy_mudata_format: is not used"),
        ({"compression": "gzip"}, TypeError, "compression: is not used by GIM.save without"),
    ],
    ids=str,
)
def test_wrong_arguments(model: GIM, tmp_path: Path, arguments: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        model.save(**{"dir_path": tmp_path / "m"} | arguments)
    assert not (tmp_path / "m").exists()
    with pytest.raises(NotImplementedError, match="convert_legacy_save"):
        GIM.convert_legacy_save("a", "b")


SAVER = """
import os, resource, signal, sys
from scgim.model import GIM
model = GIM.load(sys.argv[1])
model.run_name_ = "second"
print("ready", flush=True)
for limit in sys.stdin:  # bytes of the largest file, 0 for no limit
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if int(limit):
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
            for k in range(1 if int(limit) else 500):
                model.save(sys.argv[2], overwrite=True, save_anndata=True)
        finally:
            os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@posix
def test_kills_full_disks_and_interruptions_leave_a_model_that_opens(model: GIM, tmp_path: Path) -> None:
    kept, target = tmp_path / "kept", tmp_path / "m"
    model.save(kept, save_anndata=True)
    start = time.perf_counter()
    model.save(target, save_anndata=True)
    once = time.perf_counter() - start
    data = (target / "adata.h5ad").stat().st_size
    source = random.Random(0)
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, kept, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    attacks = [(data // 2, 0), (data - 1, 0)] + [(0, signal.SIGKILL)] * 10 + [(0, signal.SIGINT)] * 3
    for limit, number in attacks:
        process.stdin.write(f"{limit}\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        if number:
            time.sleep(4 * once * source.random())
            os.kill(child, number)
        assert process.stdout.readline() == "ended\n"
        again = GIM.load(target)
        assert again.adata.n_obs == model.adata.n_obs
        same(again, model)
        assert not limit or again.run_name_ == model.run_name_  # nothing new was put there
    process.communicate()
    assert again.run_name_ == "second"
    model.save(target, overwrite=True)
    assert not list(target.glob(".scgim*"))
