import shutil
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from engine_checks import contents

from inspection_tf import bundle, cli, errors, runtime
from inspection_tf.bench import peak_memory
from inspection_tf.editing import receptive, tiles
from inspection_tf.engines.entry import BatchProfile, EngineEntry
from inspection_tf.export import onnx
from inspection_tf.images import tile_plan, tiling
from inspection_tf.models import segmenter, unet
from inspection_tf.tasks.segmentation import maps

onnx_package = pytest.importorskip("onnx")
PLAN = tile_plan.TilePlan(stride=32, margin=8, total_stride=4)


def plan(**changes):
    return PLAN.model_copy(update=changes)


@pytest.mark.parametrize("blending", ["crop", "linear"])
@pytest.mark.parametrize("length", [1, 40, 64, 65, 95, 96, 97, 128, 131, 160, 777])
@pytest.mark.parametrize(("stride", "margin"), [(32, 8), (48, 8), (64, 0), (36, 14), (32, 16)])
def test_every_pixel_is_used_with_a_weight_of_1(length, blending, stride, margin):
    found = tiling.tiles(length, 64, plan(stride=stride, margin=margin, blending=blending))
    covered = np.zeros(length)
    for place, tile in enumerate(found):
        covered[tile.first : tile.last] += tile.weight
        assert tile.start % 4 == 0  # the network's cells lie where they lie for the whole image
        # Away from the borders of the tile, but for those of the image.
        assert tile.first == 0 or tile.first - tile.start >= margin
        assert place == len(found) - 1 or tile.start + 64 - tile.last >= margin
    np.testing.assert_allclose(covered, 1, atol=1e-6)
    assert found[-1].start + 64 >= length


def test_the_starts_are_those_of_the_plan_by_hand():
    # 64 px tiles, 48 px apart, of an image of 150 px: 86 px beyond the first, up to 88.
    found = tiling.tiles(150, 64, plan(stride=48))
    assert [tile.start for tile in found] == [0, 48, 88]
    # Seams in the middle of what both see: 48..64 and 88..112.
    assert [(tile.first, tile.last) for tile in found] == [(0, 56), (56, 100), (100, 150)]
    assert tiling.count((150, 64), (64, 64), plan(stride=48)) == 3


@pytest.mark.parametrize("edges", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("size", [(64, 64), (70, 131), (3, 200), (129, 64)])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_that_looks_at_single_pixels_gives_back_the_image(size, edges, batch):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 1), np.uint8)
    shapes = []

    def network(cut):
        shapes.append(cut.shape)
        return np.concatenate([cut / np.float32(255), 1 - cut / np.float32(255)], axis=-1)

    found = tiling.run(pixels, (64, 64), plan(edges=edges, batch=batch), network, classes=2)
    assert found.shape == (1, *size, 2)
    np.testing.assert_allclose(found[0, ..., 0], pixels[..., 0] / 255, atol=1e-6)
    assert {shape[1:] for shape in shapes} == {(64, 64, 1)}
    assert max(shape[0] for shape in shapes) <= batch


def test_a_plan_that_cannot_cover_is_named():
    assert PLAN.problem((64, 64)) == ""
    assert "must fit into 40 px" in PLAN.problem((64, 40))
    assert "linear blending needs" in plan(stride=8, blending="linear").problem((64, 64))
    # The longer side fades over more pixels.
    wide = plan(stride=96, margin=16, blending="linear")
    assert "linear blending needs" in wide.problem((128, 512))
    with pytest.raises(ValueError, match="multiple of total_stride"):
        tile_plan.TilePlan(stride=30, margin=8, total_stride=4)


# How far a network looks


def exported(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.convert(model))
    return path


def test_the_receptive_field_of_a_small_u_net_by_hand(tmp_path):
    model = unet.build(image_size=(32, 32), filters=(4, 8), upsampling="transposed")
    kernel = next(layer for layer in model.layers if "Transpose" in type(layer).__name__).kernel
    # Two 3x3 at full size: 5; a pool of 2: 6; two 3x3 at half size: 6 + 4 + 4 = 14; then each pixel
    # of the doubled map reads one or two cells, and two 3x3 at full size add 4.
    cells = -(-kernel.shape[0] // 2)
    found = receptive.reach(exported(model, tmp_path))
    assert (found.field, found.jump, found.total_stride) == (14 + 2 * (cells - 1) + 4, 1, 2)


@pytest.mark.parametrize(
    "options",
    [{"upsampling": "transposed"}, {"upsampling": "bilinear"}, {"working_stride": 4}],
)
def test_no_pixel_beyond_half_the_field_matters(tmp_path, options):
    keras.utils.set_random_seed(0)
    depth = {"filters": (4, 8)} if "working_stride" in options else {"filters": (4, 8, 8)}
    model = unet.build(image_size=(96, 96), **depth, **options)
    path = exported(model, tmp_path)
    found = receptive.reach(path)
    engine = runtime.Engine(path.read_bytes())
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1, 96, 96, 1), np.uint8)
    changed = image.copy()
    changed[:, 48:, :] = rng.integers(0, 256, (1, 48, 96, 1))
    apart = np.abs(engine.run(image) - engine.run(changed)).max(axis=(0, 2, 3))
    reach = 48 - int(np.flatnonzero(apart > 0)[0])
    # A strided kernel reads one side further than the other: the margin of a plan allows for it.
    assert 4 < reach <= np.ceil(found.field / 2 + found.total_stride / 2)


