"""The benchmark: exprgraph beside NumPy, numexpr, numba, JAX, PyTorch and PyTensor, side by side in one run.

    python -m tests.bench [--peers numpy,jax] [--only PATTERN] [--set named,own,random] [--rounds N] [--json FILE] [--chart FILE.svg]

How it measures.  Every engine lives in a process of its own and is stopped (SIGSTOP) while it is not its turn, so that no pool of
threads can spin beside another engine.  All may use every core.  The inputs of a row follow from the seed; each engine's result
is compared with NumPy's in float64 before it is timed.  Then rounds: in each, every engine runs one batch of calls with
the last result dropped at once, `f(x)`, and one with it kept until the next is there, `r = f(x)`; the order rotates.  A
batch gives the median and the minimum time of a call, the rounds the median of the medians.  A batch whose
typical call took more than twice as long as the engine's shortest is repeated, at most twice.  A peer that was more than three times
as slow as the fastest in the first round is left out of the later ones.

What is compared.  Everything is float32.  Each engine takes its own arrays (made before the timing; torch and JAX get tensors)
and gives a result that is ready.  Peers are written in their own best style:
  numpy         temporaries are overwritten where a careful user would, a sum of squares is a dot product
  numexpr       a compiled NumExpr object, only for what it can say
  numba         loops over prange, with threads; sums may be reassociated (they are by every other engine, and nothing vectorises
                otherwise), no other fast-math; numba-serial is the same without threads, which is counted in a mean of its own
  jax           jit, block_until_ready
  torch         eager in inference mode; torch-compile is the same code through torch.compile
  pytensor      its default mode (numba since 3.0) with trust_input=True
exprgraph is called as a user calls it: every argument is checked, unless --trust is given.  Training steps take the weights as
an ordinary input and return the new ones, in every engine: nobody is helped or hindered by a store of shared values.
"""
