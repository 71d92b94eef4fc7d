"""The clients of the gateway: what each does with the servers behind it, and how that is judged."""

import json
import os
import pathlib
import subprocess

import commands
import peers
from calls import calls_of
from checks import expect
from servers import clean_environment

HERE = pathlib.Path(__file__).parent
INSPECTOR = [os.environ["INTEROP_NODE"], os.environ["INTEROP_INSPECTOR"], "--cli", "--format", "json"]
SECONDS = 120
LEGACY, MODERN = "2025-11-25", "2026-07-28"
# With which tools server-everything asks, for what, and what it makes of the answers of clients/everything.py.
ELICITATION = {
    "everything__trigger-elicitation-request": ({}, "form", "Name: Ada"),
    "everything__trigger-url-elicitation": ({"url": "https://example.com/"}, "url", "User completed"),
}
SAMPLING = {"everything__trigger-sampling-request": ({"prompt": "why"}, "sampling", "a model says: Resource")}
ASKING = ELICITATION.keys() | SAMPLING.keys()
# Listed too: one is called as a task only, and one tells the client's folders.
OTHERS = {"everything__simulate-research-query", "everything__get-roots-list"}
TEMPLATES = {
    "conversation://{id}",
    "demo://resource/dynamic/blob/{resourceId}",
    "demo://resource/dynamic/text/{resourceId}",
}
READS = {
    "demo://resource/dynamic/text/1": "Resource 1",
    "memory://knowledge-graph": "entities",
    "server://info": "enabledTools",
    "small://text": "a text",
}
PROMPTS = {
    "everything__args-prompt": ({"city": "Paris"}, "Paris"),
    "messenger__ask_expert": ({"question": "Why?", "field": "reasons"}, "Why?"),
}
COMPLETION = ["everything__completable-prompt", "department", "E"]
LONG = ["everything__trigger-long-running-operation", {"duration": 0.4, "steps": 4}]


class Checks:
    """One line for each check, whatever comes of those before."""

    def __init__(self, report):
        self.report = report

    def check(self, name, step, *arguments):
        try:
            step(*arguments)
        except Exception as error:
            self.report.failure(name, error)
        else:
            self.report.passed(name)


def run(folder, *command, code=0):
    """What a command prints."""
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(folder), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    expect(done.returncode, code, f"the exit code (it says: {done.stdout[-500:]} {done.stderr[-1500:]})")
    return done.stdout


class Place:
    """Where the gateway is: an address, or a command that starts one."""

    def __init__(self, folder, name, url=None, child=None):
        self.folder, self.name, self.url, self.child = folder, name, url, child

    def for_mcp_client(self):
        return self.url or f"stdio:{self.child.command}"

    def for_inspector(self):
        return ["--transport", "http", "--server-url", self.url] if self.url else [self.child.command]

    def for_sdk(self):
        if self.url:
            return {"url": self.url}
        process = {"command": self.child.command, "args": [], "env": self.child.environment, "cwd": str(self.folder)}
        return {"process": process}


def check_answer(tool, answer, part):
    expect(answer.get("isError", False), False, f"isError of {tool}: {answer}")
    text = json.dumps(answer, ensure_ascii=False)
    expect(part in text, True, f"whether {part!r} is in the answer of {tool}: {text[:500]}")


def check_tools(names):
    called = {tool for calls in calls_of("nobody").values() for tool, *_ in calls}
    expect(set(names) - OTHERS - ASKING, called, "the set of tools")
    expect(names, sorted(names, key=lambda name: name.split("__")[0]), "the order of the tools")


