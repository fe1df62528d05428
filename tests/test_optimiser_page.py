"""The page about the optimiser: its programs run in the order of the page, and its tables name the tags that there are."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import exprgraph as eg
from exprgraph.modes import OPTIMIZERS
from exprgraph.rules.catalogue import LISTS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "optimiser.md").read_text()


@pytest.mark.filterwarnings("error")
def test_the_programs_of_the_page() -> None:
    space: dict[str, Any] = {}
    programs = [part.partition("```")[0] for part in PAGE.split("```python\n")[1:]]
    assert len(programs) >= 6
    with eg.change_flags(device="pocl"):
        for number, program in enumerate(programs):
            exec(compile(program, f"optimiser.md:{number}", "exec"), space)


def test_the_tables_of_the_page() -> None:
    rows = {row.split("`")[1]: re.findall(r"`(\w+)`", row.split("|")[3]) for row in PAGE.splitlines() if re.match(r"\| `\w+` \|", row)}
    found: dict[str, set[str]] = {}
    for rule in (r for rules in LISTS.values() for r in rules):
        found.setdefault(rule.tags[0], set()).add(rule.tags[1])
    assert {name: set(tags) for name, tags in rows.items()} == found
    assert [level for level in OPTIMIZERS if f'`"{level}"`' not in PAGE] == []
