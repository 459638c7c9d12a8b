"""Stored notebooks: executed, small, free of warnings and of the machine that made them, and each says what not to conclude."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
MAX_BYTES = 130_000
"""Of a notebook; pictures have a palette (``.ci/run_tutorials.py --write``)."""

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="the tutorials are not beside the tests")


@pytest.fixture(params=[path.stem for path in NOTEBOOKS])
def cells(request) -> list[dict]:
    """Cells of one notebook."""
    path = ROOT / "tutorials" / f"{request.param}.ipynb"
    assert path.stat().st_size <= MAX_BYTES, "store it with: python .ci/run_tutorials.py --write"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_every_cell_was_executed_in_order(cells):
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_hold_no_warnings_paths_or_times(cells):
    for output in (output for cell in cells for output in cell.get("outputs", ())):
        assert output.get("name") != "stderr"
        text = json.dumps({key: value for key, value in output.items() if key != "data"}) + json.dumps(
            {key: value for key, value in output.get("data", {}).items() if key != "image/png"}
        )
        assert not re.search(r"[^\w.<](?:/home|/root|/tmp|/work|/Users)/|fitted in \d", text), text[:300]


def test_it_ends_with_what_not_to_conclude(cells):
    assert cells[-1]["cell_type"] == "markdown"
    assert "## What not to conclude" in "".join(cells[-1]["source"])


def test_the_gallery_has_a_card_with_a_picture_for_each(tmp_path):
    pytest.importorskip("PIL.Image")
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "_ext" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.gallery(ROOT / "tutorials", tmp_path)
    assert text.count(":::{grid-item-card}") == text.count(":img-top:") == len(NOTEBOOKS)
    assert {path.stem for path in (tmp_path / "thumbnails").iterdir()} == {path.stem for path in NOTEBOOKS}
