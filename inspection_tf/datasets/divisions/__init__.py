"""Which images stay together, and how they part: groups, folds, and what is sealed."""
