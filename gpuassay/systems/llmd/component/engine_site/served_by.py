"""ASGI middleware in an inference engine's server: every answer says which Pod gave it, as llm-d's simulator does."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ServedBy:
    """Adds the header `x-inference-pod` with the value of the variable POD_NAME."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        """`app`: the server."""
        self.app = app
        self.header = (b"x-inference-pod", os.environ["POD_NAME"].encode())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self.header]
            await send(message)

        await self.app(scope, receive, named)
