"""Damaged files on the command line: one line and code 2, or a result; never a traceback, nothing else is written."""

import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import systems
from scgim import tl
from scgim.cli import main
from scgim.cli._console import InputError

CUTS = (0, 1, 512, 0.3, 0.7, 0.999)
N_FLIPPED = 12


def run(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and a model that are as they should be."""
    folder = tmp_path_factory.mktemp("whole")
    adata = systems.make_screen(n_cells=8)
    model = tl.fit(adata, perturbation_key="drug", dose_key="dose", control="DMSO", max_epochs=0)
    adata.write_h5ad(folder / "adata.h5ad")
    model.save(folder / "model")
    pd.DataFrame({"drug": [systems.DRUGS[0]], "dose": [1.0]}).to_csv(folder / "ask.csv", index=False)
    return folder


def cut(content: bytes, at: float) -> bytes:
    return content[: int(at if at >= 1 else at * len(content))]


def flipped(content: bytes, seed: int) -> bytes:
    """Some bytes are others."""
    source, out = random.Random(seed), bytearray(content)
    for _ in range(1 + seed % 40):
        out[source.randrange(len(out))] = source.randrange(256)
    return bytes(out)


DAMAGES: list[Callable[[bytes], bytes]] = [
    *(lambda content, at=at: cut(content, at) for at in CUTS),
    *(lambda content, seed=seed: flipped(content, seed) for seed in range(N_FLIPPED)),
    lambda content: b"\x00" * len(content),
    lambda content: b"text, and nothing else\n" * 20,
]


def files_of(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", range(len(DAMAGES)))
def test_damaged_files_are_one_line_and_nothing_is_written(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, damage: int
) -> None:
    def reached(*args: object, **kwargs: object) -> None:
        raise InputError("the file was read, and is not fitted here.")

    monkeypatch.setattr(tl, "fit", reached)
    change = DAMAGES[damage]
    for name in ("adata.h5ad", "model/model.npz", "ask.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change((whole / name).read_bytes()))
    inside, out = tmp_path / "in", tmp_path / "out"
    out.mkdir()
    columns = ["--perturbation-key", "drug", "--control", "DMSO"]
    calls = [
        ("fit", inside / "adata.h5ad", *columns, "--out", out / "fit"),
        ("report", inside / "adata.h5ad", "--out", out / "page.html"),
        ("evaluate", inside, whole / "adata.h5ad", "--metrics", "mean_distance", "--out", out / "scores.csv"),
        ("predict", inside / "model", whole / "ask.csv", "--n-cells", "2", "--out", out / "a.h5ad"),
        ("predict", whole / "model", inside / "ask.csv", "--n-cells", "2", "--out", out / "b.h5ad"),
        ("intervene", inside / "model", "--shift", "g0=1", "--n-cells", "2", "--out", out / "c.h5ad"),
    ]
    before, good = files_of(inside), files_of(whole)
    for call in calls:
        capsys.readouterr()
        code, error = run(*call), capsys.readouterr().err.strip()
        assert code in (0, 2), error
        assert not error if code == 0 else error.startswith("scgim: ") and "\n" not in error, error
        left = [p for p in out.rglob("*") if p.is_file()]
        assert left == ([Path(call[-1])] if code == 0 else [])
        for path in left:
            path.unlink()
    assert files_of(inside) == before and files_of(whole) == good


def test_what_nobody_foresaw_is_one_line_too(
    whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call = ("report", whole / "adata.h5ad", "--out", tmp_path / "page.html")
    monkeypatch.setattr(tl, "report", lambda *args, **kwargs: (_ for _ in ()).throw(AssertionError("a\nbug")))
    capsys.readouterr()
    assert run(*call) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("scgim: AssertionError: a bug. This was not foreseen") and "\n" not in error
    monkeypatch.setenv("SCGIM_TRACEBACK", "1")
    with pytest.raises(AssertionError):
        main([str(a) for a in call])
