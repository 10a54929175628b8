"""The site: a page for each command with all its options, and links that lead where they lead on GitHub."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.cli.test_advice import OPTIONS, list_options

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")


@pytest.fixture(scope="module", autouse=True)
def _site_pages():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield


def build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", str(docs), str(out)]
    return subprocess.run(command, cwd=docs.parent, capture_output=True, text=True, check=False)


def test_every_command_has_a_page_with_all_its_options():
    from site_pages import command_pages

    pages = command_pages.make_pages()
    assert {name.removeprefix("commands/").removesuffix(".md") for name in pages} == {
        name.replace(" ", "-") for name in OPTIONS
    }
    for words, command in command_pages.list_commands():
        page = pages[f"commands/{'-'.join(words)}.md"]
        named = set(re.findall(r"^\| `(--[a-z0-9-]+)", page, re.M))
        # Read without its application, a command also has names that the application switches off.
        all_names = list_options(command) if command.default_command else set()
        options = {name for name in all_names if re.match("--(?!no-|empty-)", name)}
        assert named == options, words
        assert page.startswith(f"# bench {' '.join(words)}\n\n")


def test_a_page_says_what_the_help_page_says():
    from site_pages import command_pages

    page = command_pages.make_pages()["commands/run.md"]
    assert "```text\nbench run [OPTIONS] [ARGS...]\n```" in page
    assert "| `--epochs INT` | Passes over the training images. |" in page
    assert "| `--seeds INT` | Fine-tunes of each case, each with another seed. Default: `1`. |" in page
    assert "stores everything in `--results`." in " ".join(page.split())
    assert "| `--max-time TIME` | Time limit of `--until`, as `90s`, `10m` or `1h`. |" in page


@pytest.mark.parametrize(
    ("link", "page", "turned"),
    [
        ("[a](../CONTRIBUTING.md#set-up)", "gate.md", "[a](project/CONTRIBUTING.md#set-up)"),
        ("[a](../results/README.md)", "deeper/page.md", "[a](../results/README.md)"),
        ("[a](gate.md#trends) [b](#here) [c](https://example.org/x.md)", "gate.md", None),
        ("[a]: ../CHANGELOG.md", "gate.md", "[a]: project/CHANGELOG.md"),
    ],
)
def test_links_out_of_the_folder_lead_to_copies(link, page, turned):
    from site_pages import outside_pages

    assert outside_pages.turn_links(link, page) == (turned or link)


def test_a_copy_links_what_its_original_links():
    from site_pages import outside_pages

    text = "[a](docs/gate.md#x) [b](LICENSE) [c](#here) [d](https://example.org) [e](results/README.md)"
    assert outside_pages.move_links(text, "README.md") == (
        "[a](../gate.md#x) [b](../../LICENSE) [c](#here) [d](https://example.org) [e](../../results/README.md)"
    )


def test_the_contents_have_the_sections_of_the_index():
    from site_pages import contents

    made = contents.make_contents("## Use\n\n| [a](a.md) |\n| [c](../C.md) |\n\n## Trust\n\n[b](b.md)\n", "README.md")
    assert re.findall(r":caption: (.*)\n:hidden:\n\n((?:.+\n)+)```", made) == [
        ("Use", "a\nproject/C\n"),
        ("Trust", "b\n"),
    ]


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("furo") is None, reason="the extra `docs` is not installed")
def test_a_broken_link_and_a_forgotten_page_fail_the_build(tmp_path):
    shutil.copytree(PROJECT, tmp_path / "tree", ignore=shutil.ignore_patterns(".*", "build", "results", "tests"))
    docs = tmp_path / "tree/docs"
    (docs / "gate.md").write_text((docs / "gate.md").read_text() + "\n[gone](sweeps.md#gone)\n")
    (docs / "forgotten.md").write_text("# Forgotten\n\nIs this page found?\n")
    done = build(docs, tmp_path / "out")
    assert done.returncode != 0
    assert "gone" in done.stderr
    assert "forgotten.md: WARNING: document isn't included in any toctree" in done.stderr
