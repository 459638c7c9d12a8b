"""``import scgim`` loads none of the heavy packages: what is loaded is counted, rather than seconds."""

import subprocess
import sys

import pytest

HEAVY = {"anndata", "lightning", "matplotlib", "mudata", "numpy", "pandas", "scanpy", "scvi", "sklearn", "torch"}


def loaded_after(statement: str) -> set[str]:
    """Names of the heavy packages in ``sys.modules`` after a statement, in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*[name for name in {sorted(HEAVY)} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import scgim; scgim.__version__; dir(scgim)") == set()


@pytest.mark.parametrize("namespace", ["get", "pl"])
def test_reading_and_plotting_need_no_torch(namespace: str) -> None:
    assert loaded_after(f"import scgim.{namespace}").isdisjoint({"scvi", "torch", "lightning"})


def test_command_line_starts_with_nothing_heavy() -> None:
    assert loaded_after("import scgim.cli") == set()


def test_namespaces_are_attributes() -> None:
    import scgim

    assert {"model", "pp", "tl", "pl", "get", "datasets", "metrics"} <= set(dir(scgim))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scgim.nothing
