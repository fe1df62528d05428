"""The page about ops of one's own: its programs run, in the order of the page, under both schedules."""
from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import exprgraph as eg

PAGE = Path(__file__).resolve().parent.parent / "docs" / "own_ops.md"


def programs() -> list[str]:
    """The programs of the page."""
    return [part.partition("```")[0] for part in PAGE.read_text().split("```python\n")[1:]]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_the_programs_of_the_page(schedule: str, monkeypatch) -> None:
    monkeypatch.setattr(eg, "compile", functools.partial(eg.compile, device="pocl", schedule=schedule))
    space: dict[str, Any] = {}
    found = programs()
    assert len(found) >= 8
    for number, program in enumerate(found):
        exec(compile(program, f"{PAGE.name}:{number}", "exec"), space)
