"""`bench publish`: what a site has, what is written again, and what is left out; its feed and its badge are valid."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from bench.publish import site as site_module
from bench.publish.badge import describe_result, draw_badge
from bench.publish.page_names import make_page_name
from bench.publish.site_content import read_content
from tests.bench.example_records import BROKEN, launches
from tests.bench.processes import PROJECT
from tests.bench.stored_runs import write_history, write_run

ATOM = "{http://www.w3.org/2005/Atom}"
REFERENCE = PROJECT / "results/reference"
HOSTILE = "20260131T000000Z-<script>alert('x')</script>&\" #?%2e"


@pytest.fixture
def publish(command_line, tmp_path):
    """Returns a function that publishes `results` into `site`, and returns the finished command."""

    def run(*options: object, status: int = 0):
        ended = command_line("publish", tmp_path / "site", "--results", tmp_path / "results", *options)
        assert ended.status == status, ended.err
        return ended

    return run


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class Links(HTMLParser):
    """The addresses in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("href", "src")]


def list_links(page: Path) -> list[str]:
    found = Links(page.read_text(encoding="utf-8")).found
    return [link for link in found if not link.startswith(("#", "data:"))]


def test_a_site_has_a_page_a_run_a_history_a_badge_and_a_feed_and_no_link_is_broken(publish, tmp_path):
    write_history(tmp_path / "results", [5.0] * 6 + [6.0] * 6)
    shutil.copytree(REFERENCE / "20261126T164841Z-quick", tmp_path / "results/20261126T164841Z-quick")
    out = publish().out
    site = tmp_path / "site"
    assert "Runs: 13, baselines: 0; files: 18 written, 0 unchanged, 0 removed." in out
    runs = {f"runs/202601{day:02}T000000Z-quick.html" for day in range(1, 13)} | {"runs/20261126T164841Z-quick.html"}
    files = list_files(site)
    assert files - {name for name in files if name.startswith("history/")} == runs | {
        "index.html",
        "badge.svg",
        "feed.xml",
        "site.json",
    }
    assert len([name for name in files if name.startswith("history/")]) == 2
    for page in site.rglob("*.html"):
        for link in list_links(page):
            assert not re.match(r"[a-z]+:|/", link), f"{link} is no relative link"
            assert (page.parent / unquote(link.partition("#")[0])).is_file(), f"{page}: {link}"
        assert page.stat().st_size < 500_000
    reached = {link for page in site.rglob("*.html") for link in list_links(page) if link.startswith("runs/")}
    assert reached >= runs


def test_a_history_shows_the_change_and_its_commits(publish, tmp_path):
    write_history(tmp_path / "results", [5.0] * 6 + [6.0] * 6)
    publish()
    (page,) = (tmp_path / "site/history").iterdir()
    text = page.read_text(encoding="utf-8")
    assert "git log 6000000..7000000" in text
    assert re.search(r"<bdi>pytorch/default</bdi>: 2\d\.\d % slower", text) or "20.0 % slower" in text
    assert text.count('class="break"') == 2, "of pipeline and compute rounds; Keras did not change"
    assert "../runs/20260107T000000Z-quick.html" in text
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "commits 6000000..7000000" in index


def test_a_series_without_a_change_says_so(publish, tmp_path):
    write_history(tmp_path / "results", [5.0] * 8)
    publish()
    (page,) = (tmp_path / "site/history").iterdir()
    assert "No permanent change found in 8 runs." in page.read_text(encoding="utf-8")
    assert 'class="break"' not in page.read_text(encoding="utf-8")


def test_only_what_has_changed_is_written(publish, tmp_path, monkeypatch):
    runs = write_history(tmp_path / "results", [5.0] * 3)
    publish()
    site = tmp_path / "site"
    before = {name: (site / name).stat().st_mtime_ns for name in list_files(site)}
    made = []
    real = site_module.format_run
    monkeypatch.setattr(site_module, "format_run", lambda *values: made.append(values) or real(*values))
    assert "files: 0 written, 7 unchanged, 0 removed." in publish().out
    assert {name: (site / name).stat().st_mtime_ns for name in list_files(site)} == before
    assert made == []
    next((runs[0] / "records").iterdir()).unlink()
    publish()
    changed = {name for name in list_files(site) if (site / name).stat().st_mtime_ns != before.get(name)}
    assert len(made) == 1
    assert "runs/20260101T000000Z-quick.html" in changed
    assert not changed & {"runs/20260102T000000Z-quick.html", "runs/20260103T000000Z-quick.html"}
    (site / "runs/20260102T000000Z-quick.html").unlink()
    publish()
    assert (site / "runs/20260102T000000Z-quick.html").is_file(), "a page that was removed is made again"


def test_other_code_makes_all_pages_again(publish, tmp_path, monkeypatch):
    write_history(tmp_path / "results", [5.0] * 2)
    publish()
    made = []
    real = site_module.format_run
    monkeypatch.setattr(site_module, "format_run", lambda *values: made.append(values) or real(*values))
    monkeypatch.setattr(site_module, "_compute_code_digest", lambda: "other")
    publish()
    assert len(made) == 2


