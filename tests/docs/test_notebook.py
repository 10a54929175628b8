"""The notebook of the documentation runs, and what it shows is what it prints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
NOTEBOOK = PROJECT / "docs/python-api.ipynb"

nbformat = pytest.importorskip("nbformat", reason="the extra `dev` is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra `dev` is not installed")


def list_printed(notebook: Any) -> dict[str, str]:
    """What each cell prints, by its source."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {
        cell.source: "".join(output["text"] for output in cell.outputs if output.output_type == "stream")
        for cell in cells
    }


@pytest.mark.slow
def test_the_notebook_runs_and_prints_what_it_shows(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH")))))
    stored = nbformat.read(NOTEBOOK, as_version=4)
    shown = list_printed(stored)
    client = nbclient.NotebookClient(stored, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    assert any("_repr_html_" not in source and text for source, text in shown.items())
    stale = "it is stale: jupyter execute --inplace docs/python-api.ipynb"
    assert {source: text.split() for source, text in list_printed(stored).items()} == {
        source: text.split() for source, text in shown.items()
    }, stale


def test_the_notebook_names_no_folder_of_a_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not [word for word in ("/home/", "/root/", "/tmp/", "/Users/") if word in text]
