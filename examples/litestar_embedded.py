from litestar import Litestar, get
from litestar.di import NamedDependency

from watchword.integrations.litestar import Auth
from watchword.verify import Claims

auth = Auth("sqlite:///app.db")


@get("/hello")
async def hello(session: NamedDependency[Claims]) -> dict[str, str]:
    return {"hello": session.sub}


app = Litestar([hello], plugins=[auth])