class Peer(commands.Client):
    """mcp-client at the gateway, with the names of one upstream."""

    schemes = {"everything": "demo://", "small": "small://"}

    def __init__(self, place, upstream, *options):
        super().__init__(place.folder, place.for_mcp_client(), *options)
        self.upstream = upstream

    def named(self, name):
        return f"{self.upstream}__{name}"

    def listed(self, what):
        """What there is of this upstream; templates are told with the resources."""
        found = super().listed(what)
        scheme = self.schemes[self.upstream]
        mine = {
            "tools": lambda tool: tool["name"].startswith(self.named("")),
            "prompts": lambda prompt: prompt["name"].startswith(self.named("")),
            "resources": lambda resource: resource["uri"].startswith(scheme),
            "resourceTemplates": lambda template: template["uriTemplate"].startswith(scheme),
        }
        return {kind: list(filter(mine[kind], items)) for kind, items in found.items() if kind in mine}


class Graph(commands.Tour):
    """A resource of server-memory changes with each call. What server-everything simulates is for one session alone."""

    def changes(self):
        with self.client.shell() as shell:
            shell.answer_of("subscribe peer memory://knowledge-graph")
            entity = {"name": f"{self.client.common} was here", "entityType": "client", "observations": []}
            shell.type(f"call peer {self.client.named('create_entities')} {json.dumps({'entities': [entity]})}\r")
            shell.wait_for("peer: memory://knowledge-graph has changed")


def visit_with_mcp_client(checks, place, era):
    """Every tool, and what `commands.py` does with server-everything and with fastmcp."""
    name, options = f"mcp-client, {era}, over {place.name}", ["--era", era]

    def call(calls):
        client = commands.Client(place.folder, place.for_mcp_client(), *options)
        for tool, arguments, part in calls:
            check_answer(tool, client.called(tool, json.dumps(arguments)), part)

    for upstream, calls in calls_of(f"client-{era}-{place.name}".replace(" ", "-")).items():
        checks.check(f"{name}: calls of {upstream}", call, calls)
    tours = [
        commands.Everything(peers.everything, Peer(place, "everything", *options)),
        commands.Small(peers.small, Peer(place, "small", *options)),
    ]
    tours[0].more_tools = len(ASKING) + (1 if place.url else 0)
    graph = Graph(peers.memory, Peer(place, "memory", *options))
    checks.check(f"{name}: changes of memory", graph.changes)
    for tour in tours:
        tour.unknown_tool = commands.USAGE
        for part in [part for part in tour.parts if part != "changes"]:
            if check := getattr(tour, part, None):
                checks.check(f"{name}: {part} of {tour.client.upstream}", check)


def visit_with_inspector(checks, place, era):
    name = f"Inspector, {era}, over {place.name}"
    command = [*INSPECTOR, "--protocol-era", era, *place.for_inspector()]

    def ask(*arguments, code=0):
        return json.loads(run(place.folder, *command, "--method", *arguments, code=code))["result"]

    def tools():
        check_tools([tool["name"] for tool in ask("tools/list", "--strict")["tools"]])

    def call(calls):
        for tool, arguments, part in calls:
            arguments = ["--tool-args-json", json.dumps(arguments)]
            check_answer(tool, ask("tools/call", "--tool-name", tool, *arguments), part)

    def resources():
        listed, templates = ask("resources/list")["resources"], ask("resources/templates/list")["resourceTemplates"]
        check_resources([one["uri"] for one in listed], [one["uriTemplate"] for one in templates])
        for uri, part in READS.items():
            text = ask("resources/read", "--uri", uri)["contents"][0]["text"]
            expect(part in text, True, f"whether {part} is in {text}")

    def prompts():
        names = {prompt["name"] for prompt in ask("prompts/list")["prompts"]}
        expect(PROMPTS.keys() <= names, True, f"whether {names} are the prompts")
        for prompt, (arguments, part) in PROMPTS.items():
            pairs = [f"{name}={value}" for name, value in arguments.items()]
            text = json.dumps(ask("prompts/get", "--prompt-name", prompt, "--prompt-args", *pairs))
            expect(part in text, True, f"whether {part} is in {text}")

    checks.check(f"{name}: tools", tools)
    for upstream, calls in calls_of(f"inspector-{era}").items():
        if era == "modern":
            checks.check(f"{name}: calls of {upstream}", call, calls)
        else:  # each takes a second
            checks.check(f"{name}: a call of {upstream}", call, calls[:1])
    checks.check(f"{name}: resources", resources)
    checks.check(f"{name}: prompts", prompts)


