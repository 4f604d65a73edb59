"""`inspection unseal`: measure a finished run on its sealed images."""

import logging
from pathlib import Path

from inspection_tf import errors, process
from inspection_tf.cli.arguments import Run

_LOG = logging.getLogger("inspection_tf")


def unseal(run: Run, /, *, data: Path | None = None) -> int:
    """Measure the bundle of a run on the images that it has sealed, and count the look.

    sealed.json in the run says when, through which bundle, what came out and the how-manieth look
    at these images it was; so do the bundle's card and the run's report. Only the first look says
    how the bundle does on images that nobody has seen.

    Args:
        run: folder of a run that has ended.
        data: folder of the images that its bundle was made from; by default where they lay.
    """
    from inspection_tf import evaluation, reporting
    from inspection_tf.editing import unseal as unsealing

    found = unsealing.unseal(run, data=data)
    process.show_table(evaluation.table(found.report, found.rows[0].measures))
    if found.look.warning:
        process.say(found.look.warning)
    process.say(f"Written to {run / unsealing.LEDGER}, the bundle's card and {found.folder}.")
    try:
        material = reporting.of_run(run, data=data)
        process.say(str(reporting.write(material, run / reporting.FILE)))
    except errors.InspectionError as problem:  # the figures are written down already
        _LOG.error("the report is as it was: %s", problem)
    return errors.OK
