"""What a bundle that segments defects decides by."""

from inspection_tf import config, decision
from inspection_tf.images.tile_plan import TilePlan


class Settings(config.Section):
    """What a bundle that segments defects decides by."""

    rules: decision.Rules = decision.Rules()
    """On regions and on the image."""
    tiles: TilePlan | None = None
    """How images larger than the network are cut; none: images are brought to its size."""
