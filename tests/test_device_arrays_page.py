"""docs/device_arrays.md: its code runs from top to bottom and prints what stands below it."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "device_arrays.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:```\n(.*?)```\n)?", re.DOTALL)


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    space: dict[str, Any] = {"__name__": "page"}
    for number, (code, printed) in enumerate(blocks):
        exec(compile(code, f"block {number}", "exec"), space)
        assert capsys.readouterr().out == printed, code
    assert len(blocks) == 5
