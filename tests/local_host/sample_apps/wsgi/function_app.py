"""A WSGI application as Flask would make one, with nothing but the protocol."""

import azure.functions as func


def web(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Served-By", "wsgi")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + body]


app = func.WsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS)
