"""Scripts of the benchmarks, imported by name."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of the folder of ``benchmarks`` that the test module names in ``FOLDER``; forgotten after the test."""
    folder = BENCHMARKS / request.module.FOLDER
    if not folder.is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    for place in (BENCHMARKS, folder):
        monkeypatch.syspath_prepend(str(place))
    own = {path.stem for place in (BENCHMARKS, BENCHMARKS / "protocol", folder) for path in place.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in own & set(sys.modules)}
    yield importlib.import_module
    for name in own:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.fixture
def run(script: Callable[[str], ModuleType]) -> ModuleType:
    """The script ``run.py`` of the folder."""
    return script("run")
