from __future__ import annotations

import pytest

from ops_platform import markdown


def test_a_table() -> None:
    assert markdown.table(("name", "rows"), [("posts", 3), ("**all**", None)]) == (
        "| name | rows |\n|---|---|\n| posts | 3 |\n| **all** |  |"
    )
    assert markdown.table(("name",), []) == "| name |\n|---|"


def test_no_text_ends_its_cell_or_its_row() -> None:
    assert markdown.table(("said",), [("a|b\nc\r\nd",)]).splitlines()[2:] == ["| a\\|b c d |"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        markdown.table(("a", "b"), [("x",)])
