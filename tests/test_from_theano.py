"""docs/from_theano.md: its code runs from top to bottom and prints what stands below it, on each backend."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "from_theano.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:```\n(.*?)```\n)?", re.DOTALL)


def test_the_page(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    space: dict[str, Any] = {"__name__": "page"}
    for number, (code, printed) in enumerate(blocks):
        exec(compile(code, f"block {number}", "exec"), space)
        assert capsys.readouterr().out == printed, code
    assert len(blocks) >= 9
