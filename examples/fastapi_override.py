from fastapi.testclient import TestClient

from fastapi_embedded import app, auth
from watchword.verify import Claims

ANN = Claims(iss="test", sub="ann", aud="api", exp=2, iat=1, jti="1", client_id="test")


def test_hello() -> None:
    app.dependency_overrides[auth.session] = lambda: ANN
    with TestClient(app) as client:
        assert client.get("/hello").json() == {"hello": "ann"}
