"""Watchword in the frameworks: one module each, none imports another.

    fastapi, starlette, litestar, django, flask
               `Auth`: an app that signs its users in, with Watchword inside
               `ResourceServer`: an API that only verifies the tokens of another server
    authenticator
               headers in, claims out; the refusals that all frameworks share
    embedding  the engine inside an app, with the app's settings
    portal     for frameworks without an event loop: a thread that has one

A resource server imports only `verify` and `errors`; the rest comes with `Auth`.
"""
