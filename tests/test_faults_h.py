"""Text of users never reaches kernels (row H1): messages, names of ops, of files and of settings, beside the names of `test_faults_b`."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

F = np.float32
TEXT = 'zq*/ {\n#include "/etc/passwd"\n#pragma zq\\\n??/ __kernel void zq() {} %s %d {zq} \' \0 \u00b5'
WORDS = ("zq", "passwd", "void zq", "test_faults_h")


def own_file(text: str) -> Any:
    """A function of a file whose name is the text."""
    scope: dict[str, Any] = {"eg": eg}
    exec(compile("def build(x):\n    return eg.exp(x) * 3 + x[::-1]\n", text, "exec"), scope)
    return scope["build"]


CALLS: dict[str, Callable[[Any], Any]] = {
    "message of an Assert": lambda x: eg.Assert(TEXT.replace("{zq}", ""))(x * 5, x < 99),
    "message of a Print": lambda x: eg.Print(TEXT)(x * 6),
    "name of a tensor": lambda x: _named(x * 8 + x.sum()),
    "name of a file": own_file(TEXT.replace("\0", "")),
    "name of a checkpoint": lambda x: eg.checkpoint(_function(TEXT))(x) + 9,
    "name of an OpFromGraph": lambda x: eg.OpFromGraph([y := eg.vector(TEXT)], [eg.tanh(y) * 10], name=TEXT)(x)}


def _named(out: Any) -> Any:
    out.name = TEXT
    return out


def _function(text: str) -> Any:
    def inside(x: Any) -> Any:
        return eg.sin(x) * 2
    inside.__name__ = inside.__qualname__ = text
    return inside


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("case", CALLS)
def test_H1_text_of_users_stays_outside(case: str, schedule: str, built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    x = eg.vector(TEXT)
    out = CALLS[case](x)
    one = (len(case) * 16 + len(schedule)) * 0.001  # no other test has built this kernel
    f = eg.compile([x], [out * one, eg.grad((out * one).sum(), x)], name=TEXT, device="pocl", schedule=schedule)
    got = f(np.arange(3, dtype=F))
    wanted = eg.compile([x], out * one, device="numpy")(np.arange(3, dtype=F))
    np.testing.assert_allclose(got[0], wanted, rtol=1e-5)
    assert built and not [(w, t) for t in built for w in WORDS if w in t] and all(t.isascii() for t in built)


def test_H2_files_of_strangers_hold_no_code(tmp_path: Path) -> None:
    """C text and functions of the user's own are run as they are, which the page about them says; a dump never has any."""
    x = eg.vector("x")
    kernel = eg.ElementwiseKernel("float *x, float *y", "y[i] = 2 * x[i]")
    with pytest.raises(eg.GraphError, match="cannot be stored"):
        eg.function_dump(tmp_path / "own.npz", [x], kernel(x))
    assert not list(tmp_path.iterdir())
    assert "whom you do not trust" in (Path(__file__).parent.parent / "docs" / "own_ops.md").read_text()
