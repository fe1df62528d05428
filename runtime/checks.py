"""The text that looks at the arguments of a call, where no native call can: `runtime.written` puts it in front."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.case import Leaf
from runtime.direct import Writer

FLOATS = {np.dtype("float32"): 3e38, np.dtype("float64"): float("inf")}


def checks(w: Writer, leaves: Sequence[Leaf]) -> None:
    """Return None where an argument v0, v1, ... is not like the leaf; f0, f1, ... are the flags of those in C order."""
    w.emit(2, "if not trusted:")
    w.emit(3, "if FORKED: check_process()")
    for i, leaf in enumerate(leaves):
        dtype = w.const(leaf.dtype)
        wrong = f"v{i}.shape != {w.const(leaf.shape)} or not checked and v{i}.dtype is not {dtype}"
        if not leaf.shape:
            _scalar(w, i, leaf, dtype, wrong)
        else:
            w.emit(3, f"if type(v{i}) is not ndarray or {wrong}: return None")
        if leaf.strides is None:
            w.emit(3, f"f{i} = v{i}.flags")
            w.emit(3, f"if not f{i}.c_contiguous or not (checked or f{i}.aligned): return None")
        else:
            w.emit(3, f"if v{i}.strides != {w.const(leaf.strides)} or not (checked or v{i}.flags.aligned): return None")
        if leaf.value is not None:
            w.emit(3, f"if v{i}.item() != {w.const(leaf.value)}: return None")


def _scalar(w: Writer, i: int, leaf: Leaf, dtype: str, wrong: str) -> None:
    """A number may come as an array without axes, a NumPy scalar of the dtype, or, for floats, a Python float in its range."""
    fits = f"type(v{i}) is {w.const(leaf.dtype.type)}"
    if leaf.dtype in FLOATS:
        bound = w.const(FLOATS[leaf.dtype])
        fits += f" or type(v{i}) is float and -{bound} < v{i} < {bound}"
    w.emit(3, f"if type(v{i}) is not ndarray:")
    w.emit(4, f"if {fits}: v{i} = array(v{i}, {dtype})")
    w.emit(4, "else: return None")
    w.emit(3, f"elif {wrong}: return None")
