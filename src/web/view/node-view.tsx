import { useEffect, useState } from "preact/hooks";
import { formatBytes, formatDuration, formatTime } from "../format.ts";
import type { ListedCommand, NodeStatus } from "../protocol.ts";
import { asRefused, type Refused, request, stream, wasCancelled } from "./node-client.ts";
import { AlertList, Facts, Loading, RefusalNote, useNow } from "./pieces.tsx";
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
                ["epoch", value.node?.epoch],
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

interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly category: string;
  readonly message: string;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** The page shows at most this many of the log's last lines. */
const logLineMaximum = 200;

function LogPanel() {
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const [refused, setRefused] = useState<Refused | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const read = async () => {
      const found: string[] = [];
      try {
        await stream(
          "logs",
          { lines: logLineMaximum },
          (event) => found.push(logText(event as unknown as LogLine)),
          controller.signal,
        );
        setLines(found);
        setRefused(null);
      } catch (error) {
        if (!wasCancelled(error)) setRefused(asRefused(error));
      }
    };
    void read();
    const timer = setInterval(() => {
      if (!document.hidden) void read();
    }, 10_000);
    return () => {
      clearInterval(timer);
      controller.abort();
    };
  }, []);
  return (
    <section class="panel" aria-labelledby="logs-title">
      <h2 id="logs-title">Log</h2>
      <RefusalNote refused={refused} />
      {lines === null ? (
        refused === null && <Loading what="the log" />
      ) : (
        <pre class="scroll short log" tabIndex={0} role="region" aria-label="The log's last lines">
          {lines.join("\n") || "Nothing was logged yet."}
        </pre>
      )}
    </section>
  );
}

function logText({ time, level, category, message, properties }: LogLine): string {
  const facts = Object.keys(properties ?? {}).length > 0 ? ` ${JSON.stringify(properties)}` : "";
  return `${time} ${level.padEnd(7)} ${category.replace(/^psionic\./, "")}: ${message}${facts}`;
}

/** The figures Prometheus scrapes; fetched with the token, which a door open to others asks for. */
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
