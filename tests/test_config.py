"""The settings: by environment, attribute and block; wrong names and values are exact errors; the page of the docs says what is there."""
from __future__ import annotations

import re
import subprocess
import sys
import threading
from os import environ
from pathlib import Path

import pytest

import exprgraph as eg
from exprgraph.config import SETTINGS, Config, _word, read, table

ROOT = Path(__file__).resolve().parent.parent
GOOD = {"floatX": ("float64", "float64"), "real_rules": ("1", True), "deterministic": ("yes", True), "native": ("off", False),
        "profile": ("exit", "exit"), "cache": ("", ""), "cache_bytes": ("1024", 1024), "mode": ("FAST_COMPILE", "FAST_COMPILE")}
BAD = {"floatX": "float31", "device": " ", "real_rules": "maybe", "native": "2", "profile": "quit", "cache_bytes": "-1", "progress": "1",
       "mode": "FAST", "schedule": "tpu", "optimizer": "FULL", "on_unused_input": "", "deterministic": "None"}


@pytest.mark.parametrize("name", GOOD)
def test_the_environment_is_read(name: str) -> None:
    text, value = GOOD[name]
    assert read({f"EXPRGRAPH_{name.upper()}": text})[name] == value


@pytest.mark.parametrize("name", BAD)
def test_G7_a_wrong_value_in_the_environment_names_the_variable(name: str) -> None:
    with pytest.raises(ValueError, match=f"EXPRGRAPH_{name.upper()} = .*expected"):
        read({f"EXPRGRAPH_{name.upper()}": BAD[name]})


def test_G7_a_wrong_value_stops_the_import_and_a_wrong_name_warns() -> None:
    def imported(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", "import exprgraph as eg; print(eg.config.floatX)"], cwd=ROOT, text=True,
                              capture_output=True, env={**environ, **more})
    wrong = imported(EXPRGRAPH_FLOATX="float31")
    assert wrong.returncode and "EXPRGRAPH_FLOATX = 'float31': expected one of 'float32', 'float64'" in wrong.stderr
    near = imported(EXPRGRAPH_FLOATS="float64", EXPRGRAPH_TEST_FOO="1")
    assert near.stdout == "float32\n" and "EXPRGRAPH_FLOATS sets nothing; did you mean 'EXPRGRAPH_FLOATX'?" in near.stderr
    assert "TEST_FOO" not in near.stderr


WRONG = {"floatX": "float31", "device": "", "real_rules": 2, "native": None, "cache_bytes": -1, "cache": None, "mode": 3, "profile": "no"}


@pytest.mark.parametrize("name", WRONG)
def test_G7_a_wrong_value_changes_nothing(name: str) -> None:
    before = {n: getattr(eg.config, n) for n in SETTINGS}
    with pytest.raises(ValueError, match=rf"config\.{name} = "):
        setattr(eg.config, name, WRONG[name])
    with pytest.raises(ValueError, match=rf"config\.{name} = "), eg.change_flags(**{"progress": "off", name: WRONG[name]}):
        raise AssertionError("the block was entered")
    assert before == {n: getattr(eg.config, n) for n in SETTINGS}


def test_G7_a_wrong_name_is_an_error_everywhere() -> None:
    for wrong in (lambda: eg.config.floatx, lambda: eg.change_flags(floatx="float64").__enter__()):
        with pytest.raises(AttributeError, match="did you mean 'floatX'"):
            wrong()


def test_an_assignment_in_a_block_ends_with_it() -> None:
    with eg.change_flags(floatX="float64"):
        eg.config.floatX = "float32"
        assert eg.matrix().dtype == "float32"
        with eg.change_flags(floatX="float64"):
            assert eg.matrix().dtype == "float64"
        eg.config.floatX = "float64"
    assert eg.config.floatX == "float32"


def test_a_block_holds_in_its_own_thread() -> None:
    """Two threads whose blocks overlap leave, in any order, what was there before."""
    entered, seen = threading.Barrier(2), {}

    def run(value: str) -> None:
        with eg.change_flags(floatX=value):
            entered.wait(20)
            seen[value] = eg.matrix().dtype
            entered.wait(20)
    other = threading.Thread(target=run, args=("float64",))
    other.start()
    run("float32")
    other.join()
    assert seen == {"float64": "float64", "float32": "float32"} and eg.config.floatX == "float32"


def test_at_most_twenty_settings_and_the_page_names_them_all() -> None:
    lines = (ROOT / "docs" / "settings.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    wanted = [[f"`{s.name}`", f"`{_word(s.default)}`" if _word(s.default) else "",
               " ".join(f"`{w}`" for w in s.kind.split()) if s.choices else s.kind, s.meaning] for s in SETTINGS.values()]
    assert rows == wanted and len(rows) <= 20


def test_no_other_module_reads_a_variable_of_ours() -> None:
    readers = [p.name for top in ("exprgraph", "codegen", "runtime") for p in (ROOT / top).rglob("*.py")
               if re.search(r"environ(\.get|\[)[^\n]*(EXPRGRAPH_|PREFIX)|\(os\.environ\)", p.read_text())]
    assert readers == ["config.py"]


def test_the_table_marks_what_is_not_the_default() -> None:
    with eg.change_flags(real_rules=True):
        assert "real_rules       1*" in table() and str(eg.config) == table()
    assert Config.floatX.variable == "EXPRGRAPH_FLOATX" and dir(eg.config) == sorted(SETTINGS)


def test_what_the_ladder_names_is_there() -> None:
    """The table of the README, from symptoms to what helps."""
    section = (ROOT / "README.md").read_text().partition("## When something is wrong or slow\n")[2].partition("\n## ")[0]
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="numpy", profile=True)
    names = re.findall(r"\beg\.(\w+)", section)
    methods = re.findall(r"\bf\.(\w+(?:\.\w+)?)", section)
    assert {"explain", "Print", "Assert", "MonitorMode"} <= set(names) and all(hasattr(eg, n) for n in names)
    assert {"source", "why", "profile"} <= set(methods) and all(hasattr(f.profile if "." in m else f, m.split(".")[-1]) for m in methods)
    for mode in re.findall(r'mode="(\w+)"', section):
        eg.compile([x], x + 1, device="numpy", mode=mode)


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from exprgraph.config_command import main
    assert main([]) == 0 and capsys.readouterr().out == table() + "\n"
    assert main(["floatX"]) == 2 and "usage" in capsys.readouterr().err
