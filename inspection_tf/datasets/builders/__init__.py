"""TFDS builders, each in a package of its own, which TFDS asks for. Needs the extra `tfds`."""
