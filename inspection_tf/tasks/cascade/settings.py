"""What a cascade decides by."""

from inspection_tf import config, decision


class Settings(config.Section):
    """What a cascade decides by."""

    rules: decision.Rules = decision.Rules()
    """On regions and on the image, after the second network."""
