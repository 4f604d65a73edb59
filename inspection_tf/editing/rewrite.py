"""The one way to change a bundle that is already out: as a copy, which then takes its place.

with rewrite.rewriting(root, manifest, rewrite.Change({"tiles": plan}, audit=note)) as edit:
edit.draft.write(...)
return edit.manifest
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from inspection_tf import bundle, runtime
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.names import ONNX, STALE
from inspection_tf.export import card, kit, onnx_metadata


def note(what: str, **values: object) -> dict[str, object]:
    """Return an entry of the audit, dated now.

    Args:
        what: is edited, such as `threshold`.
        values: what it was before and is after, ready for JSON.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"at": now, "what": what, **values}


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What an edit changes.

    Attributes:
        fields: of the manifest, with their new values.
        audit: entry of the audit, of `note`, for an edit of how the bundle decides: the metadata of
            the models and the integrator's page then follow. None where an engine is added.
        stops: whether an engine must pass the gate again; None: none has to.
    """

    fields: Mapping[str, object]
    audit: Mapping[str, object] | None = None
    stops: Callable[[EngineEntry], bool] | None = None

    def apply(self, manifest: bundle.Manifest) -> bundle.Manifest:
        """Return the manifest as it will be, but for its audit."""
        engines = {
            name: entry.model_copy(update={"state": STALE, "golden": ()})
            if self.stops is not None and self.stops(entry)
            else entry
            for name, entry in manifest.engines.items()
        }
        version = bundle.SCHEMA_VERSION
        return manifest.model_copy(
            update={"schema_version": version, "engines": engines, **self.fields}
        )


@dataclasses.dataclass
class Edit:
    """An edit while it is made.

    Attributes:
        draft: the copy of the bundle; models in it already repeat the changed manifest.
        manifest: as it will be; after the block as it was sealed.
        found: what the audit says besides, known only in the block.
    """

    draft: bundle.Draft
    manifest: bundle.Manifest
    found: dict[str, object] = dataclasses.field(default_factory=dict)

    def models(self) -> dict[str, bytes]:
        """Return the bytes of the ONNX files of the draft, by graph."""
        return {
            graph.name: self.draft.path(graph.file).read_bytes() for graph in self.manifest.graphs
        }


@contextlib.contextmanager
def rewriting(
    root: Path, manifest: bundle.Manifest, change: Change, *, engine: str = ONNX
) -> Iterator[Edit]:
    """Give an edit that takes the bundle's place when the block ends well, else vanishes.

    Args:
        root: the bundle's folder.
        manifest: of the bundle when the work on it began.
        change: to the manifest, and what follows from it.
        engine: on which the changed bundle must start: one that refuses itself is never written.

    Raises:
        errors.BundleError: somebody else has changed the bundle since, or it refuses itself.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    with bundle.editing(root, manifest) as draft:
        edit = Edit(draft, change.apply(manifest))
        if change.audit is not None:
            for graph, model in edit.models().items():
                repeated = onnx_metadata.with_manifest(model, edit.manifest)
                draft.write(edit.manifest.graph(graph).file, repeated)
        yield edit
        if change.audit is not None:
            audit = (*manifest.audit, {**change.audit, **edit.found})
            edit.manifest = edit.manifest.model_copy(update={"audit": audit})
            kit.write(draft, edit.manifest)
        draft.write(bundle.CARD, card.render(edit.manifest))
        edit.manifest = draft.seal(edit.manifest)
        runtime.Inspector.load(draft.root, engine=engine)
