"""Fields on documents: where their four corners lie."""
