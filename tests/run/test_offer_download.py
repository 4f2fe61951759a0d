"""A file for the person's computer: in Colab its download, elsewhere a button that holds it."""

import sys
from urllib.parse import quote

import pytest
from browser import needs_chromium, open_browser

from helpers.run import offer_download as module
from helpers.run.colab import RunError
from helpers.run.offer_download import offer_download

NAME = "a \"b\" & 'c' <i> 狗.zip"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(bytes(range(256)) * 4_096)
    return path


@needs_chromium
def test_the_button_downloads_the_file(file):
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content(offer_download(file).data)
        button = page.get_by_role("link")
        assert button.inner_text() == f"Download {NAME} (1 MiB)"
        assert str(file) in page.inner_text("body")
        with page.expect_download() as started:
            button.click()
        got = file.with_name("got")
        started.value.save_as(got)
        assert got.read_bytes() == file.read_bytes()


def test_of_a_large_file_the_page_says_where_it_is(file, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES_IN_PAGE", 1_000)
    page = offer_download(file).data
    assert "href" not in page and len(page) < 1_000 and f"{file.parent}/a &quot;b&quot;" in page
    assert "file browser of Jupyter" in page


def test_within_the_project_the_button_is_a_link_from_the_notebooks(file, monkeypatch):
    monkeypatch.setattr(module, "PROJECT", file.parent)
    (file.parent / "notebooks").mkdir()
    monkeypatch.chdir(file.parent / "notebooks")
    page = offer_download(file).data
    assert f'href="../{quote(NAME)}"' in page and "data:" not in page
    assert 'download="a &quot;b&quot;' in page


def test_in_colab_the_file_is_downloaded_at_once(colab, file):
    page = offer_download(file).data
    assert sys.modules["google.colab"].files.downloaded == {NAME: file.read_bytes()}
    assert "goes to your downloads" in page and "href" not in page


def test_a_download_that_fails_in_colab_says_what_to_do(colab, file, monkeypatch):
    def fails(filename):
        raise RuntimeError("no page")

    monkeypatch.setattr(sys.modules["google.colab"].files, "download", fails)
    with pytest.raises(RunError, match=r"the download failed \(no page\): run this cell again"):
        offer_download(file)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.zip"):
        offer_download(tmp_path / "none.zip")
