"""The named rows that numexpr can say: expressions over whole arrays, with at most one sum around them."""

polynomial = "x, y", "2*x + 3*x*y - x*x"
transcendental = "x, y", "exp(-x*x) * tanh(y) + log1p(x*x)"
squared_distance = "x, y", "sum((x - y)**2)"
