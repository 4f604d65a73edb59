"""A run or a bundle as one HTML file, which needs nothing else: for who has to decide about it.

It says what a bundle is for, what it promises, how it did and where it fails, and what it comes
from. Nothing in it is loaded from elsewhere.
"""

from inspection_tf.reporting.material import Material, of_bundle, of_run
from inspection_tf.reporting.page import FILE, require_library, write

__all__ = ["FILE", "Material", "of_bundle", "of_run", "require_library", "write"]
