"""An ASGI application as FastAPI would make one, with nothing but the protocol."""

import json

import azure.functions as func


async def web(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    body = b""
    while (message := await receive()).get("more_body") or message.get("body"):
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    said = {"method": scope["method"], "path": scope["path"], "got": body.decode()}
    headers = [(b"content-type", b"application/json"), (b"x-served-by", b"asgi")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def lifespan(receive, send):
    # The library refuses an application that does not answer these.
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


app = func.AsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS)
