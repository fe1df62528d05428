"""Suggestions: the name that was meant where one is alike, and none where none is."""
from __future__ import annotations

import pytest

import exprgraph as eg
from exprgraph.config import SETTINGS
from exprgraph.near import nearest
from runtime import device

VARIABLES = [s.variable for s in SETTINGS.values()]
ROWS = [("floatx", tuple(SETTINGS), "", "floatX"), ("FloatX ", tuple(SETTINGS), "", "floatX"),
        ("optimiser", tuple(SETTINGS), "", "optimizer"),
        ("dev", tuple(SETTINGS), "", "device"), ("exception_verbosity", tuple(SETTINGS), "", None), ("zzz", tuple(SETTINGS), "", None),
        ("linker", tuple(SETTINGS), "", None), ("floatX", tuple(SETTINGS), "", None), ("", tuple(SETTINGS), "", None), ("x", (), "", None),
        ("EXPRGRAPH_FLOATS", VARIABLES, "EXPRGRAPH_", "EXPRGRAPH_FLOATX"), ("EXPRGRAPH_ZZZ", VARIABLES, "EXPRGRAPH_", None),
        ("EXPRGRAPH_floatX", VARIABLES, "EXPRGRAPH_", "EXPRGRAPH_FLOATX"), ("EXPRGRAPH_", VARIABLES, "EXPRGRAPH_", None),
        ("EXPRGRAPH_LINKER", VARIABLES, "EXPRGRAPH_", None), ("caches", ("cache", "config"), "", "cache"),
        ("Doctor", ("doctor",), "", "doctor")]


@pytest.mark.parametrize(("word", "names", "prefix", "meant"), ROWS)
def test_what_is_suggested(word: str, names: tuple[str, ...], prefix: str, meant: str | None) -> None:
    assert nearest(word, names, prefix) == ("" if meant is None else f"; did you mean {meant!r}?")


@pytest.mark.parametrize(("wanted", "said"), [
    ("gpu", ""), ("oclgrind", ""), ("7:3", ""), ("0:9", ""), ("cuda", "; Theano's 'cuda' is 'gpu' here"),
    ("gpu0", "; Theano's 'gpu0' is 'gpu' here"),
    ("opencl0:1", "; Theano's 'opencl0:1' is '0:1' here"), ("nump", "; did you mean 'numpy'?"), ("zzzz", "")])
def test_what_is_suggested_for_a_device(wanted: str, said: str) -> None:
    """A kind or a number that is written as it should be is not near anything: there is no such device."""
    assert device._nearest(wanted, tuple(d for d in device.devices() if d.kind == "cpu")) == said


def test_names_that_are_not_loaded_yet_are_listed() -> None:
    """So that Python itself suggests them, and completion finds them."""
    assert set(eg.__all__) <= set(dir(eg)) and all(hasattr(eg, name) for name in ("compile", "vmap"))
