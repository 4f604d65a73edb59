"""The picture of an evaluation."""

from matplotlib.figure import Figure

from tests.toy_task.measures import Compared


def found_and_true(rows, show):
    figure = Figure(figsize=(3, 3))
    axes = figure.add_subplot()
    results = [row.result_as(Compared) for row in rows]
    axes.plot([one.true for one in results], [one.found for one in results], "o")
    axes.set(xlabel="true", ylabel="found", title=f"{show(rows[0].id).labels_as(float):.0f}")
    return figure
