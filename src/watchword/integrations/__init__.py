"""Watchword in the frameworks: one module each, none knows another.

    fastapi, starlette, litestar, django, flask
               `Auth`: an app that signs its users in, with Watchword inside
               `ResourceServer`: an API that only verifies the tokens of another server
    gate       headers in, claims out; a refusal for everybody alike
    embedding  the engine inside an app, with the app's settings
    portal     the same for frameworks without an event loop: a thread that has one

A resource server loads `verify` and `errors` alone; the rest comes with `Auth`.
"""
