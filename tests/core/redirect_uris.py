"""Redirect URIs that may be registered, and what is sent in place of them."""

from __future__ import annotations

WEB = "https://app.example/cb"
DEEP = "https://app.example:8443/a/cb?tenant=7"
LOCAL = "http://127.0.0.1/callback"
SIX = "http://[::1]:8000/callback?x=1"
NAMED = "http://localhost:3000/cb"
PRIVATE = "com.example.app:/cb"

# Of each: what an attacker, or a careless client, might send instead.
VARIANTS = [
    (WEB, "https://app.example/cb/"),
    (WEB, "https://app.example/CB"),
    (WEB, "https://APP.example/cb"),
    (WEB, "HTTPS://app.example/cb"),
    (WEB, "http://app.example/cb"),
    (WEB, "https://app.example:443/cb"),
    (WEB, "https://app.example:8443/cb"),
    (WEB, "https://app.example./cb"),
    (WEB, "https://app.example/cb?"),
    (WEB, "https://app.example/cb?x=1"),
    (WEB, "https://app.example/cb#x"),
    (WEB, "https://app.example/cb/../cb"),
    (WEB, "https://app.example/cb/..;/x"),
    (WEB, "https://app.example/%63b"),
    (WEB, "https://app.example/cb%00"),
    (WEB, "https://app.example\\@evil.example/cb"),
    (WEB, "https://app.example@evil.example/cb"),
    (WEB, "https://evil.example/cb"),
    (WEB, "https://evil.example/?https://app.example/cb"),
    (WEB, "https://sub.app.example/cb"),
    (WEB, "https://app.example.evil.example/cb"),
    (WEB, "https://app.exаmple/cb"),  # a Cyrillic letter
    (WEB, "//app.example/cb"),
    (WEB, " https://app.example/cb"),
    (WEB, "https://app.example/cb\r\nx: y"),
    (WEB, ""),
    (DEEP, "https://app.example:8443/a/cb"),
    (DEEP, "https://app.example:8443/a/cb?tenant=8"),
    (DEEP, "https://app.example:8443/a/cb?tenant=7&x"),
    (LOCAL, "http://127.0.0.1/callback/x"),
    (LOCAL, "http://127.0.0.1/callback?x"),
    (LOCAL, "http://127.0.0.1:/callback"),
    (LOCAL, "http://127.0.0.1:0/callback"),
    (LOCAL, "http://127.0.0.1:65536/callback"),
    (LOCAL, "http://127.0.0.1:080/callback"),
    (LOCAL, "http://127.0.0.1:80:80/callback"),
    (LOCAL, "http://127.0.0.1:80@evil.example/callback"),
    (LOCAL, "http://127.0.0.1@evil.example/callback"),
    (LOCAL, "http://127.0.0.1.evil.example/callback"),
    (LOCAL, "http://127.0.0.1:80.evil.example/callback"),
    (LOCAL, "http://127.0.0.1#@evil.example/callback"),
    (LOCAL, "http://127.0.0.1\\.evil.example/callback"),
    (LOCAL, "http://user@127.0.0.1/callback"),
    (LOCAL, "http://127.0.1/callback"),
    (LOCAL, "http://2130706433/callback"),
    (LOCAL, "http://0x7f.0.0.1/callback"),
    (LOCAL, "http://127.0.0.1./callback"),
    (LOCAL, "http://localhost/callback"),
    (LOCAL, "http://[::1]/callback"),
    (LOCAL, "http://[::ffff:127.0.0.1]/callback"),
    (LOCAL, "https://127.0.0.1/callback"),
    (LOCAL, "HTTP://127.0.0.1/callback"),
    (SIX, "http://[::1]/callback"),
    (SIX, "http://[0:0:0:0:0:0:0:1]/callback?x=1"),
    (SIX, "http://[::1%25lo]/callback?x=1"),
    (SIX, "http://[::1].evil.example/callback?x=1"),
    (SIX, "http://::1/callback?x=1"),
    (NAMED, "http://localhost.evil.example/cb"),
    (NAMED, "http://LOCALHOST:3000/cb"),
    (NAMED, "http://localhost@evil.example:3000/cb"),
    (NAMED, "http://127.0.0.1:3000/cb"),
    (PRIVATE, "com.example.app:/cb/"),
    (PRIVATE, "com.example.app://cb"),
    (PRIVATE, "COM.example.app:/cb"),
    (PRIVATE, "com.example.app.evil:/cb"),
]
