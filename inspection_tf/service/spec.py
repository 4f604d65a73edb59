"""How a service listens, and what it takes."""

from pathlib import Path

import pydantic

from inspection_tf import config, runtime


class ServiceSpec(config.Section):
    """Where a service listens, and how much it takes at once."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine."""
    port: int = pydantic.Field(default=8080, ge=0, le=65535)
    """Port; 0: one that is free, which is printed."""
    queue: int = pydantic.Field(default=8, ge=0, le=10_000)
    """Requests that may wait beside the one that is inspected; more are refused with 503."""
    deadline_ms: float = pydantic.Field(default=2000.0, gt=0, le=600_000)
    """A request that waited longer for the networks is answered with 504, and never runs."""
    max_mib: float = pydantic.Field(default=32.0, gt=0, le=1024)
    """Largest image or request, MiB; of a batch, of each of its images."""
    upload_s: float = pydantic.Field(default=10.0, gt=0, le=3600)
    """Seconds that a client may take to send an image; then it is answered with 408."""
    engine: str = runtime.AUTO
    """What runs the networks: onnx, an engine of the bundles, or auto, the fastest here."""
    batch: int = pydantic.Field(default=1, ge=1, le=64)
    """Images that one call of the networks takes, if as many wait."""
    threads: int | None = pydantic.Field(default=None, ge=1)
    """Of one inference; none: one for each core."""
    token_file: Path | None = None
    """File whose first line a client must send as `Authorization: Bearer`; none: anybody may ask.
    Health needs none."""
    keep_mib: float = pydantic.Field(default=64.0, ge=0, le=65536)
    """Memory for the last results, MiB, whose pictures can be asked for."""
    history: Path | None = None
    """Folder for results with their pictures, which the page lists also after a restart; none: only
    those in memory."""
    history_mib: float = pydantic.Field(default=1024.0, gt=0, le=1 << 20)
    """What that folder may hold, MiB; what was OK is dropped first."""
    drain_s: float = pydantic.Field(default=30.0, ge=0, le=3600)
    """Seconds that accepted requests may still take after the service was told to stop."""
    source: tuple[str, ...] = ()
    """What is inspected without being asked: folder:DIR, video:FILE, rtsp://HOST/PATH or
    usb:NUMBER."""
    sink: tuple[str, ...] = ()
    """What is told of every verdict: folder:DIR, webhook:URL, mqtt://HOST/TOPIC."""
    state: Path | None = None
    """Folder for verdicts that a sink has not taken yet, and for which files were inspected. Sinks
    need one."""
    outbox: int = pydantic.Field(default=10_000, ge=1)
    """Verdicts that may wait for a sink; of more the oldest are dropped."""
    data: Path | None = None
    """Folder of the images that the bundles were made from, of which the page shows those that
    chose a threshold; none: only those in the bundles, and drawn ones."""
    labels: Path | None = None
    """Folder for what people say of results, which `inspection collect` makes a data set of; none:
    corrections are not kept."""
    watch_s: float = pydantic.Field(default=2.0, gt=0, le=3600)
    """Seconds between looks at files that name bundles."""

    @pydantic.model_validator(mode="after")
    def _sinks_have_a_state(self) -> "ServiceSpec":
        if self.sink and self.state is None:
            raise ValueError("sinks need a folder, got none: give --state DIR")
        return self
