"""Requests at their times over TLS, from a process of its own; latencies as JSON.

Each request starts at its time, whether those before it are answered or not: a slow server gets no rest.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

CONNECTIONS = 64


@dataclass
class Load:
    """``requests``: kind, second at which it starts, its text, the status that is expected."""

    port: int
    trust: ssl.SSLContext
    requests: list[tuple[str, float, str, int]]
    idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=deque)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late: list[float] = field(default_factory=list)
    unexpected: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        # Whoever has used it has a connection: what is measured are answers, not handshakes.
        self.idle = deque(await asyncio.gather(*(self._connect() for _ in range(CONNECTIONS))))
        begin = time.perf_counter() + 0.1
        tasks = []
        for kind, at, text, status in self.requests:
            delay = begin + at - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            self.late.append(max(0.0, time.perf_counter() - begin - at))
            tasks.append(asyncio.create_task(self._one(kind, text.encode(), status)))
        await asyncio.gather(*tasks)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)

    async def _one(self, kind: str, text: bytes, status: int) -> None:
        began = time.perf_counter()
        # The longest unused one: the server closes those that are idle for seconds.
        reader, writer = self.idle.popleft() if self.idle else await self._connect()
        writer.write(text)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        self.seconds[kind].append(time.perf_counter() - began)
        got = int(lines[0].split()[1])
        if got != status:
            self.unexpected[f"{kind} {got}"] += 1
        self.idle.append((reader, writer))


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    trust = ssl.create_default_context(cafile=given["ca_file"])
    load = Load(given["port"], trust, given["requests"])
    began, busy = time.perf_counter(), time.process_time()
    asyncio.run(load.run())
    wall = time.perf_counter() - began
    answer = {
        "seconds": load.seconds,
        "late": load.late,
        "unexpected": load.unexpected,
        "busy": (time.process_time() - busy) / wall,
        "wall": wall,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
