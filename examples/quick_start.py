"""Quick start: an expression, the kernel generated for it, the result."""
import numpy as np

import exprgraph as eg

x = eg.matrix("x")
p = eg.exp(x - x.max(axis=1, keepdims=True))
f = eg.compile([x], p / p.sum(axis=1, keepdims=True))

print(f(np.array([[1, 2, 3], [0, 0, 0]], "float32")))
print(f.source())
