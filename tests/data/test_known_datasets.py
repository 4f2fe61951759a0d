import functools
import hashlib
import io
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from making import make_sounds, relative, zip_folder
from tqdm import tqdm

from helpers.data import known_datasets as downloads
from helpers.data.archives import SourceError
from helpers.data.known_datasets import KNOWN_DATASETS, KnownDataset, arrange, download
from helpers.data.sources import open_source

DATA = np.random.default_rng(0).bytes(3_500_000)


class Server(ThreadingHTTPServer):
    """Serves `data` at every path; may cut, ignore ranges, or answer with an error."""

    daemon_threads = True

    def __init__(self, data: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.ranges, self.cut_after = data, [], None
        self.knows_ranges, self.shift, self.error = True, 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.knows_ranges else 0
        if server.error or start >= len(server.data):
            self.send_error(server.error or 416)
            return
        start -= server.shift if start else 0
        self.send_response(206 if start else 200)
        body = server.data[start:]
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}"
            )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server(DATA)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def dataset_at(server: Server, **fields) -> KnownDataset:
    digest = f"sha256:{hashlib.sha256(server.data).hexdigest()}"
    return KnownDataset(
        **{"url": server.url, "known_hash": digest, "file_name": "data.bin", **fields}
    )


class Bar(tqdm):
    """A progress bar that writes nowhere; may be interrupted at its first update."""

    made = []

    def __init__(self, interrupted: bool = False, **words):
        self.words, self.interrupted = words, interrupted
        Bar.made.append(self)
        super().__init__(file=io.StringIO(), **words)

    def update(self, n=1):
        if self.interrupted:
            raise KeyboardInterrupt
        return super().update(n)


def test_download_with_progress_and_only_once(server, tmp_path):
    Bar.made.clear()
    for _ in range(2):
        assert download(dataset_at(server), tmp_path / "work", Bar).read_bytes() == DATA
    assert server.ranges == [None]
    (bar,) = Bar.made
    assert bar.total == bar.n == len(DATA) and bar.words["desc"] == "Downloading data.bin"
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["data.bin"]


def test_a_cut_download_continues_where_it_ended(server, tmp_path):
    server.cut_after = 2_000_000
    with pytest.raises(
        SourceError, match=r"data.bin from http.* broke off.* MB have arrived.*Run again"
    ):
        download(dataset_at(server), tmp_path)
    n_kept = (tmp_path / "data.bin.part").stat().st_size
    assert 1_000_000 <= n_kept <= 2_000_000
    server.cut_after = None
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == [None, f"bytes={n_kept}-"]
    assert not (tmp_path / "data.bin.part").exists()