def test_a_deleted_run_disappears_and_no_other_file_does(publish, tmp_path):
    runs = write_history(tmp_path / "results", [5.0] * 3)
    publish()
    site = tmp_path / "site"
    (site / "runs/mine.html").write_text("mine")
    (site / "CNAME").write_text("example.org")
    manifest = json.loads((site / "site.json").read_text())
    manifest["files"] |= {"../results/20260102T000000Z-quick/request.json": "", "CNAME": "", "/etc/x.html": ""}
    (site / "site.json").write_text(json.dumps(manifest))
    shutil.rmtree(runs[0])
    assert "1 removed" in publish().out
    assert not (site / "runs/20260101T000000Z-quick.html").exists()
    assert (site / "runs/mine.html").read_text() == "mine"
    assert (site / "CNAME").exists()
    assert (runs[1] / "request.json").exists()
    assert "20260101T000000Z-quick" not in (site / "index.html").read_text()


def test_a_hostile_name_stays_text_and_has_a_harmless_file(publish, tmp_path):
    strange = [
        one.model_copy(update={"task": one.task.model_copy(update={"name": "<img src=x onerror=alert(1)>"})})
        for one in [*launches("pytorch", 4), *launches("keras", 4)]
    ]
    try:
        write_run(tmp_path / "results", HOSTILE.replace("/", "_"), strange)
    except OSError:
        pytest.skip("this file system has no such names")
    publish()
    for name in list_files(tmp_path / "site"):
        assert re.fullmatch(r"[A-Za-z0-9._+=/-]+", name)
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<img" not in text
        assert "<script>alert" not in text
    ElementTree.parse(tmp_path / "site/feed.xml")
    ElementTree.parse(tmp_path / "site/badge.svg")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[:300], "it is cut off or not JSON"),
        (lambda text: text.replace('"launch": ', '"launch": 9'), "it was changed after it was measured"),
    ],
    ids=["cut off", "edited"],
)
def test_a_run_that_cannot_be_read_is_a_warning_and_the_others_have_their_pages(publish, tmp_path, damage, reason):
    runs = write_history(tmp_path / "results", [5.0] * 3)
    for path in (runs[0] / "records").iterdir():
        path.write_text(damage(path.read_text()))
    one = sorted((runs[1] / "records").iterdir())[0]
    one.write_text(damage(one.read_text()))
    out = publish().out
    assert "warning: run 20260101T000000Z-quick is left out: " in out
    assert f"warning: run 20260102T000000Z-quick: records/{one.name} is left out: {reason}"[:70] in out
    assert list_files(tmp_path / "site/runs") == {"20260102T000000Z-quick.html", "20260103T000000Z-quick.html"}
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "Left out" in index
    assert str(tmp_path) not in index, "a published page names no folder of the machine"
    assert reason in index


def test_a_page_that_cannot_be_made_is_a_warning_that_names_the_run(publish, tmp_path, monkeypatch):
    write_history(tmp_path / "results", [5.0, 6.0])
    real = site_module.format_run

    def fail(records, *others):
        if records[0].run == "20260101T000000Z-quick":
            raise ValueError("planted")
        return real(records, *others)

    monkeypatch.setattr(site_module, "format_run", fail)
    out = publish().out
    assert "warning: run 20260101T000000Z-quick has no page: ValueError: planted" in out
    assert list_files(tmp_path / "site/runs") == {"20260102T000000Z-quick.html"}
    for page in (tmp_path / "site").rglob("*.html"):
        assert not any("20260101T000000Z" in link for link in list_links(page))
    assert "ValueError: planted" in (tmp_path / "site/index.html").read_text()


