"""`python -m inspection_tf` runs the command `inspection`."""

import sys

from inspection_tf.cli import main

if __name__ == "__main__":
    sys.exit(main())
