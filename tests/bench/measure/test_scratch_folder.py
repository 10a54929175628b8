"""The scratch folder: where workers find their files."""

from __future__ import annotations

from bench.measure.scratch_folder import make_scratch_folder


def test_a_relative_folder_for_temporary_files_is_found_from_everywhere(monkeypatch, tmp_path):
    """What TMPDIR=. makes of it: before Python 3.12, the module `tempfile` keeps it relative."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", ".")
    with make_scratch_folder() as folder:
        assert folder.is_absolute()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
