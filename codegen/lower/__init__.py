"""From clusters of a graph to unscheduled statement trees."""
