"""Data sets that are drawn when they are read: surfaces with defects, and photos of documents."""
