"""Which modules of a project count as imported from elsewhere."""

from __future__ import annotations

import importlib
import sys

import pytest

from bench.worker.imported_modules import find_project_modules_outside


@pytest.mark.parametrize(
    ("module", "is_found"),
    [
        ("acme_core", True),
        ("__editable___acme_1_finder", False),
        ("_editable_impl_acme", False),
        ("_acme_editable_loader", False),
        ("_acme_editable", False),
    ],
)
def test_an_installed_module_is_foreign_and_the_loader_of_an_editable_install_is_not(
    tmp_path, monkeypatch, module, is_found
):
    """As after `pip install --editable` of a project whose packages lie in its top folder."""
    installed = tmp_path / "installed"
    (installed / "acme-1.dist-info").mkdir(parents=True)
    (installed / "acme-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (installed / "acme-1.dist-info/RECORD").write_text(f"{module}.py,,\n")
    (installed / f"{module}.py").touch()
    monkeypatch.syspath_prepend(installed)
    importlib.import_module(module)
    revision = tmp_path / "revision"
    found = find_project_modules_outside(revision, [revision], tmp_path / "working tree", ["acme"])
    del sys.modules[module]
    assert (module in found) is is_found
