"""Execute the tutorials from a fresh kernel, in a temporary folder; fail if a cell fails or a notebook takes too long.

python .ci/run_tutorials.py                        all of them; the files stay as they are
python .ci/run_tutorials.py --write                the same, and keep the outputs, with small pictures and without times
python .ci/run_tutorials.py [--write] FILE...      only these
"""

import base64
import io
import os
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from shrink_pictures import with_palette

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # ipywidgets are not needed here
DATA = Path(os.environ.get("SCGIM_TEST_DATA", ROOT.parent / "shared" / "data"))
LIMIT = 240
"""Seconds that a notebook may take here; they are meant to take less than 60 on two idle cores."""
NEEDS = {
    r"datasets\.(sachs)\(": "{}/cyto_full_data.csv",
    r"datasets\.screen\(\s*\"(\w+)\"": "**/{0}/{0}.h5ad",
}
"""What a loader in a notebook reads when there is no network."""
PRIVATE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt|var|private)/")
"""Absolute paths, which would name the machine that made the output."""
CLOCK = re.compile(r"^fitted in ")
"""Outputs that differ from run to run."""
STYLE = re.compile(r"<style scoped>.*?</style>\n", re.S)
"""Of a table; pages bring their own."""
BETWEEN = re.compile(r">\n\s*")
"""Tags of a table on lines of their own; in a notebook each line has quotes and an indentation besides."""


def missing_data(notebook: nbformat.NotebookNode) -> list[str]:
    """Names of data sets whose files are not at hand."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    wanted = {(name, place.format(name)) for use, place in NEEDS.items() for name in re.findall(use, code)}
    return sorted(name for name, place in wanted if not any(DATA.glob(place)))


def execute(notebook: nbformat.NotebookNode) -> tuple[float, float]:
    """Run all cells; the seconds that it took, by the clock and of the processor."""
    if DATA.is_dir():
        os.environ.setdefault("SCGIM_DATA_DIR", str(DATA))
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, busy


def problems(notebook: nbformat.NotebookNode) -> list[str]:
    """Warnings and paths in the outputs."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "") + "".join(v for v in output.get("data", {}).values() if isinstance(v, str))
            if output.get("name") == "stderr":
                found.append(f"a warning: {text.strip()}")
            elif "image/png" not in output.get("data", {}) and PRIVATE.search(text):
                found.append(f"a path: {PRIVATE.search(text).string[:200]}")
    return found


def small_picture(encoded: str) -> str:
    """The same picture with a palette, if that is smaller."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        with_palette(picture).save(out, "PNG", optimize=True)
    return min(base64.b64encode(out.getvalue()).decode(), encoded, key=len)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Keep what a reader looks at: no times, small pictures, tables once and in the style of the page, plain metadata."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        kept = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if CLOCK.match(data.get("text/plain", "")) or CLOCK.match(output.get("text", "")):
                continue
            if "image/png" in data:
                data["image/png"] = small_picture(data["image/png"])
                output["metadata"] = {}
            if "text/html" in data:
                data["text/html"] = BETWEEN.sub(">", STYLE.sub("", data["text/html"])).strip()
            if "text/html" in data or "image/png" in data:
                data.pop("text/plain", None)
            kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept


def main() -> int:
    write = "--write" in sys.argv[1:]
    names = [name for name in sys.argv[1:] if name != "--write"]
    paths = [Path(name) for name in names] or sorted((ROOT / "tutorials").glob("*.ipynb"))
    if not paths:
        sys.exit("no notebook was found in tutorials/")
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        missing = missing_data(notebook)
        if missing:
            print(f"{path.name}: skipped, these data are not at hand: {', '.join(missing)}", flush=True)
            continue
        seconds, busy = execute(notebook)
        print(f"{path.name}: {seconds:.0f} s, {busy:.0f} s of processor time", flush=True)
        wrong = [f"more than {LIMIT} s"] if seconds > LIMIT else []
        wrong += problems(notebook)
        if write:
            clean(notebook)
            nbformat.write(notebook, path)
        if wrong:
            print("\n".join(f"{path.name}: {text}" for text in wrong), file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
