"""Watch the passes: one callback sees the graph before and after every pass of the pipeline."""
import exprgraph as eg
from exprgraph.graph import order


def watcher(name, before, after):
    """Print what a pass did to the number of nodes and to the first output."""
    counts = len(order(before.outputs)), len(order(after.outputs))
    print(f"{name:12s} {counts[0]:3d} -> {counts[1]:3d} nodes   {eg.pp(after.outputs[0])}")


x, y = eg.vectors("x", "y")
cost = eg.log(1 + eg.exp(x)) + eg.log(1 + eg.exp(x)) * 1 - (y - 0) * eg.sqrt(4.0)
f = eg.compile([x, y], cost, watch=watcher)
print(eg.pp(f.graph.outputs[0]))
