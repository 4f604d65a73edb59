"""`inspection bench`: how fast a bundle is on this machine, engine by engine."""

from pathlib import Path
from typing import Literal

from inspection_tf import files, process, runtime
from inspection_tf.cli import data, tables
from inspection_tf.cli.arguments import Bundle, Switch


def bench(
    bundle: Bundle,
    /,
    *,
    engines: tuple[str, ...] = (),
    repeats: int | None = None,
    batch_sizes: tuple[int, ...] = (1, 4),
    threads: int | None = None,
    split: Literal["train", "tune", "test"] | None = None,
    against: Path | None = None,
    memory: Switch = False,
    out: Path | None = None,
    profile: Switch = False,
    json: Switch = False,
) -> int:
    """Time a bundle on this machine, decoded frame to verdict.

    The column copy is the part of pre that copies the frame, so that its owner may fill it anew.

    Args:
        bundle: folder of the bundle.
        engines: of the bundle, beside its ONNX files; all, those that run here.
        repeats: rounds over the images that count; by default until 300 images or a
            minute.
        batch_sizes: images a call of the network; the table shows the smallest and the fastest.
        threads: of one inference; one for each core by default.
        split: images of the bundle's own data instead of its golden ones. A cascade is as fast as
            its share of OK images allows.
        against: folder of another bundle that inspects the same images, in turns with this one.
        memory: also measure the most memory that each engine takes, in a process of its own.
        out: new folder for bench.json and bench.png.
        profile: time each kind of operator of each network instead, on one golden image.
        json: print JSON instead of a table.
    """
    from inspection_tf import bench as benchmark

    if profile:
        rounds = 30 if repeats is None else repeats
        operators = benchmark.profile(bundle, repeats=rounds, threads=threads)
        return tables.show(operators, tables.OPERATORS, as_json=json)
    if out is not None:
        files.require_free(out)
    frames = None
    if split:
        inspector = runtime.Inspector.load(bundle, check_golden=False)
        orientation = inspector.preprocessing.orientation
        frames = [
            record.read_pair(orientation=orientation)
            for record in data.from_provenance(inspector.manifest, split)
        ]
    timings = benchmark.run(
        bundle,
        repeats=repeats,
        batch_sizes=batch_sizes,
        threads=threads,
        frames=frames,
        against=against,
        engines=engines,
        memory=memory,
    )
    if out is not None:
        from inspection_tf import plots

        files.make_folder(out)
        files.write_json(out / "bench.json", [timing.to_dict() for timing in timings])
        plots.save(plots.engine_times(benchmark.best(timings)), out / "bench.png")
    rows = timings if json else benchmark.best(timings)
    code = tables.show(rows, tables.TIMINGS, as_json=json)
    outcomes = {timing.outcomes for timing in timings if timing.batch_size == batch_sizes[0]}
    if not json and not against and len(outcomes) > 1:
        process.complain("warning: the engines do not decide alike; see --json")
    return code
