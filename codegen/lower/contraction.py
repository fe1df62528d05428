"""Contractions: C[..., i, j] = sum over k of A[..., i, k] * B[..., k, j], tiled, with what follows spliced into the last step."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Kernel, Param
from codegen.lower.contraction_gpu import gpu_forms
from codegen.lower.packed_cpu import packed
from codegen.lower.product_parts import Contraction
from codegen.schedule.common import used
from codegen.target import Target
from exprgraph.dims import Dim, constant

__all__ = ["Contraction", "contraction", "contractions"]


def contractions(name: str, what: Contraction, target: Target) -> tuple[Dim, list[tuple[Kernel, ...]]]:
    """The scheduled kernels of one or several forms, and which one suits the sizes: square tiles in local memory on a GPU; on a CPU what
    packs the factors and what multiplies.  Their parameters are the scratch memory that they share."""
    if target.schedule == "gpu":
        return gpu_forms(name, what, target)
    return constant(0), [packed(name, what, target)]


def contraction(name: str, params: Sequence[Param], what: Contraction, target: Target, form: int = 0) -> tuple[Kernel, ...]:
    """The kernels of one form, in order; their parameters are those of `params` that they use and then the scratch memory."""
    _, found = contractions(name, what, target)
    return tuple(k._replace(params=(*used(params, k.body), *k.params)) for k in found[form % len(found)])
