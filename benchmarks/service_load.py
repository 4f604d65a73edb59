"""How a service behaves under more load than it can take, bad requests, swaps and stops.

For a bundle, each in a service of its own on this machine, which the client shares:

- `overhead`: a request at a time, beside `Inspector.inspect` of the same images: over a connection
  that stays open, as a client at a line has it, and over a new one each time;
- `load`: arrivals at 2, 5 and 10 times of what it can take: the time of what was accepted beside
  (queue + 1) service times, what was refused and how, whether each image got its own answer, and
  whether it is as fast as before 5 s later. Beside it what no service can better: as many
  inspections in a row while nothing is sent; and how many cores others kept busy;
- `many`: requests of which a tenth is bad, and the memory of the process;
- `swaps`: bundles that take over while requests go on, a fifth of them damaged;
- `stops`: SIGTERM under load, and whether all that was accepted was answered.

    python -m benchmarks.service_load BUNDLE IMAGES [--only load ...] [--seconds 20]
        [--requests 100000] [--swaps 100] [--stops 50]
"""

import argparse
import asyncio
import dataclasses
import gc
import re
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.service_client import QUEUE, Answer, Service, ask_again, busy_s, serving
from inspection_tf import runtime
from inspection_tf.editing import rethreshold

FACTORS = (2, 5, 10)
BAD_SHARE = 0.1
SPOILT_SHARE = 0.2
CALM_S = 5.0
STOP_S = 0.7  # of arrivals before a service is told to stop
PARTS = ("overhead", "load", "many", "swaps", "stops")
BAD = (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(64))


@dataclasses.dataclass(frozen=True)
class Case:
    """A bundle, and images whose hashes are known."""

    bundle: Path
    images: Sequence[bytes]
    hashes: Sequence[str]

    @classmethod
    def of(cls, bundle: Path, folder: Path) -> "Case":
        """Return a bundle with those images of a folder that it can read."""
        inspector = runtime.Inspector.load(bundle, threads=1)
        files = sorted(
            path for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".bmp")
        )
        found = {}
        for path in files[:100]:
            data = path.read_bytes()
            found[inspector.inspect(data).image_sha256] = data
        return cls(bundle, list(found.values()), list(found))

    def at(self, index: int) -> bytes:
        """Return an image."""
        return self.images[index % len(self.images)]

    def is_wrong(self, index: int, answer: Answer) -> bool:
        """Return whether a verdict is of another image than was sent."""
        return answer.status == 200 and answer.sha256 != self.hashes[index % len(self.images)]


async def one_by_one(service: Service, case: Case, count: int) -> list[float]:
    """Return the seconds of requests, one after the other."""
    found = []
    for index in range(count):
        found.append(answered_s(await service.ask(case.at(index))))
    return found


def answered_s(answer: Answer) -> float:
    """Return the seconds of a request that nothing else was in the way of."""
    if answer.status != 200:
        raise SystemExit(f"a request alone must be answered. Got {answer}.")
    return answer.seconds


