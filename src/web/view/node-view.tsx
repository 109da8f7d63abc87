import { useState } from "preact/hooks";
import { formatBytes, formatDuration, formatTime } from "../format.ts";
import type { ListedCommand, NodeStatus } from "../protocol.ts";
import { asRefused, type Refused, request } from "./node-client.ts";
import { AlertList, Facts, JsonBlock, Loading, RefusalNote, useNow } from "./pieces.tsx";
import { signOut } from "./session.ts";
import { useAnswer } from "./use-answer.ts";

/** The node itself: what runs, on what machine, its log, its metrics. */
export function NodeView() {
  const status = useAnswer<NodeStatus>("status", {}, { everyMs: 10_000 });
  const commands = useAnswer<{ commands: ListedCommand[] }>("commands/list");
  const nowMs = useNow();
  const { value } = status;
  const hasLogs = commands.value?.commands.some(({ name }) => name === "logs") ?? false;
  return (
    <>
      <h1>Node</h1>
      <RefusalNote refused={status.refused} />
      <AlertList alerts={value?.alerts ?? []} />
      {value === null && status.refused === null && <Loading what="the node" />}
      {value !== null && (
        <div class="columns">
          <section class="panel" aria-labelledby="node-title">
            <h2 id="node-title">Node</h2>
            <Facts
              facts={[
                ["state", value.state],
                ["node id", value.node?.nodeId],
                ["key epoch", value.node?.epoch],
                ["home", value.node?.homePath],
                ["version", value.daemon?.version],
                ["process", value.daemon?.pid],
                ["started", formatTime(value.daemon?.startedMs)],
                [
                  "up for",
                  formatDuration(value.daemon ? (nowMs - value.daemon.startedMs) / 1000 : null),
                ],
                ["address", value.daemon?.url],
              ]}
            />
          </section>
          <section class="panel" aria-labelledby="machine-title">
            <h2 id="machine-title">Machine</h2>
            <Facts
              facts={[
                ["system", value.machine.operatingSystem],
                ["processor", value.machine.processor],
                ["architecture", value.machine.architecture],
                ["cores", value.machine.coreCount],
                ["lanes", value.machine.lanes],
                ["memory", formatBytes(value.machine.memoryBytes)],
                ["free memory", formatBytes(value.machine.freeMemoryBytes)],
                ["disk", formatBytes(value.disk?.totalBytes)],
                ["free disk", formatBytes(value.disk?.freeBytes)],
              ]}
            />
          </section>
        </div>
      )}
      {hasLogs && <LogPanel />}
      <MetricsPanel />
      <section class="panel" aria-labelledby="session-title">
        <h2 id="session-title">This session</h2>
        <p>
          The token is kept in this tab only. <a href="/openapi.json">openapi.json</a> describes
          every command.
        </p>
        <button type="button" onClick={() => signOut(false)}>
          Forget the token
        </button>
      </section>
    </>
  );
}

function LogPanel() {
  const logs = useAnswer<unknown>("logs", {}, { everyMs: 10_000 });
  const lines = logs.value === null ? null : logLines(logs.value);
  return (
    <section class="panel" aria-labelledby="logs-title">
      <h2 id="logs-title">Log</h2>
      <RefusalNote refused={logs.refused} />
      {lines !== null && (
        <pre class="scroll short log" tabIndex={0} role="region" aria-label="The log's last lines">
          {lines.slice(-200).join("\n") || "Nothing was logged yet."}
        </pre>
      )}
      {lines === null && logs.value !== null && <JsonBlock value={logs.value} label="Log" />}
    </section>
  );
}

/** The lines of a log answer: texts, or records with a message. Null where it has none. */
function logLines(answer: unknown): string[] | null {
  const lists = typeof answer === "object" && answer !== null ? Object.values(answer) : [];
  const list: unknown = lists.find(Array.isArray);
  if (!Array.isArray(list)) return null;
  return list.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
}

/** Metrics need the token, which a link cannot carry, so they are fetched and shown here. */
function MetricsPanel() {
  const [text, setText] = useState<string | null>(null);
  const [refused, setRefused] = useState<Refused | null>(null);
  const load = async () => {
    setRefused(null);
    try {
      setText(await (await request("/metrics")).text());
    } catch (error) {
      setRefused(asRefused(error));
    }
  };
  return (
    <section class="panel" aria-labelledby="metrics-title">
      <div class="panel-head">
        <h2 id="metrics-title">Metrics</h2>
        <button type="button" onClick={() => void load()}>
          {text === null ? "Show" : "Refresh"}
        </button>
      </div>
      <p class="muted">
        For Prometheus, at <a href="/metrics">/metrics</a>.
      </p>
      <RefusalNote refused={refused} />
      {text !== null && (
        <pre class="scroll short log" tabIndex={0} role="region" aria-label="Metrics">
          {text}
        </pre>
      )}
    </section>
  );
}
