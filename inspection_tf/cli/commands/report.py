"""`inspection report`: a run or a bundle as one HTML file."""

from pathlib import Path

from inspection_tf import bundle, errors, process
from inspection_tf.cli.arguments import RunOrBundle


def report(folder: RunOrBundle, /, *, out: Path | None = None, data: Path | None = None) -> int:
    """Write what a run or a bundle is, promises and does into one HTML file.

    It needs nothing else, and loads nothing from elsewhere. A run writes one at its end.

    Args:
        folder: of a run, or of a bundle.
        out: the file; by default report.html in the folder of the run, and of a bundle in the
            working folder. An earlier report may lie there.
        data: folder of the images that the bundle was made from; by default where they lay.
    """
    from inspection_tf import reporting

    reporting.require_library()
    is_bundle = (folder / bundle.MANIFEST).is_file()
    material = (reporting.of_bundle if is_bundle else reporting.of_run)(folder, data=data)
    default = Path(reporting.FILE) if is_bundle else folder / reporting.FILE
    process.say(str(reporting.write(material, default if out is None else out)))
    return errors.OK