def visit_with_sdk(checks, place, major, mode):
    """clients/everything.py tells what it saw of all this in one connection."""
    name, who = f"Python SDK {major}, {mode}, over {place.name}", f"sdk-{major}-{mode}-{place.name}".replace(" ", "-")
    entity = {"name": f"{who} was here", "entityType": "client", "observations": []}
    message = {"message": "Hello", "conversation_id": f"{who}-has-a-list"}
    visit = place.for_sdk() | {
        "mode": mode,
        "calls": {upstream: [call[:2] for call in calls] for upstream, calls in calls_of(who).items()},
        "progress": LONG,
        "elicitation": [[tool, arguments] for tool, (arguments, *_) in ELICITATION.items()],
        "sampling": [[tool, arguments] for tool, (arguments, *_) in SAMPLING.items()],
        "reads": list(READS),
        "prompts": [[prompt, arguments] for prompt, (arguments, _) in PROMPTS.items()],
        "completions": COMPLETION,
        "changes": {
            "uri": "memory://knowledge-graph",
            "update": ["memory__create_entities", {"entities": [entity]}],
            "list": ["messenger__send_message_to_ai", message],  # each conversation is a resource
        },
    }
    path = place.folder / f"{who}.json"
    path.write_text(json.dumps(visit))
    try:
        python = [peers.CACHE / f"sdk-{major}/bin/python", "-W", "ignore", HERE / "clients/everything.py"]
        account = json.loads(run(place.folder, *python, path))
    except Exception as error:
        checks.report.failure(name, error)
        return
    checks.check(f"{name}: the protocol", expect, account.pop("protocol"), MODERN if mode == "auto" else LEGACY, "it")
    for upstream, answers in account.pop("calls").items():
        checks.check(f"{name}: calls of {upstream}", judge_calls, answers, calls_of(who)[upstream])
    for part, seen in account.items():
        checks.check(f"{name}: {part}", judge, part, seen)


def judge_calls(answers, calls):
    check_whole(answers)
    for (tool, _, part), answer in zip(calls, answers, strict=True):
        check_answer(tool, answer, part)


def check_whole(seen):
    if isinstance(seen, dict) and "broken" in seen:
        raise AssertionError(seen["broken"])


def judge(part, seen):
    check_whole(seen)
    match part:
        case "tools":
            check_tools(seen["names"])
            expect(seen["unknown"]["error"]["code"], -32602, "the code of an unknown tool")
        case "progress":
            expect(seen, [[1, 4], [2, 4], [3, 4], [4, 4]], "the progress")
        case "elicitation" | "sampling":
            for tool, (_, asked, wanted) in (ELICITATION if part == "elicitation" else SAMPLING).items():
                expect(seen[tool]["asked"], [asked], f"what {tool} asked")
                check_answer(tool, seen[tool]["answer"], wanted)
        case "resources":
            check_resources(seen["uris"], seen["templates"])
            for uri, wanted in READS.items():
                expect(wanted in seen["read"][uri][0]["text"], True, f"whether {wanted} is in {seen['read'][uri]}")
        case "prompts":
            expect(PROMPTS.keys() <= set(seen["names"]), True, f"whether {seen['names']} are the prompts")
            for prompt, (_, wanted) in PROMPTS.items():
                expect(wanted in json.dumps(seen["messages"][prompt]), True, f"whether {wanted} is in {seen}")
        case "completions":
            expect(seen, ["Engineering"], "the values")
        case "changes":
            expect("memory://knowledge-graph" in seen["updated"], True, f"whether {seen} tells of the resource")
            expect("resources" in seen["lists"], True, f"whether {seen} tells of the list")


def check_resources(uris, templates):
    expect(READS.keys() - set(uris), {"demo://resource/dynamic/text/1"}, "what is not listed but made of a template")
    expect(set(templates), TEMPLATES, "the templates")
