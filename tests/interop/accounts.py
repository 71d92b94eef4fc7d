"""What a right account of a visit is: each client tells what it saw, here it is judged, for all clients alike."""

import json
import re
import time
import urllib.error
import urllib.request

from checks import TOOLS, expect

GONE_SECONDS = 10
SAID = r"#\d+\] You said: 'Hello'\. "
MOCK_ANSWER = rf"\[MOCK RESPONSE {SAID}This is a test response without calling any external API\."
MOCK_STREAM = rf"\[MOCK STREAM {SAID}This is a streaming test response\."


class Asking:
    """A server that asks a model: a result is structured content with the mock's answer, and the same as text."""

    def __init__(self, name, tools, tool, streaming_tool):
        self.name, self.tools = name, tools
        self.visit = {
            "call": {"name": tool, "arguments": {"message": "Hello"}},
            "stream": {"name": streaming_tool, "arguments": {"message": "Hello"}},
            "refused": {"name": tool, "arguments": {"message": ""}},
        }

    def check(self, account):
        check_answer(account["answer"], MOCK_ANSWER)
        expect(json.loads(account["refused"]["text"])["success"], False, "success of a refused call")
        if "progress" in account:
            check_answer(account["streamed"], MOCK_STREAM)
            values = [value for value, _ in account["progress"]]
            pieces = [piece for _, piece in account["progress"]]
            expect(values, sorted(set(values)), "the progress, which must always increase,")
            expect("".join(pieces), account["streamed"]["structured"]["aiResponse"], "the text of the pieces")
            expect(len(pieces) > 1, True, "whether there are pieces")


class Messenger(Asking):
    """server-a: conversations are resources, and there are prompts."""

    offers = {"resources", "prompts"}
    prompts = {"ask_expert", "compare_models", "continue_conversation", "summarise_conversation"}

    def __init__(self, *args):
        super().__init__(*args)
        self.visit["prompt"] = {"name": "ask_expert", "arguments": {"question": "Why?", "field": "reasons"}}

    def check(self, account):
        super().check(account)
        expect(account["templates"], ["conversation://{id}"], "the resource templates")
        expect("Hello" in account["read"], True, f"whether the message is in {account['read']}")
        expect(set(account["prompts"]), self.prompts, "the prompts")
        expect("Why?" in account["prompt"], True, f"whether the question is in {account['prompt']}")


class Responder(Asking):
    """server-b: tools alone."""

    offers = set()


class Tools:
    """tool-server: texts, and resources."""

    name = "tool-server"
    tools = {"echo", "get_time", "list_files", "math_calc"}
    offers = {"resources"}
    visit = {
        "call": {"name": "echo", "arguments": {"message": "hi"}},
        "refused": {"name": "math_calc", "arguments": {"expression": "1 +"}},
    }

    def check(self, account):
        expect(account["answer"]["failed"], False, "isError")
        expect(account["answer"]["text"], "Echo: hi", "the answer")
        expect(account["resources"], ["server://info", "server://stats"], "the resources")
        expect(account["templates"], [], "the resource templates")
        expect(set(json.loads(account["read"])["enabledTools"]), self.tools, "enabledTools of server://info")


RESPONDER_TOOLS = {
    "process_message",
    "process_message_stream",
    "get_received_messages",
    "get_openai_stats",
    "configure_ai_model",
    "get_provider_info",
    "health_check",
}
SERVERS = {
    "server-a": Messenger("messenger-server", TOOLS, "send_message_to_ai", "send_message_stream"),
    "server-b": Responder("ai-responder-server", RESPONDER_TOOLS, "process_message", "process_message_stream"),
    "tool-server": Tools(),
}
UNKNOWN = {"name": "no_such_tool", "arguments": {}}


def check_account(server, revision, shows_progress, unknown, account):
    """`unknown` is the code that a call of no tool must give: the server's error, unless the client never asks it."""
    if "broken" in account:
        raise AssertionError(account["broken"])
    expected = SERVERS[server]
    expect(account["protocol"], revision, "the protocol")
    expect(account["server"], expected.name, "the name of the server")
    expect(len(account["tools"]), len(expected.tools), f"the number of tools in {account['tools']}")
    expect(set(account["tools"]), expected.tools, "the set of tools")
    expect(account.keys() & {"resources", "prompts"}, expected.offers, "what is offered besides tools")
    expected.check(account)
    expect(account["refused"]["failed"], True, f"isError of {account['refused']}")
    expect(account["unknown"].get("code"), unknown, f"the code of {account['unknown']}")
    expect("progress" in account, shows_progress and "stream" in expected.visit, "whether progress was shown")


def check_answer(answer, pattern):
    expect(answer["failed"], False, f"isError of {answer['text']!r}")
    expect(json.loads(answer["text"]), answer["structured"], "the text form")
    text = answer["structured"]["aiResponse"]
    if not re.fullmatch(pattern, text):
        raise AssertionError(f"the answer is {text!r}")


def check_gone(url, session):
    """A message for a session that has ended is refused, soon."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if "header" in session:
        headers["mcp-session-id"] = session["header"]
    ping = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    request = urllib.request.Request(session.get("url", url), ping, headers)
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=GONE_SECONDS) as response:
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        if status == 404:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"the session has not ended: a message for it gets {status}")
        time.sleep(0.05)
