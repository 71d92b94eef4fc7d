"""The story that every client plays with server-a, whatever its make, and how its steps are reported."""

import json
import re
import sys

TOOLS = {
    "send_message_to_ai",
    "send_message_stream",
    "get_conversation_history",
    "get_ai_usage_stats",
    "check_server_b_health",
    "list_available_models",
    "get_server_b_config",
}
QUESTION = "What is Python?"
ANSWER = f"[MOCK RESPONSE #1] You said: '{QUESTION}'. This is a test response without calling any external API."
STREAMED = f"[MOCK STREAM #2] You said: '{QUESTION}'. This is a streaming test response."
TOKENS = 30  # a quarter of the characters: 4 for the question, 26 for the answer
STREAM_TOKENS = -(-len(QUESTION) // 4) + len(STREAMED) // 4


class Report:
    """Prints one line a check; `run` counts them."""

    def __init__(self, client):
        self.client, self.failed = client, 0

    def passed(self, name):
        print(f"ok      {self.client}: {name}", flush=True)

    def failure(self, name, error):
        self.failed += 1
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:1500]
        print(f"FAILED  {self.client}: {name}: {reason}", flush=True)

    def end(self):
        sys.exit(1 if self.failed else 0)


class Answer:
    """What a tool answered: whether it failed, its structured content and its text."""

    def __init__(self, failed, structured, text):
        self.failed, self.structured, self.text = failed, structured, text


def expect(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r}, not {expected!r}")


def result_of(answer):
    """The result of a call that must have succeeded, in both forms of which must say the same."""
    expect(answer.failed, False, f"isError of {answer.text!r}")
    expect(json.loads(answer.text), answer.structured, "the text form")
    return answer.structured


def check_tools(names):
    expect(len(names), len(TOOLS), f"the number of tools in {names}")
    expect(set(names), TOOLS, "the set of tools")


def check_sent(result, text, tokens):
    expect(result["success"], True, "success")
    expect(result["sentMessage"], QUESTION, "sentMessage")
    expect(result["aiResponse"], text, "aiResponse")
    expect(result["model"], "mock-model", "model")
    usage = result["usage"]
    expect(usage["totalTokens"], tokens, "totalTokens")
    expect(usage["promptTokens"] + usage["completionTokens"], tokens, "the sum of both kinds of tokens")
    for key in ("timestamp", "processingTime", "conversationId"):
        if key not in result:
            raise AssertionError(f"{key} is missing in {result}")


def check_history(history, requests, tokens):
    """All of `requests` were answered, and used `tokens`; the entries must add up to the totals."""
    entries = history["history"]
    answers = [entry for entry in entries if entry["aiGenerated"]]
    expect(history["totalMessages"], 2 * requests, "totalMessages")
    expect(history["totalAIResponses"], requests, "totalAIResponses")
    expect(len(entries), 2 * requests, "the number of entries")
    expect(len(answers), requests, "the number of answers among them")
    expect(history["totalTokensUsed"], tokens, "totalTokensUsed")
    expect(sum(entry["tokens"] for entry in answers), tokens, "the tokens of the entries")
    expect(history["totalEstimatedCost"], sum(entry["cost"] for entry in answers), "totalEstimatedCost")
    expect(entries, sorted(entries, key=lambda entry: entry["timestamp"]), "the order of the entries")
    expect({(e["from"], e["to"], e["message"]) for e in entries if not e["aiGenerated"]},
           {("Server A", "Server B", QUESTION)}, "the messages")  # fmt: skip


def check_statistics(statistics, requests, tokens):
    models = statistics["modelUsage"]
    expect(statistics["totalRequests"], requests, "totalRequests")
    expect(statistics["totalTokens"], tokens, "totalTokens")
    both_kinds = statistics["totalPromptTokens"] + statistics["totalCompletionTokens"]
    expect(both_kinds, tokens, "the sum of both kinds of tokens")
    expect(set(models), {"mock-model"}, "the models")
    expect(models["mock-model"]["requests"], requests, "the model's requests")
    expect(models["mock-model"]["tokens"], tokens, "the model's tokens")
    expect(models["mock-model"]["cost"], statistics["estimatedTotalCost"], "the model's cost")
    if statistics["averageResponseTime"] is None or not statistics["lastRequest"]:
        raise AssertionError(f"averageResponseTime or lastRequest is missing in {statistics}")


def check_failure(answer, what):
    """A failure is a result with `isError` that says what happened and what to do."""
    expect(answer.failed, True, "isError")
    failure = json.loads(answer.text)
    expect(failure["success"], False, "success")
    for key in ("error", "detail", "hint"):
        if not isinstance(failure.get(key), str) or not failure[key]:
            raise AssertionError(f"{key} is missing in {failure}")
    if not re.search(what, failure["error"], re.IGNORECASE):
        raise AssertionError(f"error is {failure['error']!r}, not about {what!r}")


