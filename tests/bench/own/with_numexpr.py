"""Our own rows that numexpr can say; constants that are no integers would make it compute in float64, so they are ratios of integers."""

haversine = "a, b, c, d", "12742 * arcsin(sqrt(sin((c - a)/2)**2 + cos(a)*cos(c)*sin((d - b)/2)**2))"
horner = "x", "((((((((x - 2)*x + 4)*x - 8)*x + 16)*x - 6)*x + 12)*x + 3)*x - 5) / 8"
