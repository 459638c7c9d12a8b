"""A training that was cut off goes on from its checkpoint and ends at the same result; a checkpoint runs no code."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import systems
from scgim.model import GIM
from scgim.model._module.checkpoint import FORMAT, Checkpoints, SafeIO, check_file, with_checkpoints

COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "DMSO"}
QUIET: dict[str, Any] = {"enable_progress_bar": False, "accelerator": "cpu"}
KINDS: dict[str, dict[str, Any]] = {
    "published": {"structure": "gradient"},
    "neural": {"mechanism": "neural"},
}
EPOCHS = 9


class _CutError(Exception):
    """Stands for a power cut."""


class Cut(Callback):
    """Ends a training in the middle of an epoch."""

    def __init__(self, epoch: int = 6) -> None:
        self.epoch, self.began = epoch, -1

    def on_train_start(self, trainer, pl_module):
        self.began = trainer.current_epoch

    def on_train_batch_end(self, trainer, *args):
        if trainer.current_epoch == self.epoch:
            raise _CutError


def trained(kind: str, **kwargs: Any) -> GIM:
    adata = systems.make_screen(n_cells=8)
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, **KINDS[kind])
    model.train(**QUIET | {"max_epochs": EPOCHS} | kwargs)
    return model


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest) -> tuple[str, GIM]:
    """A training that nothing interrupted."""
    return request.param, trained(request.param)


def same(a: GIM, b: GIM) -> None:
    """Networks to the last bit; what the search gives, which is run again, up to the rounding of sums."""
    for name, value in a.module.state_dict().items():
        assert torch.equal(value, b.module.state_dict()[name]), name
    np.testing.assert_allclose(a.fitted.graph.weights, b.fitted.graph.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.get_targets()["probability"], b.get_targets()["probability"], rtol=1e-9, atol=1e-12)
    mine, other = a.history, b.history
    assert mine is not None and other is not None and set(mine) == set(other)
    for name, table in mine.items():
        assert table.index.tolist() == other[name].index.tolist()
        found, expected = table.to_numpy(dtype=float), other[name].to_numpy(dtype=float)
        np.testing.assert_allclose(found, expected, rtol=1e-13 if name == "search_score" else 0)


def test_a_training_that_was_cut_off_goes_on_to_the_same_result(whole, tmp_path):
    kind, model = whole
    with pytest.raises(_CutError):
        trained(kind, checkpoint=tmp_path / "c", callbacks=[Cut()])
    (left,) = (tmp_path / "c").iterdir()
    again = Cut(epoch=EPOCHS)
    same(model, trained(kind, checkpoint=tmp_path / "c", callbacks=[again]))
    assert 0 < again.began <= 6
    assert left.is_file() and not list((tmp_path / "c").glob(".scgim*"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("whole", ["published"], indirect=True)
def test_a_killed_process_goes_on_to_the_same_result(whole, tmp_path):
    kind, model = whole
    code = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(systems.__file__).parent)!r})
        import systems
        from lightning.pytorch.callbacks import Callback
        from scgim.model import GIM

        class Kill(Callback):
            def on_train_batch_end(self, trainer, *args):
                if trainer.current_epoch == 5:
                    os.kill(os.getpid(), signal.SIGKILL)

        adata = systems.make_screen(n_cells=8)
        GIM.setup_anndata(adata, **{COLUMNS!r})
        model = GIM(adata, **{KINDS[kind]!r})
        model.train(**{QUIET!r}, max_epochs={EPOCHS}, checkpoint=sys.argv[1], callbacks=[Kill()])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    same(model, trained(kind, checkpoint=tmp_path))


def test_other_settings_have_a_file_of_their_own(tmp_path):
    for lr in (1e-2, 1e-3):
        with pytest.raises(_CutError):
            trained("published", checkpoint=tmp_path, max_epochs=3, plan_kwargs={"lr": lr}, callbacks=[Cut(1)])
    assert len(list(tmp_path.iterdir())) == 2


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["whole", FORMAT, "state_dict"])
def test_code_in_a_checkpoint_does_not_run(tmp_path, place):
    folder, path = tmp_path / "ran", tmp_path / "x.ckpt"
    content: dict[str, Any] = {FORMAT: {}, "state_dict": {}, "callbacks": {}}
    torch.save(Planted(folder) if place == "whole" else content | {place: {"x": Planted(folder)}}, path)
    with pytest.raises(ValueError, match="checkpoint: .*x.ckpt is damaged or not of scgim.*remove it"):
        with_checkpoints({}, tmp_path, lambda: "x.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        trained("published", max_epochs=1, ckpt_path=str(path))
    path.write_bytes(pickle.dumps(Planted(folder), protocol=2))
    with pytest.raises(pickle.UnpicklingError):
        SafeIO().load_checkpoint(path, weights_only=False)
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"], ids=["empty", "text", "truncated"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint: .*x.ckpt is damaged or not of scgim"):
        check_file(path)
    torch.save({"other": 1}, path)
    with pytest.raises(ValueError, match="it has not been written by scgim"):
        check_file(path)


def test_settings_of_the_trainer_are_kept_beside(tmp_path):
    mine, plugin = Cut(), object()
    out = with_checkpoints({"callbacks": [mine], "plugins": plugin, "precision": 32}, tmp_path, lambda: "x.ckpt")
    assert out["callbacks"][0] is mine and isinstance(out["callbacks"][1], Checkpoints)
    assert out["plugins"][0] is plugin and isinstance(out["plugins"][1], SafeIO)
    assert out["precision"] == 32 and "ckpt_path" not in out
