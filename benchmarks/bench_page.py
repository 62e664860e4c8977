"""The live page: what a person waits for, and what the server stands.

A server of its own is started for it, and everything stays on 127.0.0.1. Each figure is printed
beside what it is to be; the exit code is 1 if one is missed. Drawing, proofs and first pictures are
timed inside a headless Chromium (with selenium); everything on as many cores as there are, so that
whatever else runs on the machine counts too.

    python benchmarks/bench_page.py [--only first|drawing|ablation|bytes|reading|uploads|bombs|half-open]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from page_client import Connection, Report, Server, finished
from page_load import bombs, half_open, photo, reading, uploads
from page_sights import ablation, first_sight, in_browser

KINDS = ["first", "drawing", "ablation", "bytes", "reading", "uploads", "bombs", "half-open"]


async def begin(server: Server) -> tuple[dict[str, Any], str]:
    start = json.loads((await Connection(server).ask("GET", "/api/start"))[1])
    if start["default_photo"] is None:
        status, answer = await Connection(server).ask("POST", "/api/photos", photo(0))
        assert status == 200
        start["default_photo"] = json.loads(answer)["id"]
    body = {"model": "resnet50", "photo": start["default_photo"], "weights": "none"}
    return start, await finished(server, body)


async def run(only: str | None) -> bool:
    report = Report()
    server = Server()
    try:
        await asyncio.to_thread(in_browser, server, only, report)
        _, look = await begin(server)
        for name, work in (("ablation", ablation), ("bytes", first_sight), ("reading", reading)):
            if only in (None, name):
                await work(server, look, report)
        for name, job in (("uploads", uploads), ("bombs", bombs), ("half-open", half_open)):
            if only in (None, name):
                await job(server, report)
    finally:
        server.stop()
    return report.missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--only", choices=KINDS)
    sys.exit(asyncio.run(run(parser.parse_args().only)))


if __name__ == "__main__":
    main()