def test_the_feed_is_atom_with_stable_ids_that_need_no_host(publish, tmp_path):
    runs = write_history(tmp_path / "results", [5.0] * 6 + [6.0] * 6)
    publish()
    path = tmp_path / "site/feed.xml"
    feed = ElementTree.parse(path).getroot()
    assert feed.tag == f"{ATOM}feed"
    for required in ("id", "title", "updated", "author"):
        assert len(feed.findall(f"{ATOM}{required}")) == 1
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 14, "12 runs, and a change of two metrics"
    ids = [feed.findtext(f"{ATOM}id"), *(entry.findtext(f"{ATOM}id") for entry in entries)]
    assert len(set(ids)) == 15
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one) for one in ids)
    for entry in entries:
        assert all(entry.findtext(f"{ATOM}{name}") for name in ("title", "updated", "summary"))
        link = entry.find(f"{ATOM}link").get("href")
        assert (path.parent / link).is_file()
    times = [datetime.fromisoformat(entry.findtext(f"{ATOM}updated")) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert feed.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated")
    shutil.rmtree(runs[0])
    publish("--url", "https://example.org/benchmarks")
    again = ElementTree.parse(path).getroot()
    assert {entry.findtext(f"{ATOM}id") for entry in again.findall(f"{ATOM}entry")} < set(ids)
    links = [link.get("href") for link in again.iter(f"{ATOM}link")]
    assert all(link.startswith("https://example.org/benchmarks/") for link in links)
    assert [link.get("rel") for link in again.findall(f"{ATOM}link")] == ["alternate", "self"]


@pytest.mark.parametrize(
    "url",
    [
        "example.org",
        "javascript:alert(1)",
        "https://a b",
        "https://",
        "http:///x",
        "https:example.org",
        "https://a/?b",
        "https://a/#b",
        "https://a\u202eb",
        "https://[a",
    ],
)
def test_an_address_that_is_none_is_refused(publish, tmp_path, url):
    write_history(tmp_path / "results", [5.0])
    ended = publish("--url", url, status=2)
    assert f"--url {url}: give the address of the site" in ended.err
    assert not (tmp_path / "site").exists()


def test_the_badge_says_no_more_than_the_verdict(tmp_path):
    several = {
        "winner": ([*launches("pytorch", 6, step_ms=5), *launches("keras", 6, step_ms=9)], "PyTorch fastest"),
        "tie": ([*launches("pytorch", 6, noise=0.05), *launches("keras", 6, noise=0.05)], "no difference found"),
        "alone": (launches("pytorch", 4), "measured"),
        "apart": ([*launches("pytorch", 4), *launches("keras", 4, proof=BROKEN)], "not comparable"),
        "few": ([*launches("pytorch", 1), *launches("keras", 1)], "too few launches"),
    }
    for number, (name, (records, text)) in enumerate(several.items(), start=1):
        write_run(tmp_path / name, f"202601{number:02}T000000Z-quick", records)
        (run,) = read_content(tmp_path / name).runs
        assert describe_result(run) == ("cifar10-resnet18", text), name
    badge = ElementTree.fromstring(draw_badge("a" * 100, "<b>").partition("\n")[2])
    assert badge.find("{http://www.w3.org/2000/svg}title").text == f"{'a' * 39}…: <b>"
    assert describe_result(None) == ("head-to-head", "no run yet")


def test_a_baseline_is_listed_and_is_a_point_of_its_history_without_its_run(publish, tmp_path, command_line):
    runs = write_history(tmp_path / "results", [5.0] * 2, count=6)
    saved = command_line("baseline", "save", "main", "--run", runs[0], "--results", tmp_path / "results")
    assert saved.status == 0, saved.err
    (tmp_path / "results/baselines/broken.json").write_text("{")
    publish()
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "2 runs, 1 baseline" in index
    assert "broken.json cannot be used" in index
    shutil.rmtree(runs[0])
    publish()
    (page,) = (tmp_path / "site/history").iterdir()
    text = page.read_text(encoding="utf-8")
    assert "2 runs" in text
    assert "20260101T000000Z-quick" in text
    assert "runs/20260101T000000Z-quick.html" not in text


def test_the_report_of_another_command_is_part_of_the_site(publish, tmp_path):
    write_history(tmp_path / "results", [5.0])
    sweep = tmp_path / "results/20260120T000000Z-sweep"
    (sweep / "combinations").mkdir(parents=True)
    (sweep / "report.html").write_text("<!DOCTYPE html><title>a sweep</title>")
    publish()
    assert (tmp_path / "site/runs/20260120T000000Z-sweep.html").read_text() == (sweep / "report.html").read_text()
    assert "runs/20260120T000000Z-sweep.html" in list_links(tmp_path / "site/index.html")


def test_an_empty_results_folder_and_a_folder_of_another_site_are_one_line(publish, tmp_path):
    assert "there is no run in" in publish(status=2).err
    assert not (tmp_path / "site").exists()
    write_history(tmp_path / "results", [5.0])
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    assert "is not a page of bench publish: give an empty folder" in publish(status=2).err
    assert list_files(tmp_path / "site") == {"index.html"}
    for manifest in ('{"name": "another tool", "files": {}}', '{"schema_version": 2, "files": {}}', "[1]"):
        (tmp_path / "site/site.json").write_text(manifest)
        assert "site.json is not of this version of bench publish" in publish(status=2).err
        assert (tmp_path / "site/site.json").read_text() == manifest
        assert (tmp_path / "site/index.html").read_text() == "mine"
    (tmp_path / "site/site.json").unlink()
    (tmp_path / "site/index.html").unlink()
    (tmp_path / "site").rmdir()
    (tmp_path / "site").write_text("a file")
    assert "cannot write" in publish(status=2).err


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("20260101T000000Z-a", "20260101T000000Z-A"),
        ("20260101T000000Z-a b", "20260101T000000Z-a_b"),
        ("x" * 120, "x" * 121),
        ("..", "."),
    ],
)
def test_two_names_have_two_files_on_any_file_system(one, other):
    first, second = make_page_name(one), make_page_name(other)
    assert first.lower() != second.lower()
    assert all(re.fullmatch(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*\.html", name) for name in (first, second))


def test_a_plain_name_is_kept():
    assert make_page_name("20261126T164841Z-quick-2") == "20261126T164841Z-quick-2.html"
