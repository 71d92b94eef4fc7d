// What both TypeScript clients do: pay the visits that they are told of, and print one line of JSON about each.
// `visit.py` is the same for Python.

import { readFileSync } from "node:fs";

const STEP_MS = 20_000;

/** What differs between the two is what `connect(visit)` gives: {client, protocol(), onProgress(handler), call(…)}. */
export async function payVisits(connect) {
  for (const visit of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
    let account;
    try {
      account = await payVisit(visit, connect);
    } catch (error) {
      account = { broken: error.message };
    }
    console.log(JSON.stringify(account));
  }
}

async function payVisit(visit, connect) {
  const { client, protocol, onProgress, call } = await step("connect", () => connect(visit));
  const { transport } = client;
  const account = { protocol: protocol(), server: client.getServerVersion()?.name };
  try {
    account.tools = (await step("tools/list", () => client.listTools())).tools.map(({ name }) => name);
    account.answer = answer(await step("a call", () => call(visit.call)));
    if (visit.stream) {
      // `onprogress` asks for notifications, but misses those that come in one piece with the result.
      account.progress = [];
      onProgress(({ params }) => account.progress.push([params.progress, params.message]));
      account.streamed = answer(await step("a call with progress", () => call(visit.stream, { onprogress() {} })));
    }
    account.refused = answer(await step("a call with a wrong argument", () => call(visit.refused)));
    const error = ({ code, message }) => ({ code, message });
    account.unknown = await step("a call of no tool", () => call(visit.unknown).then(answer, error));
    Object.assign(account, await readOthers(visit, client));
    account.session = sessionOf(transport);
  } finally {
    const closed = new Promise((resolve) => (client.onclose = resolve));
    await step("the end of the session", () => transport.terminateSession?.());
    await step("close", () => client.close().then(() => closed));
  }
  return account;
}

/** Resources and prompts, where they are offered. Last, because calls make resources. */
async function readOthers(visit, client) {
  const offers = client.getServerCapabilities() ?? {};
  const seen = {};
  if (offers.resources) {
    const { resources } = await step("resources/list", () => client.listResources());
    const { resourceTemplates } = await step("resources/templates/list", () => client.listResourceTemplates());
    const { contents } = await step("resources/read", () => client.readResource({ uri: resources[0].uri }));
    seen.resources = resources.map(({ uri }) => uri);
    seen.templates = resourceTemplates.map(({ uriTemplate }) => uriTemplate);
    seen.read = contents[0].text;
  }
  if (offers.prompts) {
    const { messages } = await step("prompts/get", () => client.getPrompt(visit.prompt));
    seen.prompts = (await step("prompts/list", () => client.listPrompts())).prompts.map(({ name }) => name);
    seen.prompt = messages[0].content.text;
  }
  return seen;
}

/** Where a message of the session would be refused once that has ended. `_endpoint` is private: nothing else tells. */
function sessionOf(transport) {
  if (transport.sessionId) return { header: transport.sessionId };
  return transport._endpoint ? { url: `${transport._endpoint}` } : null;
}

function answer(result) {
  const text = result.content.map((block) => block.text).join("");
  return { failed: result.isError ?? false, structured: result.structuredContent ?? null, text };
}

async function step(name, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${STEP_MS} ms`)), STEP_MS);
  });
  try {
    return await Promise.race([work(), late]);
  } catch (error) {
    throw new Error(`${name}: ${error?.message ?? error}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
