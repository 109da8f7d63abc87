/**
 * A daemon that is nothing but its trainings, for tests that kill it: it takes calls as JSON lines and
 * answers with JSON lines. Started with a role's word it takes that role, as the executable does.
 */
import type { Services } from "#src/command/define.ts";
import { dispatch } from "#src/command/dispatch.ts";
import { registry } from "#src/command/registry.ts";
import { runRole } from "#src/node/roles.ts";
import { compose } from "#src/node/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { NodeTrainings } from "./node-trainings.ts";
// oxlint-disable import/no-unassigned-import -- declaring is what importing a command file does
import "./run-samples.command.ts";
import "./run-series.command.ts";
import "#src/node/windows-commands/run-start.command.ts";
import "#src/node/windows-commands/run-status.command.ts";
import "#src/node/windows-commands/run-stop.command.ts";
import "#src/node/windows-commands/run-list.command.ts";
import "./train.command.ts";
// oxlint-enable import/no-unassigned-import

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function serve(): Promise<void> {
  const { services: base, close } = compose({
    home: undefined,
    interaction: {
      canAsk: false,
      verbose: false,
      readLine: async () => null,
      askSecret: async () => "",
    },
  });
  // Services open when they are first asked for, so they are inherited rather than copied.
  const services = Object.create(base) as Services;
  const trainings = new NodeTrainings(services);
  Object.defineProperty(services, "trainings", { value: trainings });
  services.lock();
  await services.identity.openOrCreate();
  await services.trainings.resumeWanted();
  say({ ready: true, active: services.trainings.active() });
  for await (const text of console) {
    const { id, name, parameters } = JSON.parse(text) as {
      id: number;
      name: string;
      parameters: Record<string, unknown>;
    };
    if (name === "down") {
      await services.trainings.stopAll(10_000);
      say({ id, result: null });
      break;
    }
    const call = {
      registry,
      services,
      caller: { provenance: "local" } as const,
      signal: new AbortController().signal,
      emit: (event: object) => say({ event }),
    };
    // Not awaited: a daemon takes the next call while this one works.
    void dispatch(call, name, parameters).then(
      (result) => say({ id, result }),
      (error: unknown) =>
        say({ id, refusal: error instanceof Refusal ? error.code : String(error) }),
    );
  }
  close();
}

const word = process.argv[2] ?? "";
if (word.startsWith("__")) process.exit(await runRole(word.slice(2)));
await serve();
process.exit(0);
