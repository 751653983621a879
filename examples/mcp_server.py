import os

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import MCPServer

from watchword.integrations.mcp import Tokens

tokens = Tokens(
    "https://auth.example",
    resource="http://127.0.0.1:9000/mcp",
    feed=("orders-api", os.environ["FEED_SECRET"]),
)
server = MCPServer(
    "orders",
    token_verifier=tokens,
    auth=tokens.settings(required_scopes=["orders"]),
)


@server.tool()
def orders() -> str:
    """The orders of the user."""
    token = get_access_token()
    assert token is not None
    return f"The orders of {token.subject}: none yet."


app = server.streamable_http_app()
tokens.mount(app)
