"""Watchword in the frameworks: one module each, none imports another.

    fastapi, starlette, litestar, django, flask
                   `Auth`: an app that signs its users in, with Watchword inside
                   `ResourceServer`: an API that only verifies another server's tokens
    mcp            `Tokens`: a server of the Model Context Protocol that verifies
    asgi           what the asynchronous frameworks share: their base classes
    blocking       the same for the synchronous ones, Django and Flask
    authenticator  headers in, claims out; the refusals that all frameworks share
    embedding      the engine inside an app, with the app's settings
    portal         for frameworks without an event loop: a thread that has one
    websockets     how a token comes with a websocket, and how one is refused
    environ        the headers of a request in WSGI and Django
    bridge         a request of WSGI or Django, passed to the auth endpoints

A resource server imports only `verify` and what is below it; the rest comes with
`Auth`.
"""