def test_an_interrupt_keeps_what_has_arrived(server, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        download(dataset_at(server), tmp_path, functools.partial(Bar, True))
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == [None, f"bytes={downloads.CHUNK_BYTES}-"]


def test_a_server_that_ignores_ranges_sends_all_again(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / "data.bin.part").write_bytes(b"old" * 1000)
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == ["bytes=3000-"]


def test_a_part_of_another_file_is_downloaded_again(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(b"old" * 1000)
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == ["bytes=3000-", None]


def test_another_range_than_asked_for_is_not_appended(server, tmp_path):
    server.shift = 100
    (tmp_path / "data.bin.part").write_bytes(DATA[:3000])
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == ["bytes=3000-", None]


def test_a_part_that_is_too_long_is_dropped(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(DATA + b"more")
    assert download(dataset_at(server), tmp_path).read_bytes() == DATA
    assert server.ranges == [f"bytes={len(DATA) + 4}-", None]


@pytest.mark.parametrize("kept", [b"", b"other bytes"])
def test_a_wrong_digest_is_reported_and_nothing_kept(server, tmp_path, kept):
    wrong = f"sha256:{'0' * 64}"
    if kept:
        (tmp_path / "data.bin.part").write_bytes(kept)
    with pytest.raises(SourceError) as caught:
        download(dataset_at(server, known_hash=wrong), tmp_path)
    found = hashlib.sha256(DATA).hexdigest()
    for text in ("data.bin", wrong, found, server.url, "Run again"):
        assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [404, 416, 503])
def test_an_answer_that_is_an_error(server, tmp_path, code):
    server.error = code
    with pytest.raises(SourceError, match=rf"{code}.*0\.0 MB have arrived"):
        download(dataset_at(server), tmp_path)


def test_no_network(tmp_path, server):
    dataset = dataset_at(server)
    server.shutdown()
    server.server_close()
    (tmp_path / "data.bin.part").write_bytes(DATA[:1_500_000])
    with pytest.raises(SourceError, match=r"1\.5 MB have arrived and are kept"):
        download(dataset, tmp_path)


# --- class folders ---


def make_archive(members: dict[str, str], kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as opened:
            for name, text in members.items():
                opened.writestr(name, text)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as opened:
            for name, text in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                opened.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


LAYOUTS = {
    "fsdd": (
        {
            "top/recordings/0_ann_3.wav": "a",
            "top/recordings/7_bob_12.wav": "b",
            "top/other.wav": "c",
        },
        ["0/0_ann_3.wav", "7/7_bob_12.wav"],
        "*_[0-4].wav",
    ),
    "esc50": (
        {
            "top/audio/1-100-A-0.wav": "a",
            "top/audio/5-200-B-10.wav": "b",
            "top/meta/esc50.csv": "filename,fold,target,category\n"
            "1-100-A-0.wav,1,0,dog\n5-200-B-10.wav,5,10,rain\n",
        },
        ["dog/1-100-A-0.wav", "rain/5-200-B-10.wav"],
        "5-*",
    ),
    "speech_commands": (
        {
            "./yes/1_nohash_0.wav": "a",
            "./no/1_nohash_0.wav": "b",
            "./_background_noise_/pink.wav": "c",
            "LICENSE": "",
        },
        ["no/1_nohash_0.wav", "yes/1_nohash_0.wav"],
        "",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_known_data_sets_become_class_folders(server, tmp_path, monkeypatch, name):
    members, expected, holdout = LAYOUTS[name]
    server.data = make_archive(
        members, "zip" if KNOWN_DATASETS[name].file_name.endswith(".zip") else "tar.gz"
    )
    known = {**vars(KNOWN_DATASETS[name])}
    del known["url"], known["known_hash"]
    monkeypatch.setitem(KNOWN_DATASETS, name, dataset_at(server, **known))
    source = open_source(name, tmp_path)
    assert relative(source.folder) == expected
    assert source.name == name and source.holdout == holdout
    assert len(list(tmp_path.iterdir())) == 1  # neither archive nor part is left
    assert open_source(name, tmp_path) == source and len(server.ranges) == 1


def test_arranging_what_is_something_else(tmp_path):
    (tmp_path / "read me.txt").write_text("x")
    with pytest.raises(SourceError, match="no .wav file that belongs to a class"):
        arrange(KNOWN_DATASETS["fsdd"], tmp_path)
    with pytest.raises(SourceError, match="lacks esc50.csv"):
        arrange(KNOWN_DATASETS["esc50"], tmp_path)


def test_digests_have_the_length_of_their_algorithm():
    for dataset in KNOWN_DATASETS.values():
        algorithm, digits = dataset.known_hash.split(":")
        assert (
            re.fullmatch("[0-9a-f]+", digits)
            and len(digits) == 2 * hashlib.new(algorithm).digest_size
        )


def test_an_archive_at_any_address_is_downloaded_once_and_goes_on_where_it_was_cut(
    server, tmp_path
):
    make_sounds(tmp_path / "set", "dog/1.wav", "rain/1.wav")
    (tmp_path / "set" / "dog" / "notes.bin").write_bytes(DATA)
    server.data = zip_folder(tmp_path / "set", tmp_path / "set.zip").read_bytes()
    address = f"{server.url.removesuffix('data.bin')}my%20sounds.zip?download=1"
    server.cut_after = 2_000_000
    with pytest.raises(SourceError, match="broke off.*Run again to continue"):
        open_source(address, tmp_path / "work")
    server.cut_after = None
    for _ in range(2):
        source = open_source(f' "{address}"\n', tmp_path / "work")
        assert source.name == "my sounds"
        assert sorted(path.name for path in source.folder.iterdir()) == ["dog", "rain"]
    first, then = server.ranges
    assert first is None and then.startswith("bytes=1")


def test_a_download_that_is_too_large_is_refused_before_it_begins(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 10**6)
    with pytest.raises(SourceError, match="data.bin has 0 GB, more than .* get it yourself"):
        download(dataset_at(server, known_hash=None), tmp_path)
    assert not (tmp_path / "data.bin").exists()
