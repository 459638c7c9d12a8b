"""The repository stays light: tables and the pictures that the documentation shows, no rows that a command makes again."""

import csv
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
MAX_BYTES = 4_500_000
"""Of all tracked files together; a clone should take seconds."""
MAX_ROWS = 80
"""Of a table: what a page of the documentation shows (``docs/_ext/pages.py``)."""

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that git tracks; the test is skipped outside a clone."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone, or no git")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_tracked_files_are_small_together(tracked: list[Path]) -> None:
    assert sum(path.stat().st_size for path in tracked) <= MAX_BYTES


def test_benchmarks_keep_scripts_notes_tables_and_pictures_only(tracked: list[Path]) -> None:
    kept = [path for path in tracked if BENCHMARKS in path.parents]
    assert {path.suffix for path in kept} <= {".py", ".md", ".csv", ".png"}
    results = [path for path in kept if path.suffix in (".csv", ".png")]
    assert {path.parent.name for path in results} == {"tables"}
    assert [path for path in results if path.suffix == ".png" and not path.with_suffix(".csv").is_file()] == []


def test_tables_are_short_enough_to_be_shown() -> None:
    for path in BENCHMARKS.glob("*/tables/*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            assert 1 <= len(list(csv.reader(file))) - 1 <= MAX_ROWS, path


def test_every_table_is_in_the_readme_that_says_how_it_is_made_again() -> None:
    for path in BENCHMARKS.glob("*/tables/*.csv"):
        readme = (path.parents[1] / "README.md").read_text(encoding="utf-8")
        assert f"`{path.stem}`" in readme or f"`{path.name}`" in readme, path
    for script in BENCHMARKS.glob("*/[!_]*.py"):
        assert script.name in (script.parent / "README.md").read_text(encoding="utf-8"), script
