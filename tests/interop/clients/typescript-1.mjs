// The TypeScript SDK of before 2.0. usage: typescript-1.mjs VISITS

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";
import { ProgressNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { payVisits } from "./visit.mjs";

const TRANSPORTS = {
  stdio: ({ process }) => new StdioClientTransport(process),
  http: ({ url }) => new StreamableHTTPClientTransport(new URL(url)),
  sse: ({ url }) => new SSEClientTransport(new URL(url)),
  websocket: ({ url }) => new WebSocketClientTransport(new URL(url)),
};

await payVisits(async (visit) => {
  const client = new Client({ name: "interop", version: "1" });
  const transport = TRANSPORTS[visit.transport](visit);
  let protocol;
  transport.setProtocolVersion = ((set) => (version) => {
    protocol = version;
    set?.call(transport, version);
  })(transport.setProtocolVersion);
  await client.connect(transport);
  return {
    client,
    protocol: () => protocol,
    onProgress: (handler) => client.setNotificationHandler(ProgressNotificationSchema, handler),
    call: (params, options) => client.callTool(params, undefined, options),
  };
});
