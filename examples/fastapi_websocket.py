from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket

from watchword.integrations.fastapi import Auth
from watchword.verify import Claims

auth = Auth("sqlite:///app.db")
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.websocket("/chat")
async def chat(
    websocket: WebSocket, session: Annotated[Claims, Depends(auth.session)]
) -> None:
    await websocket.accept()
    async with auth.alive(session) as alive:
        async for message in websocket.iter_json():
            if "token" in message:
                await alive.renew(message["token"])
            else:
                await websocket.send_json({"said": message["say"], "by": session.sub})
