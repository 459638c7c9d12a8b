"""Execute the tutorials from a fresh kernel, in a temporary folder; fail if a cell fails or a notebook takes too long."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SCGIM_TEST_DATA", ROOT.parent / "shared" / "data"))
LIMIT = 300
"""Seconds that a notebook may take here; they are meant to take less than 120 on two idle cores."""
NEEDS = {"sachs": DATA / "sachs"}
"""Folder that a loader in ``scgim.datasets`` reads when there is no network."""


def missing_data(notebook: nbformat.NotebookNode) -> list[str]:
    """Names of loaders whose files are not at hand."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    used = set(re.findall(r"datasets\.(\w+)\(", code)) & set(NEEDS)
    return sorted(name for name in used if not NEEDS[name].is_dir())


def main() -> int:
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "tutorials").glob("*.ipynb"))
    if not paths:
        sys.exit("no notebook was found in tutorials/")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        missing = missing_data(notebook)
        if missing:
            print(f"{path.name}: skipped, the data of scgim.datasets.{', '.join(missing)} are not at hand", flush=True)
            continue
        if DATA.is_dir():
            os.environ.setdefault("SCGIM_DATA_DIR", str(DATA))
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": folder}}
            )
            client.execute()
        seconds = time.monotonic() - begin
        print(f"{path.name}: {seconds:.0f} s", flush=True)
        if seconds > LIMIT:
            print(f"{path.name} took more than {LIMIT} s", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
