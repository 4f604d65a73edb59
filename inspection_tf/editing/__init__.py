"""A bundle that is out -> another one: thresholds, rules and tiles."""
