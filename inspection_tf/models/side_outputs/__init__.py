"""What a classifier returns beside its answer, in the same graph."""
