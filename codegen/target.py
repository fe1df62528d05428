"""Target: everything that code generation may ask about a device, and nothing else."""
from __future__ import annotations

from exprgraph.named import NamedTuple


def has_blas(dtype: str) -> bool:
    """Whether NumPy multiplies matrices of this dtype by BLAS, not element by element."""
    return dtype in ("float32", "float64")


class Target(NamedTuple):
    """What a device offers.

    schedule: "cpu" or "gpu".  units: compute units.  local_bytes: local memory of a work-group.  max_group: work-items in a
    group.  fp64: whether doubles exist.  host_shared: whether kernels work on the memory of NumPy arrays.  argument_bytes: room for
    kernel arguments.  dialect: a name of `codegen.dialect.DIALECTS`.  name: for messages.  cache_bytes: the largest
    cache.  fused_products: whether maps may share a kernel with products that NumPy could do, which one form of a plan tries;
    least_product: from how many multiplications on that is quicker.  deterministic: whether equal calls have to give equal bits.
    """
    schedule: str = "cpu"
    units: int = 2
    local_bytes: int = 32768
    max_group: int = 256
    fp64: bool = True
    host_shared: bool = True
    argument_bytes: int = 1024
    dialect: str = "pocl"
    name: str = "a device"
    cache_bytes: int = 1 << 25
    fused_products: bool = False
    least_product: int = 1 << 20
    deterministic: bool = False

    @property
    def host_calls(self) -> bool:
        """Whether products, sorting and searching are left to NumPy, on the memory that it shares with the device."""
        return self.host_shared and self.schedule == "cpu"
