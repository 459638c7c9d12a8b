"""The repository stays light: tables and the pictures that the documentation shows, no rows that a command makes again."""

import csv
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
MAX_BYTES = 4_500_000
"""Of all tracked files together; a clone should take seconds."""
MAX_LINES = 400
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


def test_files_of_the_package_are_short_enough_to_be_read(tracked: list[Path]) -> None:
    lengths = {
        path: len(path.read_text().splitlines()) for path in tracked if "src" in path.parts and path.suffix == ".py"
    }
    assert lengths
    assert not {str(path): n for path, n in lengths.items() if n > MAX_LINES}


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


REQUIRED = (
    "name",
    "description",
    "project_home",
    "documentation_home",
    "license",
    "primary_category",
    "tags",
    "language",
    "category",
)
TAGS = {
    "perturbation",
    "gene regulatory networks",
    "deep learning",
    "probabilistic modeling",
    "scRNA-seq",
    "GPU acceleration",
}


def test_the_entry_of_the_registry_has_its_fields_and_those_of_the_package() -> None:
    yaml = pytest.importorskip("yaml")
    entry = yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [field for field in REQUIRED if field not in entry] == [] and "version" not in entry
    assert (entry["name"], entry["license"]) == (project["name"], project["license"])
    assert entry["project_home"] == project["urls"]["Homepage"]
    assert entry["documentation_home"] == project["urls"]["Documentation"]
    assert entry["category"] == "ecosystem" and entry["primary_category"] == "scRNA-seq"
    assert 1 <= len(entry["tags"]) <= 10 and set(entry["tags"]) <= TAGS
    assert entry["description"].count(". ") <= 1  # one or two sentences


def test_badges_say_what_the_project_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text]
    assert f"python-{versions[0]}_to_{versions[-1]}-" in readme
    assert f"licence-{project['license'].replace('-', '--')}-" in readme
    assert (ROOT / ".github" / "workflows" / "test.yaml").is_file() and "workflows/test.yaml/badge.svg" in readme


def test_forms_and_workflows_are_readable() -> None:
    yaml = pytest.importorskip("yaml")
    forms = {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")
    }
    assert {"bug_report", "wrong_answer", "feature_request", "config"} == set(forms)
    for name, form in forms.items():
        if name != "config":
            assert form["name"] and form["description"]
            ids = [part["id"] for part in form["body"] if "id" in part]
            assert len(ids) == len(set(ids)) and all(part["type"] in ("markdown", "textarea") for part in form["body"])
    for path in (ROOT / ".github" / "workflows").glob("*.yaml"):
        assert yaml.safe_load(path.read_text("utf-8"))["permissions"] == {"contents": "read"}, path
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text("utf-8"))["jobs"]["publish"]
    assert release["permissions"] == {"id-token": "write"}  # trusted publishing: no password


def test_actions_are_pinned_to_commits_and_may_only_read() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yaml"):
        text = path.read_text("utf-8")
        used = re.findall(r"uses: (\S+)(.*)", text)
        assert used and all(
            re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) and "# v" in rest for action, rest in used
        ), path
        assert "\npermissions:\n  contents: read\n" in text
