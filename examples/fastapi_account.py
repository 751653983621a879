from typing import Annotated, Any

from fastapi import Depends, FastAPI

from watchword.integrations.fastapi import Auth
from watchword.verify import Claims

auth = Auth("sqlite:///app.db", registration="open")
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)
ORDERS: dict[str, list[str]] = {}  # by `sub`, which never changes


@app.get("/orders")
async def orders(session: Annotated[Claims, Depends(auth.session)]) -> dict[str, Any]:
    account = await auth.accounts.get_by_subject(session.sub)
    return {"of": account.email, "orders": ORDERS.get(session.sub, [])}
