"""Finding and downloading files: a directory, the environment variable, a server on this machine, and no server."""

import hashlib
import http.server
import threading
from functools import partial

import pytest

from scgim.datasets._fetch import ENVIRONMENT, fetch

CONTENT = b"a,b\n1,2\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test touches the cache or the folder of the user."""
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv(ENVIRONMENT, raising=False)


@pytest.fixture
def server(tmp_path):
    """A web server for the folder ``served``; gives its address and the list of requests."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file.csv").write_bytes(CONTENT)
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
        running.shutdown()


def test_file_is_found_in_a_directory_or_its_folder(tmp_path):
    """The file itself, or a folder named after the data set."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "file.csv").write_bytes(CONTENT)
    for place in (tmp_path, tmp_path / "toy", str(tmp_path)):
        assert fetch("toy", "file.csv", "http://nowhere.invalid", SHA256, place) == tmp_path / "toy" / "file.csv"


def test_file_is_found_where_the_environment_says(tmp_path, monkeypatch):
    (tmp_path / "file.csv").write_bytes(CONTENT)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    assert fetch("toy", "file.csv", "http://nowhere.invalid", SHA256) == tmp_path / "file.csv"


def test_directory_without_the_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"directory=.*file\.csv.*Download http://nowhere"):
        fetch("toy", "file.csv", "http://nowhere.invalid/file.csv", SHA256, tmp_path)


def test_wrong_checksum_in_a_directory_is_refused(tmp_path):
    (tmp_path / "file.csv").write_bytes(b"something else")
    with pytest.raises(ValueError, match="expected SHA-256"):
        fetch("toy", "file.csv", "http://nowhere.invalid", SHA256, tmp_path)
    assert fetch("toy", "file.csv", "http://nowhere.invalid", None, tmp_path).read_bytes() == b"something else"


def test_file_is_downloaded_once(server, tmp_path):
    """The first call downloads, the second reads the cache; a broken file in the cache is downloaded again."""
    address, asked = server
    path = fetch("toy", "file.csv", f"{address}/file.csv", SHA256)
    assert path.read_bytes() == CONTENT
    assert tmp_path / "cache" in path.parents
    assert fetch("toy", "file.csv", f"{address}/file.csv", SHA256) == path
    assert len(asked) == 1
    path.write_bytes(b"broken")
    assert fetch("toy", "file.csv", f"{address}/file.csv", SHA256).read_bytes() == CONTENT
    assert len(asked) == 2


def test_download_with_a_wrong_checksum_is_refused(server):
    with pytest.raises(ValueError, match="not the published file"):
        fetch("toy", "file.csv", f"{server[0]}/file.csv", "0" * 64)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/file.csv", "http://no-such-host.invalid/file.csv"])
def test_offline_says_what_to_do(address):
    with pytest.raises(ConnectionError, match=f"could not be downloaded from {address}.*directory.*{ENVIRONMENT}"):
        fetch("toy", "file.csv", address, SHA256)


def test_file_that_is_gone_from_the_server_is_named(server):
    with pytest.raises(ConnectionError, match="404"):
        fetch("toy", "gone.csv", f"{server[0]}/gone.csv", SHA256)


def test_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConnectionError, match=r"cache: .*is a file; name another folder\..*directory"):
        fetch("toy", "file.csv", f"{server[0]}/file.csv", SHA256)
