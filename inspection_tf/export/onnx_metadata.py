"""The metadata of an ONNX file, which repeats the manifest."""

from inspection_tf import bundle
from inspection_tf.engines import installed


def require_library() -> None:
    """Refuse to begin what could not be written.

    Raises:
        errors.BundleError: the package onnx is absent.
    """
    if not installed.versions("onnx"):
        raise installed.missing("onnx", "engines", "Writing an ONNX file")


def set_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """Return an ONNX file with these metadata entries added or replaced.

    Raises:
        errors.BundleError: the package onnx is absent.
    """
    require_library()
    import onnx

    proto = onnx.load_from_string(data)
    kept = {entry.key: entry.value for entry in proto.metadata_props} | metadata
    del proto.metadata_props[:]
    for name, value in kept.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = name, value
    return bytes(proto.SerializeToString())


def with_manifest(data: bytes, manifest: bundle.Manifest) -> bytes:
    """Return an ONNX file whose metadata repeats a manifest.

    Raises:
        errors.BundleError: the package onnx is absent.
    """
    texts = {"inspection_tf": manifest.for_model(), "model_id": manifest.model_id}
    return set_metadata(data, texts)
