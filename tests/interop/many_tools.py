"""An MCP server over stdio with five hundred tools that nobody asks for, made of asked.json. usage: many_tools.py"""

import itertools
import json
import pathlib
import sys

ASKED = pathlib.Path(__file__).parents[2] / "crates/gateway/src/own/search/tests/asked.json"


def asked():
    return json.loads(ASKED.read_text())


def tools(services, verbs, **_):
    """25 services, 5 things each, 4 verbs each."""
    things = [(service, thing) for service, things in sorted(services.items()) for thing in things]
    for number, (service, thing) in enumerate(things):
        for verb in itertools.islice(itertools.cycle(verbs), number * 3, number * 3 + 4):
            yield tool(service, thing, *verb)


def tool(service, thing, verb, description, parameters):
    ends_so = thing.endswith("y") and thing[-2] not in "aeo"
    words = {"%": thing, "$": thing[:-1] + "ies" if ends_so else thing + "s", "@": service}
    for mark, word in words.items():
        description = description.replace(mark, word)
    properties = {
        name: {"type": "string", "description": f"The {name.replace('_', ' ')} of the {thing}"}
        for name in [*parameters, "workspace"]
    }
    schema = {"type": "object", "properties": properties, "required": parameters[:1]}
    name = f"{service}__{verb}_{thing.replace(' ', '_')}"
    return {"name": name, "description": description, "inputSchema": schema}


def answer(method, params):
    match method:
        case "initialize":
            about = {"name": "many-tools", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": list(tools(**asked()))}
        case "tools/call":
            return {"content": [{"type": "text", "text": f"{params['name']} was called"}]}
        case "ping":
            return {}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        response = {"jsonrpc": "2.0", "id": message["id"]}
        if (result := answer(message["method"], message.get("params", {}))) is not None:
            response["result"] = result
        else:
            response["error"] = {"code": -32601, "message": "there is no such method"}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
