"""Imports run one way, without circles, and heavy packages are loaded only by what needs them; imports inside functions count."""
from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"exprgraph": 0, "codegen": 1, "runtime": 2}
NUMPY = {"numpy"}
WHEN_CALLED = {"exprgraph": {"sympy", "networkx"}, "codegen": set(), "runtime": set()}
ALWAYS = {"exprgraph": NUMPY, "codegen": NUMPY, "runtime": NUMPY | {"pyopencl"}}
MODULES = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
           for top in FLOORS for p in sorted((ROOT / top).rglob("*.py"))}


@cache
def imports_of(name: str) -> list[tuple[str, bool]]:
    """The full names that a module imports, each with whether that happens when the module is loaded."""
    found: list[tuple[str, bool]] = []
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(MODULES[name].read_text()), True)]
    while todo:
        node, loaded = todo.pop()
        if isinstance(node, ast.Import):
            found += [(a.name, loaded) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative import"
            found += [(f"{node.module}.{a.name}", loaded) for a in node.names]
        elif not isinstance(node, ast.expr):  # no expression holds an import
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            todo += [(n, loaded and not inside) for n in ast.iter_child_nodes(node)]
    return found


def ours(wanted: str) -> str | None:
    """The module of ours that an imported name lies in."""
    while wanted and wanted not in MODULES:
        wanted = wanted.rpartition(".")[0]
    return wanted or None


@cache
def arrows() -> dict[str, set[str]]:
    """For each module those of ours that it imports."""
    return {name: {m for w, _ in imports_of(name) if (m := ours(w)) and m != name} for name in MODULES}


def test_every_folder_of_a_room_is_installed() -> None:
    """Who works in the checkout does not see that pip leaves a folder out, as it did with exprgraph.own once: it finds all packages."""
    wanted = ", ".join(f'"{top}*"' for top in FLOORS)
    assert f"[tool.setuptools.packages.find]\ninclude = [{wanted}]\n" in (ROOT / "pyproject.toml").read_text()
    assert {p.parent for p in MODULES.values()} == {p.parent for p in MODULES.values() if p.name == "__init__.py"}


def test_direction() -> None:
    upward = [(a, b) for a, targets in arrows().items() for b in targets if FLOORS[b.split(".")[0]] > FLOORS[a.split(".")[0]]]
    assert upward == []


def test_no_circles() -> None:
    left = {a: set(b) for a, b in arrows().items()}
    while free := [a for a, b in left.items() if not b & left.keys()]:
        for a in free:
            del left[a]
    assert not left, f"a circle lies among {sorted(left)}"


@pytest.mark.parametrize("name", MODULES)
def test_foreign_packages(name: str) -> None:
    """exprgraph: NumPy, and sympy and networkx when called; codegen: NumPy; runtime alone pyopencl."""
    top = name.split(".")[0]
    allowed = ALWAYS[top] | set(sys.stdlib_module_names) | set(FLOORS)
    foreign = [(w, loaded) for w, loaded in imports_of(name) if w.split(".")[0] not in allowed]
    assert [w for w, loaded in foreign if loaded or w.split(".")[0] not in WHEN_CALLED[top]] == []


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, exprgraph; print([m for m in ('pyopencl', 'sympy', 'networkx', 'runtime', 'codegen') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_names_are_found_when_asked_for() -> None:
    code = ("import sys, exprgraph as eg; x = eg.scalar('x'); print(eg.pp(eg.exp(-x)), eg.to_sympy(eg.exp(-x)), eg.to_networkx(x), "
            "eg.latex(x), 'pyopencl' in sys.modules)")
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "exp(-x) exp(-x) MultiDiGraph with 1 nodes and 0 edges x False"
