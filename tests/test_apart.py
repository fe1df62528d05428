"""Kernels under the gpu schedule are short enough for compilers that put all functions into them, and long functions may stand apart."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from codegen import mathlib
from codegen.apart import APART, OFTEN, apart
from runtime import device, function, program
from tests.hand_plans import separate
from tests.test_faults_b import chain, kernels

CASES = {"few": (["eg_sin_f32("] * 40, ""), "short": (["eg_floordiv_i32(" * 40], ""), "many": (["eg_sin_f32(" * (OFTEN + 1)], "eg_sin_f32"),
         "through others": (["eg_sigmoid_f32(" * (OFTEN + 1)], "eg_exp_f32 eg_sigmoid_f32")}


@pytest.mark.parametrize("case", CASES)
def test_long_functions_that_one_kernel_calls_often_stand_apart(case: str) -> None:
    texts, wanted = CASES[case]
    found = apart(mathlib.prelude("".join(texts), "portable"), texts)
    named = [name for name in wanted.split() if f"{APART} float {name}(" in found]
    assert named == wanted.split() and found.count(APART) == len(named)


def test_a_chain_in_the_portable_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several kernels of bounded length, whose sines are functions of their own, with the values of kernels that contain them."""
    found, texts = separate(), []
    found = replace(found, target=found.target._replace(dialect="portable", schedule="gpu"))
    monkeypatch.setattr(function, "choose", lambda spec: found)
    real = program._compile

    def compiled(session: device.Session, text: str, *others: Any) -> Any:
        texts.append(text)
        return real(session, text, *others)
    monkeypatch.setattr(program, "_compile", compiled)
    x, y = chain(1200)
    f = eg.compile([x], y, device="pocl")
    value = np.linspace(-2, 2, 77, dtype="float32")
    assert len(kernels(f)) > 1 and max(k.count("eg_sin") for k in kernels(f)) < 200 and APART in texts[0]
    np.testing.assert_allclose(f(value), eg.compile([x], y, device="numpy")(value), rtol=1e-5)
