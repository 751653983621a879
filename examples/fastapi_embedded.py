from typing import Annotated

from fastapi import Depends, FastAPI

from watchword.integrations.fastapi import Auth
from watchword.verify import Claims

auth = Auth("sqlite:///app.db")
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.get("/hello")
async def hello(session: Annotated[Claims, Depends(auth.session)]) -> dict[str, str]:
    return {"hello": session.sub}
