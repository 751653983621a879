from flask import Flask

from watchword.integrations.flask import Auth

app = Flask(__name__)
auth = Auth("sqlite:///app.db")
auth.init_app(app)


@app.get("/hello")
@auth.required()
def hello() -> dict[str, str]:
    return {"hello": auth.session.sub}
