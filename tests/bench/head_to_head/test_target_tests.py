"""The tests that are named, before anything is started."""

from __future__ import annotations

import pytest

from bench.errors import UserError
from bench.head_to_head.target_tests import find_tests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tests").mkdir()
    for name in ("test_steps.py", "test_more.py"):
        (tmp_path / "tests" / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("tests/test_steps.py::test_a", "tests/test_steps.py::TestJax::test_b"), ["test_a", "test_b"]),
        (("tests/test_steps.py::test_s[a::b]", "tests/test_steps.py::test_s[c]"), ["test_s[a::b]", "test_s[c]"]),
        (
            ("tests/test_steps.py::test_a", "tests/test_more.py::test_a", "tests/test_more.py::test_b"),
            ["tests/test_steps.py::test_a", "tests/test_more.py::test_a", "test_b"],
        ),
        (("tests/test_steps.py", "tests/test_more.py"), ["tests/test_steps.py", "tests/test_more.py"]),
    ],
)
def test_a_label_is_as_short_as_it_can_be(folder, names, labels):
    assert [test.label for test in find_tests(names, folder)] == labels


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("tests/test_steps.py::a",), "is one test: give another one to compare it with, or compare two revisions"),
        (("tests/test_steps.py::a", "./tests/../tests/test_steps.py::a"), "are the same test: give two different ones"),
        (("tests/test_steps.py::a", "tests/gone.py::a"), "tests/gone.py is no file here: give the path of a test"),
        (("tests", "tests/test_steps.py::a"), "--target tests: tests is no file here"),
        (("", "tests/test_steps.py::a"), "--target '' names no test"),
    ],
)
def test_a_mistake_is_named(folder, names, line):
    with pytest.raises(UserError) as caught:
        find_tests(names, folder)
    assert line in str(caught.value)
