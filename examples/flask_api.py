import os

from flask import Flask

from watchword.integrations.flask import ResourceServer

app = Flask(__name__)
auth = ResourceServer(
    "https://auth.example",
    audience="api",
    feed=("orders-api", os.environ["FEED_SECRET"]),
)
auth.init_app(app)


@app.get("/hello")
@auth.required()
def hello() -> dict[str, str]:
    return {"hello": auth.session.sub}


@app.get("/orders")
@auth.required(scope=["orders"])
def orders() -> list[str]:
    return ["order 1"]
