// The TypeScript SDK since 2.0. usage: typescript-2.mjs VISITS

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { payVisits } from "./visit.mjs";

const TRANSPORTS = {
  stdio: ({ process }) => new StdioClientTransport(process),
  http: ({ url }) => new StreamableHTTPClientTransport(new URL(url)),
  sse: ({ url }) => new SSEClientTransport(new URL(url)),
};

await payVisits(async (visit) => {
  const client = new Client({ name: "interop", version: "1" }, { versionNegotiation: { mode: visit.mode } });
  await client.connect(TRANSPORTS[visit.transport](visit));
  return {
    client,
    onProgress: (handler) => client.setNotificationHandler("notifications/progress", handler),
    protocol: () => client.getNegotiatedProtocolVersion(),
    call: (params, options) => client.callTool(params, options),
  };
});
