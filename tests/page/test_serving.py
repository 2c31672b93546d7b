"""The pages' files: what is served, how it travels, and what a browser is told about it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.page.files import PageFiles
from app.page.routes import blueprint
from app.page.shell import FILES, address

LARGEST_PAGE_BYTES = 300_000
"""What all of the page's own files may weigh, compressed."""
STATIC = Path(__file__).parents[2] / "app" / "page" / "static"


@pytest.fixture
def browser() -> FlaskClient:
    app = Flask("pages", static_folder=None)
    app.register_blueprint(blueprint)
    return app.test_client()


def test_a_page_may_run_its_own_files_only_and_be_framed_by_nobody(browser: FlaskClient) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    policy = dict(part.partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[each] for each in ("script-src", "style-src", "connect-src", "font-src")} == {"'self'"}
    assert policy["img-src"] == "'self' data:"
    assert {policy[each] for each in ("frame-ancestors", "base-uri", "form-action", "trusted-types")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_page_holds_no_script_and_no_style_of_its_own(browser: FlaskClient) -> None:
    html = browser.get("/").text
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", html) == []


def test_every_address_in_a_page_is_one_of_its_files(browser: FlaskClient) -> None:
    addresses = re.findall(r'(?:href|src)="([^"]+)"', browser.get("/").text)
    assert len(addresses) > 5
    for each in addresses:
        assert browser.get(each).status_code == 200, each


def test_a_page_is_asked_for_each_time_and_travels_only_when_it_changed(browser: FlaskClient) -> None:
    first = browser.get("/")
    assert first.headers["Cache-Control"] == "no-cache"
    again = browser.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "Content-Security-Policy" in again.headers


def test_a_file_is_kept_for_good_under_its_own_version_only(browser: FlaskClient) -> None:
    now = browser.get(address("shared/tokens.css"))
    assert now.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    other = browser.get("/assets/0123456789abcdef/shared/tokens.css")
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-cache")


def test_files_travel_compressed_to_browsers_that_take_it(browser: FlaskClient) -> None:
    plain = browser.get(address("shared/tokens.css"))
    packed = browser.get(address("shared/tokens.css"), headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data
    assert (
        "Content-Encoding"
        not in browser.get(address("shared/tokens.css"), headers={"Accept-Encoding": "gzip;q=0"}).headers
    )


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js", "../routes.py", "%2e%2e/routes.py", "..%2f..%2fsettings.py", "shared/../../files.py",
        "shared", "/etc/passwd", "shared/tokens.css/", "SHARED/tokens.css",
    ],
)  # fmt: skip
def test_nothing_else_is_served(browser: FlaskClient, path: str) -> None:
    assert browser.get(address(path), follow_redirects=True).status_code == 404


def test_all_files_of_the_page_weigh_less_than_300_kilobytes_compressed() -> None:
    sizes = {path: file.size_on_the_wire for path in FILES.paths() if (file := FILES.get(path)) is not None}
    assert sum(sizes.values()) <= LARGEST_PAGE_BYTES, sorted(sizes.items(), key=lambda each: -each[1])


def test_no_file_of_ours_reaches_for_another_server_or_makes_html_from_text() -> None:
    for path in STATIC.rglob("*.[jc]s*"):
        if "vendor" not in path.parts:
            text = path.read_text()
            assert re.findall(r"(?:src|href|from|import|url)\W{1,3}(?:https?:)?//", text) == [], path
            forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerously"
            assert re.findall(forbidden, text) == [], path


def test_what_others_wrote_comes_with_its_licence() -> None:
    vendored = {path.stem for path in (STATIC / "vendor").iterdir() if path.suffix in (".js", ".woff2")}
    licences = {path.stem for path in (STATIC / "vendor" / "licences").iterdir()}
    listed = (STATIC / "vendor" / "README.txt").read_text()
    assert vendored == {"socket.io", "preact", "preact-hooks", "htm", "inter"}
    assert licences == {"socket.io-client", "preact", "htm", "inter"}
    assert all(f"{name}." in listed for name in vendored)


def test_one_changed_file_changes_the_version_of_all(tmp_path: Path) -> None:
    (tmp_path / "one.js").write_text("1")
    (tmp_path / "notes.md").write_text("not served")
    before = PageFiles(tmp_path)
    (tmp_path / "one.js").write_text("2")
    assert PageFiles(tmp_path).version != before.version
    assert before.paths() == ["one.js"]


def test_modules_are_found_through_their_imports(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "main.js").write_text('import { a } from "./shared/a.js";\nimport "./shared/b.js";\n')
    (tmp_path / "shared" / "a.js").write_text('export {\n  c,\n} from "../c.js";\n')
    (tmp_path / "shared" / "b.js").write_text("")
    (tmp_path / "c.js").write_text('import { a } from "./shared/a.js";\n')
    assert PageFiles(tmp_path).modules_of("main.js") == ["main.js", "shared/a.js", "shared/b.js", "c.js"]


def test_an_import_of_a_missing_module_is_found_before_a_browser_does(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text('import "./gone.js";\n')
    with pytest.raises(FileNotFoundError, match=r"main\.js imports gone\.js"):
        PageFiles(tmp_path).modules_of("main.js")