def alone(inspector: runtime.Inspector, images: Sequence[bytes]) -> list[float]:
    """Return the seconds of inspections, one after the other."""
    found = []
    for image in images:
        began = time.perf_counter()
        inspector.inspect(image)
        found.append(time.perf_counter() - began)
    return found


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Seconds of the same images, in turns."""

    again: list[float]  # over a connection that stays open
    anew: list[float]  # over a new connection each time
    alone: list[float]  # by `Inspector.inspect`

    def told(self) -> str:
        """Return the median of what HTTP and queue cost."""
        again, anew, base = (1e3 * np.array(one) for one in (self.again, self.anew, self.alone))
        return (
            f"overhead: {np.median(again):.2f} ms a request, {np.median(base):.2f} ms to inspect; "
            f"{np.median(again - base):.2f} ms more at the median of {len(base)}; "
            f"{np.median(anew - base):.2f} ms more over a new connection each time"
        )


async def overhead(case: Case) -> Overhead:
    """Return what HTTP and queue cost beside inspecting."""
    inspector = runtime.Inspector.load(case.bundle, threads=1)
    found = Overhead([], [], [])
    with serving(str(case.bundle)) as service:
        await one_by_one(service, case, 10)
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            for index in range(max(60, len(case.images))):  # in turns: the machine's speed varies
                found.again.append(answered_s(ask_again(connection, case.at(index))))
                found.anew.append(answered_s(await service.ask(case.at(index))))
                found.alone.extend(alone(inspector, [case.at(index)]))
    return found


async def arrivals(
    service: Service, case: Case, rate: float, seconds: float
) -> list[tuple[int, Answer]]:
    """Send images at a rate, whatever becomes of those before; returns index and answer of each."""
    began, tasks = time.perf_counter(), []

    async def numbered(index: int) -> tuple[int, Answer]:
        return index, await service.ask(case.at(index))

    for index in range(int(rate * seconds)):
        await asyncio.sleep(max(began + index / rate - time.perf_counter(), 0))
        tasks.append(asyncio.ensure_future(numbered(index)))
    return await asyncio.gather(*tasks)


@dataclasses.dataclass(frozen=True)
class Load:
    """What arrivals at a rate came to."""

    factor: float  # of what the service takes of requests alone
    seconds: float
    answers: Sequence[tuple[int, Answer]]
    wrong: int
    usual_s: float  # of a request alone, before
    later_s: float  # likewise, after
    grown_mib: float
    others: float  # cores that neither the service nor the client kept busy, and were not idle

    @property
    def refused(self) -> list[Answer]:
        """What was answered with 503."""
        return [one for _, one in self.answers if one.status == 503]

    @property
    def unexplained(self) -> Counter[int]:
        """Statuses that are neither a verdict nor a refusal that says when to come back."""
        return Counter(
            one.status
            for _, one in self.answers
            if one.status != 200 and not (one.status == 503 and "retry-after" in one.headers)
        )

    def told(self) -> str:
        """Return a line of what was accepted and refused."""
        times = [one.seconds for _, one in self.answers if one.status == 200]
        # What one image takes while the client works beside: by how many came through.
        service_s, p99 = self.seconds / len(times), float(np.percentile(times, 99))
        return (
            f"load {self.factor:g}x ({self.factor / self.usual_s:.0f} a second): {len(times)} "
            f"accepted, p99 {p99:.3f} s = {p99 / ((QUEUE + 1) * service_s):.2f} x (queue + 1) "
            f"service times of {1e3 * service_s:.1f} ms; {len(self.refused)} refused; neither, or "
            f"without Retry-After: {dict(self.unexplained)}; {self.wrong} wrong; "
            f"{self.later_s / self.usual_s:.2f} of the usual time {CALM_S:g} s later; "
            f"{self.grown_mib:+.1f} MiB; others kept {self.others:.2f} cores busy"
        )


async def load(case: Case, factors: Sequence[float], seconds: float) -> list[Load]:
    """Return what happens at more load than the service can take."""
    found = []
    with serving(str(case.bundle)) as service:
        usual_s = float(np.median(await one_by_one(service, case, 40)))
        before = service.resident_mib()
        for factor in factors:
            gc.collect()  # of the client, while nobody waits
            began, busy = time.perf_counter(), busy_s() - service.cpu_s() - time.process_time()
            answers = await arrivals(service, case, factor / usual_s, seconds)
            busy = busy_s() - service.cpu_s() - time.process_time() - busy
            others = busy / (time.perf_counter() - began)
            wrong = sum(case.is_wrong(index, one) for index, one in answers)
            await asyncio.sleep(CALM_S)
            later_s = float(np.median(await one_by_one(service, case, 20)))
            grown = service.resident_mib() - before
            found.append(Load(factor, seconds, answers, wrong, usual_s, later_s, grown, others))
    return found


def steadiness(case: Case, seconds: float) -> str:
    """Return how long as many inspections in a row take as may wait, beside their mean."""
    inspector = runtime.Inspector.load(case.bundle, threads=1)
    times, began, busy = list[float](), time.perf_counter(), busy_s() - time.process_time()
    while (spent_s := time.perf_counter() - began) < seconds:
        times += alone(inspector, case.images)
    others = (busy_s() - time.process_time() - busy) / spent_s
    rows = np.convolve(times, np.ones(QUEUE + 1), "valid")
    return (
        f"load: without requests {QUEUE + 1} inspections in a row take "
        f"{np.percentile(rows, 99) / ((QUEUE + 1) * np.mean(times)):.2f} x their mean at p99; "
        f"others kept {others:.2f} cores busy"
    )


@dataclasses.dataclass(frozen=True)
class Many:
    """What many requests came to, of which some were bad."""

    bad: int
    statuses: Counter[int]
    wrong: int  # of another image, or of none
    before_mib: float  # after a tenth of them
    after_mib: float

    def told(self) -> str:
        """Return statuses and memory."""
        return (
            f"many: {self.statuses.total()} requests, {self.bad} bad: {dict(self.statuses)}, "
            f"{self.wrong} wrong; {self.before_mib:.0f} MiB after a tenth, "
            f"{self.after_mib / self.before_mib - 1:+.1%} until the end"
        )


async def many(case: Case, count: int) -> Many:
    """Return what many requests came to, and the memory of the service."""
    bad = np.random.default_rng(0).random(count) < BAD_SHARE
    statuses, wrong = Counter[int](), 0
    with serving(str(case.bundle)) as service:
        room, memory = asyncio.Semaphore(QUEUE), list[float]()

        async def send(index: int) -> None:
            nonlocal wrong
            async with room:
                body = BAD[index % len(BAD)] if bad[index] else case.at(index)
                answer = await service.ask(body)
            statuses[answer.status] += 1
            is_bad_decided = bool(bad[index]) and answer.status == 200
            wrong += is_bad_decided or case.is_wrong(index, answer)

        for indices in np.array_split(np.arange(count), 10):
            await asyncio.gather(*map(send, indices))
            memory.append(service.resident_mib())
    # After a tenth as many results are kept as may be.
    return Many(int(bad.sum()), statuses, wrong, memory[0], memory[-1])


@dataclasses.dataclass(frozen=True)
class Swaps:
    """What requests came to while bundles took over."""

    results: dict[str, int]  # by `taken` and `refused`, as the service counts
    statuses: Counter[int]
    wrong: int

    def told(self) -> str:
        """Return results and statuses."""
        return f"swaps: {self.results}; requests {dict(self.statuses)}, {self.wrong} wrong"


async def swaps(case: Case, count: int) -> Swaps:
    """Return what requests came to while bundles took over."""
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
                    answer = await service.ask(case.at(index))
                    statuses[answer.status] += 1
                    wrong += case.is_wrong(index, answer)
                    index += 1

            asking = [asyncio.ensure_future(ask()) for _ in range(3)]
            for index in range(count):
                is_bad = index % round(1 / SPOILT_SHARE) == 2
                if is_bad:  # another damage each time, or it would not be tried again
                    spoilt.write_text(f"spoilt {index}")
                    manifest = folder / "spoilt" / "manifest.json"
                    manifest.write_text(manifest.read_text() + "\n")
                (folder / "next").write_text("spoilt" if is_bad else names[index % 2])
                (folder / "next").replace(pointer)  # or it may be read while it is empty
                while sum((await _swapped(service)).values()) <= index:
                    await asyncio.sleep(0.02)
            is_over = True
            await asyncio.gather(*asking)
            return Swaps(await _swapped(service), statuses, wrong)


async def _swapped(service: Service) -> dict[str, int]:
    """Return how many bundles took over, and how many were refused."""
    text = (await service.ask(b"", path="/metrics", method="GET")).body.decode()
    found = re.findall(r'^inspection_swaps_total{.*result="(\w+)"} (\S+)$', text, re.MULTILINE)
    return {result: round(float(number)) for result, number in found}


@dataclasses.dataclass(frozen=True)
class Stops:
    """How services ended that were told to, and what requests came to."""

    codes: Counter[int]
    statuses: Counter[int]  # 0: no connection
    lost: int  # came before the signal, and have no answer

    def told(self) -> str:
        """Return exit codes and statuses."""
        return (
            f"stops: exit codes {dict(self.codes)}; answers {dict(self.statuses)} (0: no "
            f"connection); {self.lost} lost"
        )


async def stops(case: Case, count: int) -> Stops:
    """Return whether what was accepted is answered when the service is told to stop."""
    codes, statuses, lost = Counter[int](), Counter[int](), 0
    for _ in range(count):
        with serving(str(case.bundle)) as service:
            await one_by_one(service, case, 3)
            asking = asyncio.ensure_future(arrivals(service, case, 50, 2.0))
            await asyncio.sleep(STOP_S)
            told = time.perf_counter()
            service.process.send_signal(signal.SIGTERM)
            answers = [one for _, one in await asking]
            codes[await asyncio.to_thread(service.process.wait, 60)] += 1
        statuses.update(one.status for one in answers)
        # What came before the signal was accepted or refused: each has an answer.
        lost += sum(one.status == 0 and one.began < told for one in answers)
    return Stops(codes, statuses, lost)


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
    case = Case.of(options.bundle, options.images)
    gc.collect()
    gc.freeze()  # or the client stops for 50 ms now and then, and reads what has long come
    if "load" in options.only:
        print(steadiness(case, options.seconds))
    runs = {
        "overhead": lambda: overhead(case),
        "load": lambda: load(case, FACTORS, options.seconds),
        "many": lambda: many(case, options.requests),
        "swaps": lambda: swaps(case, options.swaps),
        "stops": lambda: stops(case, options.stops),
    }
    for name in options.only:
        found = asyncio.run(runs[name]())
        for one in found if isinstance(found, list) else [found]:
            print(one.told())


if __name__ == "__main__":
    main()