def test_a_network_that_sees_the_whole_image_gets_no_tiles(tmp_path):
    model = segmenter.build(
        image_size=(64, 64), backbone={"name": "vgg10", "strides": (1, 2, 4)}, context=True
    )
    with pytest.raises(errors.BundleError, match="Tiles need a fully convolutional network"):
        receptive.reach(exported(model, tmp_path))


def test_what_depends_on_the_size_of_a_tile_gets_no_tiles(tmp_path):
    model = segmenter.build(
        image_size=(64, 64),
        backbone={"name": "vgg10", "strides": (1, 2, 4)},
        upsampling="bilinear_aligned",
    )
    with pytest.raises(errors.BundleError, match="Tiles need a fully convolutional network"):
        receptive.reach(exported(model, tmp_path))


@pytest.mark.parametrize("classes", [1, 3])
def test_an_interpolation_by_matrices_is_read_as_one(tmp_path, classes):
    model = unet.build(image_size=(32, 32), filters=(4, 8), working_stride=2, classes=classes)
    path = exported(model, tmp_path)
    assert "MatMul" in {node.op_type for node in onnx_package.load(path).graph.node}
    found = receptive.reach(path)
    # 5x5 by strides of 2: 5. Then as a network of two levels, each cell 2 px: 14 + 4 cells without
    # what the transposed kernel adds, of which the first is counted; each pixel reads 2 cells.
    assert (found.field, found.jump, found.total_stride) == (5 + 2 * 17 + 2, 1, 4)


def test_several_classes_may_have_tiles(tmp_path):
    model = unet.build(image_size=(32, 32), filters=(4, 8), classes=3)
    assert receptive.reach(exported(model, tmp_path)).total_stride == 2


# A bundle with a plan


def memory_bytes(inspector, size):
    """Return the most memory that an image of (height, width) px needs."""
    return maps.memory_bytes(inspector.manifest.settings.tiles, inspector.context, size)


@pytest.fixture
def tiled(toy_bundle_copy):
    tiles.plan(toy_bundle_copy)
    return toy_bundle_copy


def larger(model, size):
    """Return the same network for larger images."""
    whole = unet.build(
        image_size=size,
        filters=(4, 8),
        input_mean=127.5,
        input_scale=32.0,
        defect_prior=0.02,
    )
    whole.set_weights(model.get_weights())
    return whole


@pytest.mark.parametrize("size", [(192, 160), (100, 64), (64, 64)])
def test_tiles_say_what_the_network_says_of_the_whole_image(
    tiled, toy_model, toy_records, size, caplog
):
    pictures = [record.read_image() for record in toy_records]
    image = np.block([pictures[n : n + 3] for n in (0, 3, 6)])[: size[0], : size[1]]
    inspector = runtime.Inspector.load(tiled)
    found = inspector.probability(image)
    expected = np.array(larger(toy_model, size)({"image": image[None, ..., None]})["probability"])
    np.testing.assert_allclose(found, expected[0, ..., 0], atol=1e-5)
    tiling.say.cache_clear()
    caplog.set_level("INFO", "inspection_tf")
    verdict = inspector.inspect(image)
    most = memory_bytes(inspector, size) / 1e6
    assert f"{size[0]} x {size[1]} px take at most {most:.0f} MB" in caplog.text
    assert verdict.image_size == size
    assert verdict.outcome == ("NG" if found.max() >= 0.5 else "OK")
    (other,) = inspector.inspect_many([image])
    assert [region.box_xyxy for region in other.regions] == [r.box_xyxy for r in verdict.regions]


def test_a_plan_is_written_noted_and_says_what_memory_it_takes(toy_bundle_copy, capsys):
    assert cli.main(["tiles", str(toy_bundle_copy), "--blending", "linear"]) == 0
    said = capsys.readouterr().out
    inspector = runtime.Inspector.load(toy_bundle_copy)
    found = inspector.manifest.settings.tiles
    assert found.blending == "linear"
    assert f"every {found.stride} px, margin {found.margin} px" in said
    memory = memory_bytes(inspector, (4096, 4096))
    assert f"at most {memory / 1e6:.0f} MB" in said
    assert memory > memory_bytes(inspector, (64, 64)) > found.network_bytes > 30e6
    (edit,) = inspector.manifest.audit
    assert (edit["what"], edit["before"]) == ("tiles", None)
    said = (toy_bundle_copy / "INTEGRATION.md").read_text()
    assert f"in tiles every {found.stride} px without the {found.margin} px" in said
    assert cli.main(["verify", str(toy_bundle_copy)]) == 0
    assert memory_bytes(runtime.Inspector.load(toy_bundle_copy), (64, 64)) > 30e6


