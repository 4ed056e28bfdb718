"""The empty endpoint, a process of its own: what the web framework takes before any of ours begins."""

import sys

import uvicorn
from fastapi import FastAPI

from einlass_controller.main import CONNECTIONS_MAX
from einlass_sim.processes import LOOPBACK

PATH = "/empty"

app = FastAPI()


@app.post(PATH)
async def empty() -> dict[str, str]:
    """Nothing."""
    return {}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host=LOOPBACK,
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
    )
