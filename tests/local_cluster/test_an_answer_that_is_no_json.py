"""An API server that answers no JSON is one that does not answer well."""

import pytest
from aiohttp import ClientSession, web

from local_cluster.kubernetes_api import KubernetesApi
from shared.kernel.errors import Unavailable


async def _cut(request: web.Request) -> web.Response:
    del request
    return web.Response(text='{"items": [', content_type="application/json")


async def test_an_answer_that_is_cut_is_no_good_one() -> None:
    app = web.Application()
    app.router.add_get("/api", _cut)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with ClientSession() as session:
            host, port = runner.addresses[0][:2]
            with pytest.raises(Unavailable, match="answers no JSON to /api"):
                await KubernetesApi(session, f"http://{host}:{port}").get("/api")
    finally:
        await runner.cleanup()