@pytest.mark.parametrize(
    ("options", "match"),
    [({"margin": 1}, "at least half the receptive field"), ({"stride": 3}, "multiple of the")],
)
def test_a_plan_that_does_not_fit_leaves_the_bundle_as_it_was(toy_bundle_copy, options, match):
    before = contents(toy_bundle_copy)
    with pytest.raises(errors.ConfigError, match=match):
        tiles.plan(toy_bundle_copy, **options)
    assert contents(toy_bundle_copy) == before


@pytest.mark.parametrize(
    ("code", "said", "error", "match"),
    [
        (-9, "", errors.StorageError, "must fit into memory. Got: no reason"),
        (1, "Failed to allocate memory for a buffer", errors.StorageError, "Use a smaller batch"),
        (1, "ModuleNotFoundError: x", errors.BundleError, "Got: ModuleNotFoundError: x"),
    ],
)
def test_a_process_that_does_not_run_says_why(monkeypatch, tmp_path, code, said, error, match):
    ended = subprocess.CompletedProcess([], code, "", f"Traceback\n{said}" if said else "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(error, match=match):
        tiles.network_bytes(tmp_path, 2)


def test_two_stages_get_no_tiles(toy_cascade, tmp_path):
    root = shutil.copytree(toy_cascade.path, tmp_path / "bundle")
    with pytest.raises(errors.BundleError, match="one segmenter for single images"):
        tiles.plan(root)
    with pytest.raises(errors.BundleError, match="must have a tile plan"):
        tiles.plan_of(bundle.read(root))


def test_a_manifest_with_a_plan_that_does_not_cover_is_refused(tiled, reseal):
    settings = bundle.read(tiled).settings.model_dump(mode="json")
    settings["tiles"]["margin"] = 60
    reseal(tiled, settings=settings)
    with pytest.raises(errors.BundleError, match="must fit into 64 px"):
        bundle.read(tiled)


_CHILD = """
import sys
import numpy as np
from inspection_tf import runtime
from inspection_tf.process import memory
from inspection_tf.tasks.segmentation import maps
inspector = runtime.Inspector.load(sys.argv[1])
image = np.random.default_rng(0).normal(128, 20, (2048, 3000)).clip(0, 255).astype(np.uint8)
verdict = inspector.inspect(image)
print(memory.peak_bytes())
print(maps.memory_bytes(inspector.manifest.settings.tiles, inspector.context, image.shape))
"""


@pytest.mark.slow
@pytest.mark.parametrize("blending", ["crop", "linear"])
def test_a_large_image_stays_under_the_memory_that_was_said(toy_bundle_copy, blending):
    tiles.plan(toy_bundle_copy, blending=blending)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(toy_bundle_copy)],
        capture_output=True,
        text=True,
        check=True,
    )
    used, said = map(int, done.stdout.split())
    assert used < said < 3 * used


def test_the_gate_gives_the_engine_as_many_tiles_as_it_says(tiled, toy_records):
    from inspection_tf.conversion import engine_gate

    inspector, other = (runtime.Inspector.load(tiled) for _ in range(2))
    run, seen = other.networks["segmenter"].run, []

    def listen(batch, template=None):
        seen.append(len(batch))
        return run(batch, template)

    other.networks = {"segmenter": SimpleNamespace(run=listen)}
    parity = engine_gate.compare(
        inspector, other, {"tune": toy_records}, engine_gate.GateSpec(batch_sizes=(1, 3))
    )
    assert parity.passed
    # Images of the network's size are one tile each: as many a call as the batch has images.
    full, rest = divmod(len(toy_records), 3)
    assert seen == [1] * len(toy_records) + [3] * full + [rest] * (rest > 0)
    plans = [
        one.context.settings.tiles
        for one in (inspector, other, engine_gate.at_batch_size(other, 5))
    ]
    assert [plan.batch for plan in plans] == [1, 1, 5]


def test_a_plan_that_an_engine_cannot_take_is_refused(toy_bundle_copy, reseal, capsys):
    own = EngineEntry(kind="triton", precision="float32", batch=BatchProfile(largest=8))
    (toy_bundle_copy / "engines" / "own").mkdir(parents=True)
    reseal(toy_bundle_copy, engines={"own": own.model_dump(mode="json")})
    assert cli.main(["tiles", str(toy_bundle_copy), "--batch", "9"]) == 2
    assert "The engine own takes at most 8 images a call. Got 9 tiles" in capsys.readouterr().err


def test_what_lies_in_the_working_folder_is_not_imported(toy_bundle, tmp_path, monkeypatch):

    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('imported from the folder')")
    monkeypatch.chdir(tmp_path)
    assert (peak_memory.of_engine(toy_bundle, "onnx", 1, 1) or 0) > 10**6
