"""The equality search: equal forms of the scalar expressions between loads, reductions and stores, of which the cheapest is taken."""
