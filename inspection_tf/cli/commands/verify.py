"""`inspection verify`: check a bundle."""

from inspection_tf import errors, process, runtime
from inspection_tf.cli.arguments import Bundle


def verify(bundle: Bundle, /, *, engine: str = runtime.ONNX) -> int:
    """Check a bundle: schema, paths, hashes, golden samples.

    Args:
        bundle: folder of the bundle.
        engine: of the bundle, whose golden samples are run; onnx, its float32 networks.
    """
    inspector = runtime.Inspector.load(bundle, engine=engine, check_golden=False)
    samples = inspector.check_golden(bundle)
    manifest = inspector.manifest
    process.say(
        f"{manifest.model_id}: schema {manifest.schema_version}, {len(manifest.files)} files as "
        f"written, {samples} golden samples as recorded"
        f"{'' if engine == runtime.ONNX else f' on {inspector.engine_name}'}"
    )
    return errors.OK
