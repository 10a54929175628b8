"""What the user's configuration of Keras says is recorded, whatever stands in the file."""

from __future__ import annotations

import pytest

from bench.machine.keras_configuration import read_keras_configuration


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"backend": "jax", "epsilon": 1e-7, "other": 1}', {"backend": "jax", "epsilon": "1e-07"}),
        ("{}", {}),
        ("[1]", {}),
        ('{"backend"', {}),
        ("\udcff", {}),
    ],
)
def test_the_settings_of_keras_are_read_and_nothing_else(tmp_path, content, found):
    (tmp_path / "keras.json").write_bytes(content.encode(errors="surrogateescape"))
    assert read_keras_configuration({"KERAS_HOME": str(tmp_path)}) == found


def test_without_kerass_variable_it_is_below_the_users_home_and_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_keras_configuration({}) == {}
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text('{"backend": "torch"}')
    assert read_keras_configuration({}) == {"backend": "torch"}
