"""The equality search: equal forms of the scalar expressions between loads, reductions and stores, of which the cheapest is taken.

It is a pass of the PLAN half, from graph to graph, so the oracle, DebugMode and `f.passes()` see what it does, and all sizes that a call
decides are known.  What happens, in the order of the modules:

* `regions`: elementwise nodes that hang together, at most 80; what a region reads never depends on the region, since whatever is not
  searched is a level above its operands.  Integers that sizes and positions follow from are left out: Dims have an algebra of their own.
* `egraph`: a region as classes of equal terms.  A term is an operation on classes; classes that are found equal are united, and so are then
  terms of equal operands.  A class has one type: terms that would broadcast otherwise, or need sizes to match that are not known
  to, are not made.
* `matching`: the equalities of `rules/equalities.py`, ordinary Rules without commuted spellings, are looked for until nothing is new.
* `sums`, `shifts`, `opinion`: what no pair of patterns says: sums of products with their common factors taken out, shifts, sympy's answer.
* `choice`: the form that costs least, with what is shared counted once.  Cost is the weight of the operations (`exprgraph/weights.py`) and
  the risk of each real equality; without real equalities the risk is zero: bits stay, or one rounding takes the place of two.
* `region_graph`: nodes again.  They keep the user's lines of all that they cover; a region that gains nothing stays the nodes that it was.

All is counted (`Clock`) and nothing is timed; classes, terms and matches are visited in the order in which they were made, so the
result depends neither on the machine nor on hashes.
"""
