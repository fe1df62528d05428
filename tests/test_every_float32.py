"""Every float32: the error bounds of the elementary functions of one argument over all 2^32 values.

python -m pytest -m campaign tests/test_every_float32.py, about two minutes a function.
"""
import numpy as np
import pytest

pytest.importorskip("pyopencl")

from runtime import pocl  # noqa: E402
from tests.math_kernels import arity, errors, exact, launcher, program  # noqa: E402
from tests.test_mathlib import BOUNDS  # noqa: E402

STEP = 1 << 22


@pytest.mark.campaign
@pytest.mark.parametrize("name", [n for n in BOUNDS if arity(n) == 1 and n not in ("erf", "erfc")])
def test_every_float32(name):
    made, worst = program(pocl.dialect(), (name,), ("float32",)), (0.0, 0.0)
    for start in range(0, 1 << 32, STEP):
        x = np.arange(start, start + STEP, dtype=np.uint64).astype(np.uint32).view(np.float32)
        run, out = launcher(made, name, [x])
        run()
        want = exact(name, [x])
        rough = np.abs(out.astype("float64") - want) / np.spacing(np.abs(out)) if np.isfinite(out).all() else None
        if rough is None or not np.isfinite(want).all() or (out == 0).any():
            found = errors(out, want)
        elif rough.max() <= worst[0]:
            continue
        else:
            found = rough
        k = int(found.argmax())
        worst = max(worst, (float(found[k]), float(x[k])))
    print(f"{name}: {worst[0]:.3f} units at {worst[1].hex()}")
    assert worst[0] <= BOUNDS[name][0]
