/**
 * What `psionic demo` does: four nodes with homes of their own on this machine become a mesh and train the built-in
 * task as one exact run, while nodes are killed, join, lead and lie. Whatever is said on the screen was seen a moment
 * before; what does not hold is a refusal.
 */
import type { CommandContext } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { DemoMesh, type RunLook } from "./demo-mesh.ts";
import { Story } from "./story.ts";

/** The least share of held-out problems the trained model must get right. */
export const exactMatchMinimum = 0.99;
const runName = "demo";
/** Nodes at the beginning, one of which lies. */
const nodeCount = 4;

export interface DemoRequest {
  readonly steps?: number | undefined;
}

export interface DemoResult {
  readonly type: "done";
  readonly exactMatch: number;
  readonly nodes: number;
  readonly killed: number;
  readonly joined: number;
  readonly cheatersCaught: number;
  readonly handovers: number;
  readonly verified: boolean;
  readonly seconds: number;
  /** The run's evidence, which `psionic verify` reads anywhere. */
  readonly bundle: string;
  readonly folder: string;
  readonly windows: number;
  readonly digest: string;
  readonly movedBytes: number;
  readonly denseBytes: number | null;
}

/** Refuses with `demo_failed` when anything it shows does not hold. */
export async function demonstrate(
  request: DemoRequest,
  context: CommandContext,
): Promise<DemoResult> {
  const { clock } = context.services;
  const startedMs = clock.monotonicMs();
  const mesh = await openMesh(context);
  const { folder, emit } = mesh.parts;
  try {
    const page = await mesh.found();
    if (page !== null) emit({ type: "page", url: page });
    for (let number = 2; number < nodeCount; number++) await mesh.join();
    const liar = await mesh.join(true);
    await beginRun(mesh, request);
    const story = new Story(mesh, runName, liar);
    const look = await story.tell();
    const { killed, joined, handovers, cheaters } = story.seen;
    const exactMatch = checkLearning(look);
    checkLiar(cheaters, liar.id, mesh);
    const digest = await checkAgreement(mesh, look);
    const { movedBytes, denseBytes, windowCount: windows } = look;
    emit({ type: "trained", exactMatch, windows, digest, movedBytes, denseBytes });
    const bundle = await verifyAlone(mesh, context);
    return {
      type: "done",
      ...{ exactMatch, nodes: mesh.nodes.length, killed, joined },
      ...{ cheatersCaught: cheaters.size, handovers, verified: true },
      seconds: (clock.monotonicMs() - startedMs) / 1000,
      ...{ bundle, folder, windows, digest, movedBytes, denseBytes },
    };
  } finally {
    await mesh.stop();
  }
}

/** A folder that no earlier demonstration had, below this home. */
export async function openMesh({ services, signal, emit }: CommandContext): Promise<DemoMesh> {
  const { clock, disk, programs, home } = services;
  for (let number = 1; ; number++) {
    const folder = `${home.root}/demo-${number}`;
    if ((await disk.stat(folder)) !== null) continue;
    await disk.makeDirectory(folder, 0o700);
    emit({ type: "demo", folder });
    return new DemoMesh({ clock, disk, programs, folder, signal, emit });
  }
}

/** The built-in task over all nodes; every contribution is replayed in part. */
export async function beginRun(mesh: DemoMesh, { steps }: DemoRequest) {
  const words = steps === undefined ? [] : ["--steps", String(steps)];
  const first = mesh.nodes[0]!;
  await first.call("run", "start", "--on", "mesh", "--name", runName, ...words);
  const look = await mesh.until("the run is known", () => mesh.look(runName));
  mesh.parts.emit({ type: "run", name: runName, slots: look.slots, slotTokens: look.slotTokens });
}

function checkLearning({ loss }: RunLook): number {
  const exactMatch = loss?.exactMatch ?? 0;
  if (exactMatch >= exactMatchMinimum) return exactMatch;
  throw failed(
    `The model got ${(exactMatch * 100).toFixed(2)} % of the held-out problems right, less than ${exactMatchMinimum * 100} %.`,
  );
}

/** The one that lies was found out, and nobody else. */
function checkLiar(caught: ReadonlySet<string>, liar: string, mesh: DemoMesh): void {
  const others = [...caught].filter((node) => node !== liar);
  const honest = others.map((node) => `node ${mesh.byId(node)?.number ?? node}`).join(", ");
  if (others.length > 0) throw failed(`Honest work was taken for a lie: ${honest}.`);
  if (!caught.has(liar)) throw failed("The node that lies was not found out.");
}

/** All nodes that are there name one digest for the last revision. */
async function checkAgreement(mesh: DemoMesh, { revision }: RunLook): Promise<string> {
  const digests = await mesh.until("all nodes hold the last revision", async () => {
    const seen = new Set<string>();
    for (const node of mesh.live()) {
      const status = await node.ask("run", "status", runName);
      const run = (status?.["mesh"] ?? status) as Record<string, unknown> | null;
      if (Number(run?.["revision"]) !== revision) return null;
      seen.add(String(run?.["revisionDigest"]));
    }
    return seen;
  });
  const [digest, ...more] = digests;
  if (digest !== undefined && more.length === 0) return digest;
  throw failed(`The nodes name different last revisions: ${[...digests].join(", ")}.`);
}

/** Writes the run's evidence, and has it verified in a home that has never seen the mesh. */
async function verifyAlone(mesh: DemoMesh, { services }: CommandContext): Promise<string> {
  const { folder, emit } = mesh.parts;
  const bundle = `${folder}/demo.evidence`;
  await mesh.live()[0]!.call("run", "evidence", runName, "--out", bundle);
  const words = ["verify", bundle, "--replay", "1", "--home", `${folder}/stranger`];
  const verifying = services.programs.spawnCommand([...words, "--json", "--no-input"]);
  const [output, { status }] = await Promise.all([verifying.output, verifying.exited]);
  if (status !== 0) throw failed(`The evidence does not hold: ${output.trim().split("\n").at(-1)}`);
  emit({ type: "verified", bundle });
  return bundle;
}

function failed(message: string): Refusal {
  return new Refusal("demo_failed", message, "the homes of its nodes are kept; please report it");
}
