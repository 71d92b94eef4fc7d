"""A small server of fastmcp, for our client. usage: fastmcp_server.py stdio|http|sse [PORT]"""

import sys

from fastmcp import FastMCP

server = FastMCP("small")


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.resource("small://text")
def text() -> str:
    """A text."""
    return "a text"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            server.run(show_banner=False)
        case [transport, port]:
            server.run(transport=transport, host="127.0.0.1", port=int(port), show_banner=False)
        case _:
            sys.exit(__doc__)
