"""Code generation: graphs to plans, on any machine, with or without a device."""
