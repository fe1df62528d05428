"""The settings: by environment, attribute and block; wrong names and values are exact errors; the page of the docs says what is there."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import exprgraph as eg
import exprgraph.__main__ as cli
from exprgraph.config import SETTINGS, Config, _commanded, _word, read, table
from exprgraph.store import folder
from runtime import doctor
from tests.processes import command

configuration = sys.modules[Config.__module__]  # `exprgraph.config` is the settings themselves

ROOT = Path(__file__).resolve().parent.parent
GOOD = {"floatX": ("float64", "float64"), "host_mirror": ("1", True), "deterministic": ("yes", True), "native": ("off", False),
        "profile": ("exit", "exit"), "cache": ("", ""), "cache_bytes": ("1024", 1024), "mode": ("FAST_COMPILE", "FAST_COMPILE")}
BAD = {"floatX": "float31", "device": " ", "host_mirror": "maybe", "native": "2", "profile": "quit", "cache_bytes": "-1", "progress": "1",
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
                              capture_output=True, env={**os.environ, **more})
    wrong = imported(EXPRGRAPH_FLOATX="float31")
    assert wrong.returncode and "EXPRGRAPH_FLOATX = 'float31': expected one of 'float32', 'float64'" in wrong.stderr
    assert wrong.stderr.splitlines()[-1].startswith("ValueError: the environment") and wrong.stderr.count("Traceback") == 1
    near = imported(EXPRGRAPH_FLOATS="float64", EXPRGRAPH_TEST_FOO="1")
    assert near.stdout == "float32\n" and "EXPRGRAPH_FLOATS sets nothing; did you mean 'EXPRGRAPH_FLOATX'?" in near.stderr
    assert "TEST_FOO" not in near.stderr


@pytest.mark.parametrize("text", ["9" * 5000, "1e3", "x" * 5000, "\n*/"])
def test_G7_a_long_or_odd_value_has_a_short_message(text: str) -> None:
    with pytest.raises(ValueError, match="EXPRGRAPH_CACHE_BYTES") as caught:
        read({"EXPRGRAPH_CACHE_BYTES": text})
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_G7_commands_say_what_is_wrong_and_the_doctor_how_to_mend_it(monkeypatch: pytest.MonkeyPatch,
                                                                         capsys: pytest.CaptureFixture[str]) -> None:
    """All that is wrong is found, and the defaults hold; what Theano is told is named too."""
    done = command("config", EXPRGRAPH_FLOATX="float31", EXPRGRAPH_MODE="fast")
    assert done.returncode == 2 and not done.stdout, done.stderr
    assert done.stderr == "exprgraph config: the environment variable EXPRGRAPH_FLOATX = 'float31': expected one of 'float32', 'float64'\n"
    near = command("config", EXPRGRAPH_FLOATS="1")
    assert near.stderr == "exprgraph config: the environment variable EXPRGRAPH_FLOATS sets nothing; did you mean 'EXPRGRAPH_FLOATX'?\n"
    faults: list[str] = []
    values = read({"EXPRGRAPH_FLOATX": "float31", "EXPRGRAPH_MODE": "fast", "EXPRGRAPH_NATIVE": "0"}, faults)
    assert values["floatX"] == "float32" and values["native"] is False
    assert [f.split()[3] for f in faults] == ["EXPRGRAPH_FLOATX", "EXPRGRAPH_MODE"]
    monkeypatch.setattr(doctor, "FAULTS", faults)
    monkeypatch.setenv("EXPRGRAPH_FLOATS", "1")
    monkeypatch.setenv("THEANO_FLAGS", "device=cuda0,floatX=float64,gcc.cxxflags=-O3,nonsense")
    said = "\n".join(map(str, doctor.environment()))
    assert "cure: unset EXPRGRAPH_FLOATX" in said and "cure: unset EXPRGRAPH_MODE" in said and said.count("WRONG") == 2
    assert "EXPRGRAPH_FLOATS sets nothing" in said and "set EXPRGRAPH_DEVICE=gpu EXPRGRAPH_FLOATX=float64" in said
    monkeypatch.setattr(cli, "FAULTS", faults)
    monkeypatch.setitem(cli.COMMANDS, "doctor", ("tests.test_config:said", ""))
    monkeypatch.setattr(cli.backend, "resolve", lambda path: lambda arguments: 7)
    assert [cli.main([c]) for c in ("doctor", "cache", "--version", "--help")] == [7, 2, 0, 0] and "FLOATX" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "place", "meant"), [
    (["python", "-m", "exprgraph", "doctor"], "-m", True), (["python", "-mexprgraph"], "-m", True),
    (["python", "-Im", "exprgraph"], "-m", True),
    (["python", "-X", "dev", "-m", "exprgraph"], "-m", True), (["python", "-m", "pytest", "-m", "exprgraph"], "-m", False),
    (["python", "script.py", "-m", "exprgraph"], "script.py", False), (["python"], "", False), (["python", "-m"], "-m", False),
    ([], "", False)])
def test_when_a_command_is_being_started(words: list[str], place: str, meant: bool) -> None:
    assert _commanded(words, place) is meant


WRONG = {"floatX": "float31", "device": "", "host_mirror": 2, "native": None, "cache_bytes": -1, "cache": None, "mode": 3, "profile": "no"}


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
               if re.search(r"environ(\.get|\[)[^\n]*(EXPRGRAPH_|PREFIX)|\bread\(os\.environ\b", p.read_text())]
    assert readers == ["config.py"]


def test_the_table_marks_what_is_not_the_default() -> None:
    with eg.change_flags(host_mirror=True):
        assert "host_mirror      1*" in table() and str(eg.config) == table()
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


def test_a_path_is_a_text_or_what_stands_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eg.config, "cache", tmp_path)
    assert eg.config.cache == str(tmp_path) and folder() == tmp_path
    with eg.change_flags(cache=tmp_path / "other"):
        assert folder() == tmp_path / "other"
    for wrong in (b"bytes", 3, None):
        with pytest.raises(ValueError, match="expected a path"):
            eg.config.cache = wrong  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"config\.device = .*expected a text"):
        eg.config.device = tmp_path  # type: ignore[assignment]


def test_a_configuration_says_where_its_values_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_given", {"EXPRGRAPH_CACHE_BYTES"})
    monkeypatch.setattr(configuration, "_assigned", set())
    eg.config.progress = eg.config.progress
    with eg.change_flags(floatX="float64"):
        said = {line.split()[0]: line for line in repr(eg.config).splitlines()}
    assert list(said) == list(SETTINGS) and said["floatX"].split() == ["floatX", "=", "'float64'", "change_flags"]
    assert [said[n].split()[-1] for n in ("progress", "cache_bytes", "native")] == ["config.progress", "EXPRGRAPH_CACHE_BYTES", "default"]


def test_what_reads_the_output_may_end_first() -> None:
    """`python -m exprgraph config | head -1`: nothing is said, and the code is that of other programs."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        done = subprocess.run([sys.executable, "-m", "exprgraph", "config"], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (cli.CUT_OFF, "")


def test_a_command_without_any_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its output was closed: `python -m exprgraph config >&-`."""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.piped(["config"]) == 0


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from exprgraph.config_command import main
    assert main([]) == 0 and capsys.readouterr().out == table() + "\n"
    assert main(["floatX"]) == 2 and "usage" in capsys.readouterr().err