class Story:
    """One session after the other with servers of its own. A client is an object with `tools()` and `call()`."""

    def __init__(self, report, client, time_limit):
        self.report, self.client, self.time_limit = report, client, time_limit

    async def check(self, name, step):
        """Runs one step in its time; the next steps run whatever comes of it."""
        try:
            with self.time_limit():
                await step()
        except Exception as error:
            self.report.failure(name, error)
        else:
            self.report.passed(name)

    async def with_server_b(self):
        await self.check("lists exactly the seven tools, each with schemas and a description", self.lists_tools)
        await self.check("send_message_to_ai gives the mock's exact answer and its 30 tokens", self.sends)
        await self.check("send_message_stream reports the pieces as progress", self.streams)
        await self.check("get_conversation_history adds up", self.reads_history)
        await self.check("get_ai_usage_stats agrees with the history", self.reads_statistics)
        await self.check("check_server_b_health says healthy", self.reads_health)
        await self.check("list_available_models names the mock's model", self.reads_models)
        await self.check("get_server_b_config names the provider and the defaults", self.reads_config)
        await self.check("a message that breaks a rule is a result with isError", self.breaks_a_rule)
        await self.check("a conversation is continued", self.continues)
        await self.check("the older name send_message is answered", self.uses_the_older_name)

    async def without_server_b(self):
        await self.check("without server-b a message fails with error, detail and hint", self.fails)

    async def lists_tools(self):
        tools = await self.client.tools()
        check_tools([name for name, *_ in tools])
        for name, description, input_schema, output_schema in tools:
            expect(input_schema["type"], "object", f"type of the input schema of {name}")
            if not description or not output_schema:
                raise AssertionError(f"{name} has no description or no output schema")

    async def sends(self):
        answer = await self.client.call("send_message_to_ai", {"message": QUESTION})
        check_sent(result_of(answer), ANSWER, TOKENS)

    async def streams(self):
        progress = []

        async def note(value, _total, message):
            progress.append((value, message))

        answer = await self.client.call("send_message_stream", {"message": QUESTION}, note)
        check_sent(result_of(answer), STREAMED, STREAM_TOKENS)
        values = [value for value, _ in progress]
        expect(values, sorted(set(values)), "the progress, which must always increase,")
        expect("".join(message for _, message in progress), STREAMED, "the text of the pieces")
        if len(progress) < 2:
            raise AssertionError(f"the answer came in {len(progress)} piece")

    async def reads_history(self):
        history = result_of(await self.client.call("get_conversation_history", {}))
        check_history(history, 2, TOKENS + STREAM_TOKENS)

    async def reads_statistics(self):
        statistics = result_of(await self.client.call("get_ai_usage_stats", {}))
        check_statistics(statistics, 2, TOKENS + STREAM_TOKENS)

    async def reads_health(self):
        health = result_of(await self.client.call("check_server_b_health", {}))
        expect(health["status"], "healthy", "status")
        expect(health["provider"], "mock", "provider")
        expect(health["messagesProcessed"], 2, "messagesProcessed")

    async def reads_models(self):
        models = result_of(await self.client.call("list_available_models", {}))
        expect(models["models"], ["mock-model"], "models")
        expect(models["default"], "mock-model", "default")

    async def reads_config(self):
        config = result_of(await self.client.call("get_server_b_config", {}))
        values = [config[key] for key in ("provider", "defaultModel", "temperature", "maxTokens")]
        expect(values, ["mock", "mock-model", 0.7, 1000], "the configuration")

    async def breaks_a_rule(self):
        answer = await self.client.call("send_message_to_ai", {"message": QUESTION, "temperature": 3})
        check_failure(answer, "argument")

    async def continues(self):
        arguments = {"message": QUESTION, "conversation_id": "interop"}
        first = result_of(await self.client.call("send_message_to_ai", arguments))
        second = result_of(await self.client.call("send_message_to_ai", arguments))
        expect(first["conversationId"], "interop", "conversationId")
        history = result_of(await self.client.call("get_conversation_history", {"conversation_id": "interop"}))
        expect(len(history["history"]), 4, "the number of entries of the conversation")
        expect(history["history"][-1]["message"], second["aiResponse"], "the last entry")

    async def uses_the_older_name(self):
        result = result_of(await self.client.call("send_message", {"message": QUESTION}))
        expect(result["success"], True, "success")

    async def fails(self):
        answer = await self.client.call("send_message_to_ai", {"message": QUESTION})
        check_failure(answer, "connection refused")


def check_ending(report, name, server_a):
    try:
        expect(server_a.endings(), ["ended with 0"], "how server-a ended")
    except AssertionError as error:
        report.failure(name, error)
    else:
        report.passed(name)
