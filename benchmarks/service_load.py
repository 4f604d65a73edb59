"""How a service behaves under more load than it can take, bad requests, swaps and stops.

For a bundle, each in a service of its own on this machine, which the client shares:

- `overhead`: a request at a time, beside `Inspector.inspect` of the same images;
- `load`: arrivals at 2, 5 and 10 times of what it can take: the time of what was accepted beside
  (queue + 1) service times, what was refused and how, whether each image got its own answer, and
  whether it is as fast as before 5 s later;
- `many`: requests of which a tenth is bad, and the memory of the process;
- `swaps`: bundles that take over while requests go on, a fifth of them damaged;
- `stops`: SIGTERM under load, and whether all that was accepted was answered.

    python benchmarks/service_load.py BUNDLE IMAGES [--only load ...] [--seconds 20]
        [--requests 100000] [--swaps 100] [--stops 50]
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inspection_tf import runtime
from inspection_tf.editing import rethreshold

QUEUE = 8
FACTORS = (2, 5, 10)
BAD_SHARE = 0.1
SPOILT_SHARE = 0.2
CALM_S = 5.0
PARTS = ("overhead", "load", "many", "swaps", "stops")
BAD = (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(64))


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a request came to."""

    status: int  # 0: the connection ended without an answer
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def sha256(self) -> str:
        """Hash of the image that the verdict is of."""
        return str(json.loads(self.body).get("image_sha256", ""))


@dataclasses.dataclass
class Service:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def resident_mib(self) -> float:
        """Return the memory of the process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    async def ask(self, image: bytes, *, path: str = "/inspect", method: str = "POST") -> Answer:
        """Send an image over a connection of its own."""
        began = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return Answer(0, {}, b"", time.perf_counter() - began)
        data = b""
        with contextlib.suppress(OSError):
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: line\r\nConnection: close\r\n"
                f"Content-Length: {len(image)}\r\n\r\n"
            )
            writer.write(head.encode() + image)
            await writer.drain()
        with contextlib.suppress(OSError):
            data = await reader.read(-1)
        writer.close()
        return _parsed(data, time.perf_counter() - began)


def _parsed(data: bytes, seconds: float) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.1 "):
        return Answer(0, {}, b"", seconds)
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    whole = len(body) == int(headers.get("content-length", -1))
    return Answer(int(lines[0].split()[1]) if whole else 0, headers, body, seconds)


@contextlib.contextmanager
def serving(*words: str) -> Iterator[Service]:
    """Run a service as long as the block runs."""
    command = [sys.executable, "-m", "inspection_tf.cli", "serve", *words, "--port", "0"]
    command += ["--engine", "onnx", "--threads", "1", "--queue", str(QUEUE)]
    command += ["--deadline-ms", "60000", "--watch-s", "0.05"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = (process.stdout.readline() if process.stdout else "").strip()
        yield Service(process, int(address.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()


@dataclasses.dataclass(frozen=True)
class Case:
    """A bundle, and images whose hashes are known."""

    bundle: Path
    images: Sequence[bytes]
    hashes: Sequence[str]

    def at(self, index: int) -> tuple[bytes, str]:
        """Return an image and its hash."""
        place = index % len(self.images)
        return self.images[place], self.hashes[place]

    def is_right(self, index: int, answer: Answer) -> bool:
        """Return whether an answer is of the image that was sent."""
        return answer.sha256 == self.hashes[index % len(self.images)]


async def one_by_one(service: Service, case: Case, count: int) -> list[float]:
    """Return the seconds of requests, one after the other."""
    found = []
    for index in range(count):
        answer = await service.ask(case.at(index)[0])
        if answer.status != 200:
            raise SystemExit(f"a request alone must be answered. Got {answer}.")
        found.append(answer.seconds)
    return found


async def overhead(case: Case) -> None:
    """Print what HTTP and queue cost beside inspecting."""
    inspector = runtime.Inspector.load(case.bundle, threads=1)
    count = max(60, len(case.images))
    with serving(str(case.bundle)) as service:
        await one_by_one(service, case, 10)
        there, alone = [], []
        for index in range(count):  # in turns: the machine's speed varies
            answer = await service.ask(case.at(index)[0])
            there.append(answer.seconds)
            began = time.perf_counter()
            inspector.inspect(case.at(index)[0])
            alone.append(time.perf_counter() - began)
    more = np.median(np.array(there) - np.array(alone))
    print(
        f"overhead: {1e3 * np.median(there):.2f} ms a request, {1e3 * np.median(alone):.2f} ms to "
        f"inspect; {1e3 * more:.2f} ms more at the median of {count}"
    )


async def arrivals(
    service: Service, case: Case, rate: float, seconds: float
) -> list[tuple[int, Answer]]:
    """Send images at a rate, whatever becomes of those before; returns index and answer of each."""
    began, tasks = time.perf_counter(), []

    async def numbered(index: int) -> tuple[int, Answer]:
        return index, await service.ask(case.at(index)[0])

    for index in range(int(rate * seconds)):
        await asyncio.sleep(max(began + index / rate - time.perf_counter(), 0))
        tasks.append(asyncio.ensure_future(numbered(index)))
    return await asyncio.gather(*tasks)


async def load(case: Case, seconds: float) -> None:
    """Print what happens at more load than the service can take."""
    with serving(str(case.bundle)) as service:
        usual = float(np.median(await one_by_one(service, case, 40)))
        before = service.resident_mib()
        for factor in FACTORS:
            answers = await arrivals(service, case, factor / usual, seconds)
            taken = [(index, one) for index, one in answers if one.status == 200]
            times = [one.seconds for _, one in taken]
            # What one image takes while the client works beside: by how many came through.
            service_s = seconds / len(taken)
            wrong = sum(not case.is_right(index, one) for index, one in taken)
            p99 = float(np.percentile(times, 99))
            told = [one for _, one in answers if one.status == 503]
            later = sum("retry-after" in one.headers for one in told)
            others = Counter(one.status for _, one in answers if one.status not in (200, 503))
            await asyncio.sleep(CALM_S)
            after = float(np.median(await one_by_one(service, case, 20)))
            print(
                f"load {factor}x ({factor / usual:.0f} a second): {len(taken)} accepted, p99 "
                f"{p99:.3f} s = {p99 / ((QUEUE + 1) * service_s):.2f} x (queue + 1) service times "
                f"of {1e3 * service_s:.1f} ms; {len(told)} refused, {later} with Retry-After; "
                f"others {dict(others)}; {wrong} wrong; {after / usual:.2f} of the usual time "
                f"{CALM_S:g} s later; {service.resident_mib() - before:+.1f} MiB"
            )


async def many(case: Case, count: int) -> None:
    """Print the memory of a service after many requests, a tenth of them bad."""
    rng = np.random.default_rng(0)
    bad = rng.random(count) < BAD_SHARE
    statuses, wrong = Counter[int](), 0
    with serving(str(case.bundle)) as service:
        await one_by_one(service, case, 300)
        before, room = service.resident_mib(), asyncio.Semaphore(QUEUE)

        async def send(index: int) -> None:
            nonlocal wrong
            async with room:
                body = BAD[index % len(BAD)] if bad[index] else case.at(index)[0]
                answer = await service.ask(body)
            statuses[answer.status] += 1
            if answer.status == 200:
                wrong += bool(bad[index]) or not case.is_right(index, answer)

        for first in range(0, count, 1000):
            await asyncio.gather(*map(send, range(first, min(first + 1000, count))))
        after = service.resident_mib()
    print(
        f"many: {count} requests, {int(bad.sum())} bad: {dict(statuses)}, {wrong} wrong; "
        f"{before:.0f} MiB before, {after / before - 1:+.1%} after"
    )


async def swaps(case: Case, count: int) -> None:
    """Print what requests came to while bundles took over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = ["first", "second"]
        for place, one in enumerate(names):
            shutil.copytree(case.bundle, folder / one)
            rethreshold.set_threshold(folder / one, 0.4 + 0.2 * place, reason="")
        shutil.copytree(case.bundle, folder / "spoilt")
        spoilt = folder / "spoilt" / "MODEL_CARD.md"
        pointer = folder / "current"
        pointer.write_text("second")
        with serving(f"line={pointer}") as service:
            statuses, wrong, is_over = Counter[int](), 0, False

            async def ask() -> None:
                nonlocal wrong
                index = 0
                while not is_over:
                    answer = await service.ask(case.at(index)[0])
                    statuses[answer.status] += 1
                    wrong += answer.status == 200 and not case.is_right(index, answer)
                    index += 1

            asking = [asyncio.ensure_future(ask()) for _ in range(3)]
            for index in range(count):
                is_bad = index % round(1 / SPOILT_SHARE) == 2
                if is_bad:  # another damage each time, or it would not be tried again
                    spoilt.write_text(f"spoilt {index}")
                    manifest = folder / "spoilt" / "manifest.json"
                    manifest.write_text(manifest.read_text() + "\n")
                pointer.write_text("spoilt" if is_bad else names[index % 2])
                told = index + 1
                while await _swaps_told(service) < told:
                    await asyncio.sleep(0.02)
            is_over = True
            await asyncio.gather(*asking)
            text = (await service.ask(b"", path="/metrics", method="GET")).body.decode()
    results = [line for line in text.splitlines() if line.startswith("inspection_swaps_total")]
    print(f"swaps: {results}; requests {dict(statuses)}, {wrong} wrong")


