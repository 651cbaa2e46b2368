"""An application with a database: each request asks PostgreSQL.

Its connection string is the file `orders-db` in the folder `RUNTIME_SECRETS`. It is read once:
after a rotation a new instance has the new one, and this one ends before its own is refused.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web

POOL = web.AppKey("pool", Any)
TABLE = "CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY, item text)"
# What a server that ended, or starts again, does to a session.
BROKEN = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
)
RETRIES = 20
PAUSE_S = 0.25


async def asked(app: web.Application, sql: str, *values: object) -> Any:
    """Return the first row of *sql*, which may be sent twice: a broken session is made again."""
    for _ in range(RETRIES):
        try:
            return await app[POOL].fetchrow(sql, *values, timeout=10)
        except BROKEN as broken:
            problem = broken
            await asyncio.sleep(PAUSE_S)  # noqa: TID251  it is no part of the platform
    raise problem


async def listed(request: web.Request) -> web.Response:
    row = await asked(request.app, "SELECT session_user AS login, count(*) AS orders FROM orders")
    return web.json_response(dict(row))


async def ordered(request: web.Request) -> web.Response:
    item = (await request.text())[:200]
    row = await asked(request.app, "INSERT INTO orders (item) VALUES ($1) RETURNING id", item)
    return web.json_response(dict(row), status=201)


async def database(app: web.Application) -> Any:
    login = (Path(os.environ["RUNTIME_SECRETS"]) / "orders-db").read_text()
    async with asyncpg.create_pool(login, ssl=False, min_size=1, max_size=4) as pool:
        app[POOL] = pool
        async with pool.acquire() as session, session.transaction():
            # Instances that start together would make it twice.
            await session.execute("SELECT pg_advisory_xact_lock(1)")
            await session.execute(TABLE)
        yield


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(database)
    app.add_routes([web.get("/", listed), web.post("/", ordered)])
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)


if __name__ == "__main__":
    main()
