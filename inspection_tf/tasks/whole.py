"""What a task answers whose networks see an image as a whole, never in tiles."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspection_tf import config
    from inspection_tf.images.tile_plan import TilePlan
    from inspection_tf.tasks.base import Context


class SeesWholeImages:
    """Answers about tiles and about what fits together, for a task to inherit."""

    def problem(self, context: "Context") -> str:
        """Return nothing: whatever the sections of a manifest allow fits together."""
        return ""

    def tiled(self, settings: "config.Section", plan: "TilePlan") -> "config.Section | None":
        """Return None: there are no tiles."""
        return None

    def at_batch_size(self, context: "Context", size: int) -> "Context":
        """Return the context as it is: an image has no parts that a network sees by themselves."""
        return context
