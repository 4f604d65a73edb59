"""A camera of a network: GStreamer's RTSP server plays a moving ball as H.264, over TCP alone.

It runs with Debian's own Python, `/usr/bin/python3 rtsp_camera.py PORT`, and needs the packages
python3-gi and gir1.2-gst-rtsp-server-1.0.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  a version comes first

PLAYED = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=64,framerate=10/1 "
    "! openh264enc gop-size=5 ! rtph264pay name=pay0 config-interval=-1 )"
)


def main(port):
    """Say that it serves rtsp://127.0.0.1:PORT/line, and do so until the process is ended."""
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory(launch=PLAYED, shared=True)
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    server.get_mount_points().add_factory("/line", factory)
    if not server.attach(None):
        raise SystemExit(f"port {port} cannot be listened on")
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1])
