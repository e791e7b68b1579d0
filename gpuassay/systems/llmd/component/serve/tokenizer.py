"""The tokenization service that llm-d's endpoint picker asks: yields the tokens of the model servers.

Run as `python -m gpuassay.systems.llmd.component.serve.tokenizer --proto-dir DIR --port PORT`. The service definition
is read from the picker's own module at run time, so its messages are never a version behind. Of the five methods the
picker calls three: InitializeTokenizer once, RenderChatCompletion for a warm-up and chats, RenderCompletion for
completions.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any

import grpc

from gpuassay.systems.llmd.component import tiny_model
from gpuassay.systems.llmd.objects import tokens

PROTO = "tokenizer.proto"
_THREADS = 4
_LARGEST = 64 * 2**20
"""Bytes of a message; gRPC's own limit of 4 MiB is below the longest prompts."""


def _text(message: Any) -> str:
    """Content of a chat message: its plain text, else the text parts."""
    return message.content or "".join(part.text for part in message.content_parts)


TOKENS: dict[str, Callable[[str], list[int]]] = {"simulator": tokens.token_ids, "vllm": tiny_model.token_ids}
"""Tokens of a text, by what model servers are."""


def service(
    messages: Any, base: type[Any], shift: int = 0, token_ids: Callable[[str], list[int]] = tokens.token_ids
) -> Any:
    """A servicer over the generated `messages`; `shift` is added to every token id (a wrong one, for controls)."""

    def shifted(found: list[int]) -> list[int]:
        return [(token + shift) & 0xFFFFFFFF for token in found] if shift else found

    def initialize(_: object, request: Any, context: object) -> Any:
        return messages.InitializeTokenizerResponse(success=True)

    def completion(_: object, request: Any, context: object) -> Any:
        return messages.RenderCompletionResponse(success=True, token_ids=shifted(token_ids(request.prompt)))

    def chat(_: object, request: Any, context: object) -> Any:
        text = tokens.chat_text((message.role, _text(message)) for message in request.messages)
        return messages.RenderChatCompletionResponse(success=True, token_ids=shifted(token_ids(text)))

    def tokenize(_: object, request: Any, context: object) -> Any:
        return messages.TokenizeResponse(success=True, input_ids=shifted(token_ids(request.input)))

    methods: dict[str, Callable[..., Any]] = {
        "InitializeTokenizer": initialize, "RenderCompletion": completion,
        "RenderChatCompletion": chat, "Tokenize": tokenize,
    }  # fmt: skip
    return type("Tokenization", (base,), methods)()


def main(arguments: Iterable[str]) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proto-dir", required=True, help=f"holds {PROTO}")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--on", default="127.0.0.1", help="address of that port")
    parser.add_argument("--shift", type=int, default=0, help="added to every token id: a wrong tokenizer")
    parser.add_argument("--engine", choices=sorted(TOKENS), default="simulator", help="whose tokens")
    options = parser.parse_args(list(arguments))
    sys.path.insert(0, options.proto_dir)
    library: Any = grpc
    messages, services = library.protos_and_services(PROTO)
    limits = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]
    # without so_reuseport=0 a second server on the port would be accepted and get half of the calls
    server = library.server(futures.ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0), *limits])
    services.add_TokenizationServiceServicer_to_server(
        service(messages, services.TokenizationServiceServicer, options.shift, TOKENS[options.engine]), server
    )
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        server.add_insecure_port(f"{options.on}:{options.port}")
    except RuntimeError as error:
        print(f"tokenizer: port {options.port}: address already in use? {error}", flush=True)
        return 1
    server.start()
    print(f"tokenizer: serving on {options.on}:{options.port}", flush=True)
    ended.wait()
    server.stop(0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
