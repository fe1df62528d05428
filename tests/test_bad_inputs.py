"""Bad inputs: a short message of the right class that names the user's line, and afterwards everything works as before."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from tests import bad_calls, bad_graphs

pytestmark = pytest.mark.usefixtures("device")
LINE = r"bad_(calls|graphs)\.py:\d+"
_made: dict[tuple[str, str], eg.Function] = {}


def message_of(run: Callable[[], Any], error: Any, parts: list[str], lines: int = 4, length: int = 400) -> None:
    """The call raises the error with a short message that has the parts, and a line of the table."""
    with pytest.raises(error) as caught:
        run()
    message = str(caught.value)
    for part in [*parts, *[LINE] * (not isinstance(caught.value, MemoryError))]:
        assert re.search(part, message), f"{part!r} is not in:\n{message}"
    plain = re.sub(r"\S*" + LINE, "LINE", message)  # a path may be long
    if "largest" in message:  # it lists tensors
        lines, length = 20, 2000
    assert len(plain.splitlines()) <= lines and len(plain) <= length, message


def function(name: str) -> eg.Function:
    """The function of a subject, one for each device."""
    key = (name, eg.config.device)
    if key not in _made:
        inputs, outputs = bad_calls.SUBJECTS[name].make()
        _made[key] = eg.compile(inputs, outputs, name=name)
    return _made[key]


def works(name: str) -> None:
    """The right call gives the right results."""
    subject = bad_calls.SUBJECTS[name]
    found = function(name)(*subject.good)
    for got, wanted in zip(found if isinstance(found, list) else [found], subject.wanted, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("name", "call", "error", "parts"), [r[1:] for r in bad_calls.ROWS], ids=[r[0] for r in bad_calls.ROWS])
def test_A28_B6_C2_C3_C4_C7_C8_C9_C10_C11_C14_C16_G6_bad_arguments(name: str, call: Callable[..., Any], error: Any,
                                                                   parts: list[str]) -> None:
    works(name)
    f = function(name)
    for _ in range(2):  # the second time by the way that is taken after a first right call
        message_of(lambda: call(f), error, parts)
        works(name)


@pytest.mark.parametrize(("run", "error", "parts"), [r[1:] for r in bad_graphs.ROWS], ids=[r[0] for r in bad_graphs.ROWS])
def test_B6_B10_C3_C4_C7_C9_C11_C12_C13_C14_D12_G1_G2_G3_G4_G5_G6_G7_H1_bad_graphs(
        run: Callable[[], Any], error: Any, parts: list[str]) -> None:
    message_of(run, error, parts, 5, 700)
    bad_graphs.works()


def test_there_are_enough_of_them() -> None:
    """Each has a name of its own."""
    names = [r[0] for r in bad_calls.ROWS + bad_graphs.ROWS]
    assert len(set(names)) == len(names) >= 150 and {r[1] for r in bad_calls.ROWS} == set(bad_calls.SUBJECTS)
