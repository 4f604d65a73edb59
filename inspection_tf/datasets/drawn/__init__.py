"""Data sets that are drawn when they are read: surfaces, documents and cutting inserts."""
