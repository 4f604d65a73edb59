"""Where verdicts go beside the answer: a folder, a web address, a broker of messages.

Each sink is told in a thread of its own, in order, until it takes a message: at least once. What
may have been told before says so: `tries` is over 1.
"""

import base64
import json
import logging
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspection_tf import config, errors, files
from inspection_tf.service.lines.outbox import Outbox, Waiting
from inspection_tf.service.lines.sources import shown

_LOG = logging.getLogger("inspection_tf")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
_ANSWER_S = 10.0  # that a sink may take for one message
_END_S = 1.0  # that the end waits for a delivery; it is repeated at the next start
_LOOK_S = 0.5  # between looks for messages, where nobody says that there is one
EVENTS = "verdicts.jsonl"

Deliver = Callable[[str, str], None]
"""Tells a message, by its id and its body; raises whatever is wrong."""


def deliverer(word: str) -> Deliver:
    """Return what tells messages to a sink.

    Args:
        word: folder:DIR, webhook:URL, or mqtt://HOST[:PORT]/TOPIC.

    Raises:
        errors.ConfigError: it is none of these.
        errors.BundleError: what it needs is not installed.
    """
    kind, _, rest = word.partition(":")
    if kind == "folder" and rest:
        return _to_folder(config.expanded(rest))
    if kind == "webhook" and urllib.parse.urlsplit(rest).scheme in ("http", "https"):
        return _to_web(rest)
    if kind == "mqtt" and _is_broker(word):
        return _to_broker(word)
    raise errors.ConfigError(
        "A sink must be folder:DIR, webhook:http://HOST/PATH or mqtt://HOST/TOPIC. "
        f"Got {word!r}. Write it so."
    )


def _to_folder(folder: Path) -> Deliver:
    path = files.make_folder(folder) / EVENTS

    def deliver(event: str, body: str) -> None:
        del event
        files.append_line(path, body)

    return deliver


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses to be sent on: a POST would become a GET without a body, and count as taken."""

    def redirect_request(self, *_words: Any) -> None:
        """Return nothing, so that the answer is an error."""


def _to_web(url: str) -> Deliver:
    opener = urllib.request.build_opener(_NoRedirects)
    parts = urllib.parse.urlsplit(url)
    headers = {"Content-Type": "application/json"}
    if parts.username is not None:  # which urllib would take for a part of the host's name
        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def deliver(event: str, body: str) -> None:
        more = {**headers, "Idempotency-Key": event}
        request = urllib.request.Request(url, body.encode(), more, method="POST")
        with opener.open(request, timeout=_ANSWER_S) as answer:
            answer.read()

    return deliver


def _is_broker(word: str) -> bool:
    parts = urllib.parse.urlsplit(word)
    try:
        return bool(parts.hostname and parts.path.strip("/")) and parts.port != 0
    except ValueError:
        return False


def _to_broker(word: str) -> Deliver:
    try:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as problem:
        from inspection_tf.engines import installed

        raise installed.missing("paho-mqtt", "mqtt", "A sink of MQTT") from problem
    parts = urllib.parse.urlsplit(word)
    topic = parts.path.strip("/")
    client: Any = mqtt.Client(CallbackAPIVersion.VERSION2)
    if parts.username:
        client.username_pw_set(
            urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
        )
    has_begun = False

    def deliver(event: str, body: str) -> None:
        nonlocal has_begun
        del event
        if not has_begun:
            client.connect(str(parts.hostname), parts.port or 1883)
            client.loop_start()
            has_begun = True
        if not client.is_connected():
            raise ConnectionError("the broker is not reached")
        message = client.publish(topic, body, qos=1)
        message.wait_for_publish(_ANSWER_S)
        if not message.is_published():
            raise TimeoutError("the broker does not confirm")

    return deliver


class Courier:
    """Tells one sink what waits for it."""

    def __init__(self, word: str, deliver: Deliver, outbox: Outbox) -> None:
        """Start the thread.

        Args:
            word: the sink; without its password it names the messages that wait.
            deliver: tells one.
            outbox: holds them.
        """
        self.name, self.failures = shown(word), 0
        self._deliver, self._outbox = deliver, outbox
        self._is_over, self._has_more = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"courier {word}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that a message waits."""
        self._has_more.set()

    def close(self) -> None:
        """End the thread; what was not told waits for the next start."""
        self._is_over.set()
        self._has_more.set()
        self._thread.join(_END_S)

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._is_over.is_set():
            try:
                message = self._outbox.next(self.name)
                if message is None:
                    self._has_more.wait(_LOOK_S)
                    self._has_more.clear()
                    continue
                self._deliver(message.event, _told(message))
                self._outbox.taken(self.name, message)
                pause = _FIRST_PAUSE_S
            except Exception as problem:  # whatever it is, it may pass
                self.failures += 1
                _LOG.warning("%s: not taken, again in %.1f s: %s", self.name, pause, problem)
                self._is_over.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)


def _told(message: Waiting) -> str:
    """Return a message with its id and how often it was told, this time included."""
    return json.dumps(
        {"event": message.event, "tries": message.tries + 1, **json.loads(message.body)}
    )