async def _swaps_told(service: Service) -> int:
    text = (await service.ask(b"", path="/metrics", method="GET")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("inspection_swaps_total")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))


async def stops(case: Case, count: int) -> None:
    """Print whether what was accepted is answered when the service is told to stop."""
    codes, statuses, lost = Counter[int](), Counter[int](), 0
    for _ in range(count):
        with serving(str(case.bundle)) as service:
            await one_by_one(service, case, 3)
            asking = asyncio.ensure_future(arrivals(service, case, 50, 2.0))
            await asyncio.sleep(0.7)
            service.process.send_signal(signal.SIGTERM)
            answers = [one for _, one in await asking]
            codes[await asyncio.to_thread(service.process.wait, 60)] += 1
        statuses.update(one.status for one in answers)
        # What came before the signal was accepted or refused: each has an answer.
        lost += sum(one.status == 0 for one in answers[:30])
    print(
        f"stops: exit codes {dict(codes)}; answers {dict(statuses)} (0: no connection); {lost} lost"
    )


def case_of(bundle: Path, images: Path) -> Case:
    """Return a bundle with images that it can read."""
    inspector = runtime.Inspector.load(bundle, threads=1)
    files = sorted(path for path in images.rglob("*") if path.suffix in (".png", ".jpg", ".bmp"))
    found = {}
    for path in files[:100]:
        data = path.read_bytes()
        found[inspector.inspect(data).image_sha256] = data
    return Case(bundle, list(found.values()), list(found))


def main() -> None:
    """Print a line for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path, help="folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--stops", type=int, default=50)
    options = parser.parse_args()
    case = case_of(options.bundle, options.images)
    runs = {
        "overhead": lambda: overhead(case),
        "load": lambda: load(case, options.seconds),
        "many": lambda: many(case, options.requests),
        "swaps": lambda: swaps(case, options.swaps),
        "stops": lambda: stops(case, options.stops),
    }
    for name in options.only:
        asyncio.run(runs[name]())


if __name__ == "__main__":
    main()
