"""Gradients are graphs: differentiate, look at the result, differentiate again, compile."""
import numpy as np

import exprgraph as eg

x = eg.scalar("x")
y = eg.sin(x) * x
slope = eg.grad(y, x)
bend = eg.grad(slope, x)

print("y   =", eg.pp(y))
print("y'  =", eg.pp(slope))
print("y'' =", eg.pp(bend))

f = eg.compile([x], [y, slope, bend])
at = np.float32(0.5)
print("at 0.5:", *(round(float(v), 6) for v in f(at)))
print("expected:", *(round(float(v), 6) for v in (np.sin(at) * at, np.cos(at) * at + np.sin(at), 2 * np.cos(at) - np.sin(at) * at)))
