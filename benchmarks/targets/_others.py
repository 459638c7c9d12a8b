"""Other packages that rank the genes that a perturbation drives, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from _screens import Screen

CACHE = Path.home() / ".cache" / "scgim-benchmarks"
PACKAGES = {"cipher": ["cipher-perturb==0.1.0"], "dspin": ["dspin==1.5.2"]}
REQUIREMENTS = {"cipher": "cipher", "cipher_posterior": "cipher", "dspin": "dspin"}
"""Methods, and the package that each needs."""
TIMEOUT = 1800  # seconds for one screen


class Unavailable(Exception):
    """A package that cannot be installed or does not end; the text says which and why."""


def environment(package: str, cache: Path, python: str) -> Path:
    """Interpreter of the package's environment, which is made if it is not there."""
    folder = cache / package
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (folder / "ready").is_file():
        return interpreter
    wanted = PACKAGES[package]
    print(f"installing {' '.join(wanted)} into {folder}", flush=True)
    for command in (
        [python, "-m", "venv", "--clear", folder],
        [interpreter, "-m", "pip", "install", "--quiet", *wanted],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise Unavailable(f"{' '.join(wanted)} does not install with {python}: {error}") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"{' '.join(wanted)} does not install with {python}: {last}")
    (folder / "ready").touch()
    return interpreter


def scores(method: str, screen: Screen, cache: Path, python: str) -> tuple[list[str], np.ndarray, float]:
    """Drugs, size of the score of each gene (D, G), and processor time."""
    interpreter = environment(REQUIREMENTS[method], cache, python)
    names = sorted(set(screen.drug) - {screen.keys["control"]})
    number = {screen.keys["control"]: 0} | {name: d + 1 for d, name in enumerate(names)}
    strata = sorted(set(screen.stratum))
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "in.npz", Path(folder) / "out.npz"
        drug = np.array([number[name] for name in screen.drug])
        stratum = np.searchsorted(strata, screen.stratum)
        np.savez(source, x=screen.expression, drug=drug, stratum=stratum)
        command = [interpreter, Path(__file__).parent / "_other.py", method, source, result]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT, cwd=folder, env=clean | one_thread
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{method} did not end in {TIMEOUT} seconds.") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"{method} ended with: {last}")
        with np.load(result) as file:
            return names, np.abs(file["score"]), float(file["seconds"])
