import { dirname, join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";

/** For which supervisor a file is printed. */
export const supervisors = ["systemd", "launchd", "compose"] as const;
export type Supervisor = (typeof supervisors)[number];

/** What a supervisor must know to keep a node up. */
export interface ServiceFacts {
  /** Absolute path of this program, and of what it runs where it runs from source. */
  readonly command: readonly string[];
  readonly home: string;
  readonly drainMs: number;
  /** A service of one user's session, not of the machine. */
  readonly isUser: boolean;
  readonly userName: string;
}

/** Beyond the drain time, what a supervisor waits before it kills. */
const marginMs = 10_000;

/** The file's text and where it is usually put. */
export function serviceFile(
  supervisor: Supervisor,
  facts: ServiceFacts,
): { readonly text: string; readonly path: string; readonly enable: readonly string[] } {
  if (supervisor === "systemd") return systemdUnit(facts);
  return supervisor === "launchd" ? launchdPlist(facts) : composeFile(facts);
}

const stopSeconds = ({ drainMs }: ServiceFacts) => Math.ceil((drainMs + marginMs) / 1000);
const upWords = (facts: ServiceFacts) => ["up", "--drain", `${facts.drainMs}ms`];

/**
 * Sandboxing must leave executable memory and executable temporary files, where the kernels live, and the
 * directories of its user, whose texts it trains on.
 */
function systemdUnit(facts: ServiceFacts) {
  const { command, home, isUser, userName } = facts;
  const words = [...startable(command), ...upWords(facts), "--home", home];
  const text = `[Unit]
Description=psionic node
Documentation=man:systemd.service(5)
${isUser ? "" : "After=network-online.target\nWants=network-online.target\n"}StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart=${words.map(systemdWord).join(" ")}
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec=${stopSeconds(facts)}
LimitNOFILE=65536
${isUser ? "" : `User=${systemdWord(userName)}\nProtectSystem=full\nProtectControlGroups=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\n`}UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=${isUser ? "default.target" : "multi-user.target"}
`;
  const systemctl = isUser ? "systemctl --user" : "sudo systemctl";
  return {
    text,
    path: isUser ? "~/.config/systemd/user/psionic.service" : "/etc/systemd/system/psionic.service",
    enable: [`${systemctl} daemon-reload`, `${systemctl} enable --now psionic`],
  };
}

/** systemd starts no program with a quote, a pattern or a dollar sign in its path; a shell does. */
function startable(command: readonly string[]): readonly string[] {
  const isPlain = /^[^"'\\*?[\]$]+$/.test(command[0]!);
  return isPlain ? command : ["/bin/sh", "-c", 'exec "$0" "$@"', ...command];
}

/** A word as systemd reads it: quoted, with its specifiers and variables made plain. */
function systemdWord(text: string): string {
  refuseControls(text);
  const plain = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  if (/^[\w@+=:,./%$-]+$/.test(plain)) return plain;
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function launchdPlist(facts: ServiceFacts) {
  const { command, home, isUser, userName } = facts;
  const words = [...command, ...upWords(facts), "--home", home];
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>psionic.node</string>
  <key>ProgramArguments</key>
  <array>
${words.map((word) => `    <string>${xmlText(word)}</string>`).join("\n")}
  </array>
${isUser ? "" : `  <key>UserName</key>\n  <string>${xmlText(userName)}</string>\n`}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>${stopSeconds(facts)}</integer>
  <key>ProcessType</key>
  <string>Standard</string>
  <key>WorkingDirectory</key>
  <string>/</string>
  <key>StandardErrorPath</key>
  <string>${xmlText(join(home, "logs", "launchd.log"))}</string>
</dict>
</plist>
`;
  const path = isUser
    ? "~/Library/LaunchAgents/psionic.node.plist"
    : "/Library/LaunchDaemons/psionic.node.plist";
  const domain = isUser ? "gui/$(id -u)" : "system";
  const sudo = isUser ? "" : "sudo ";
  return {
    text,
    path,
    enable: [`mkdir -p "${join(home, "logs")}"`, `${sudo}launchctl bootstrap ${domain} ${path}`],
  };
}

function xmlText(text: string): string {
  refuseControls(text);
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The page is published on this machine only; the health check speaks to it inside the container. */
function composeFile(facts: ServiceFacts) {
  const [program = "", ...rest] = facts.command;
  if (rest.length > 0) {
    throw new Refusal(
      "usage",
      "a container runs the built executable, and this program runs from source",
      "build it with `bun build.ts` and print the file with dist/psionic",
    );
  }
  const text = `services:
  psionic:
    image: debian:12-slim
    command: ["/opt/psionic/psionic", "up", "--host", "0.0.0.0", "--allow-remote", "--drain", "${facts.drainMs}ms", "--home", "/data"]
    init: true
    restart: on-failure
    stop_grace_period: ${stopSeconds(facts)}s
    security_opt:
      - no-new-privileges:true
    ports:
      - "127.0.0.1:7421:7421"
    volumes:
      - type: bind
        source: ${composeText(program)}
        target: /opt/psionic/psionic
        read_only: true
      - type: volume
        source: psionic-home
        target: /data
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7421 && printf 'GET /healthz HTTP/1.1\\\\r\\\\nHost: 127.0.0.1:7421\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n' >&3 && grep -q ' 200 ' <&3"]
      interval: 15s
      timeout: 5s
      retries: 3
      start_period: 10s

volumes:
  psionic-home:
`;
  return {
    text,
    path: join(dirname(facts.home), "compose.yaml"),
    enable: [
      "docker compose up --detach",
      "docker compose exec psionic /opt/psionic/psionic up --home /data",
    ],
  };
}

/** A double-quoted YAML text is a JSON text; Compose reads \`$\` as a variable unless doubled. */
function composeText(text: string): string {
  refuseControls(text);
  return JSON.stringify(text.replaceAll("$", "$$$$"));
}

/** No supervisor's file can say a path with a line end in it. */
function refuseControls(text: string): void {
  if (!/\p{Cc}/u.test(text)) return;
  throw new Refusal(
    "usage",
    `a service file cannot name ${JSON.stringify(text)}: it has a control character in it`,
    "use a home and a program whose paths are plain text",
  );
}
