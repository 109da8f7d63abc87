import * as v from "valibot";
import type { CommandContext } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { bytesText, countText, secondsText, wholeText } from "#src/train/wording.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/train/trainings.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";
import { meshWords } from "./mesh-words.ts";
import type { Sight } from "./description-result.ts";
import { saidMeshWords, startParameters, type StartRequest } from "./start-words.ts";
import { watchView } from "./watch-view.ts";

const meshResult = v.strictObject({
  /** The artifact with manifest and data, and where the run stands in the log. */
  document: v.string(),
  index: v.number(),
  /** Trainers that are ready; others may join at any time. */
  nodes: v.array(v.string()),
  parameters: v.number(),
  tokens: v.number(),
  slots: v.number(),
  nodeBatch: v.number(),
  /** Where nobody comes or leaves. */
  windowCount: v.number(),
  windowSteps: v.number(),
  segmentSteps: v.number(),
  codec: v.string(),
  /** Of what a node gives in a window, and of the same uncompressed. */
  contributionBytes: v.number(),
  denseBytes: v.number(),
  /** A guess of how long a window takes. */
  windowSeconds: v.number(),
  /** The run this node trains by itself; it joins after it. */
  busyWith: v.nullable(v.string()),
});
type MeshStart = v.InferOutput<typeof meshResult>;

defineCommand({
  name: "run/start",
  summary: "Start a run: of the whole mesh where it has other trainers, else in this daemon.",
  access: "owner",
  flow: "run",
  parameters: startParameters,
  positional: ["files"],
  result: v.strictObject({
    run: v.string(),
    name: v.string(),
    on: v.picklist(["mesh", "here"]),
    /** Null for a run of this node alone. */
    mesh: v.nullable(meshResult),
  }),
  examples: [
    "psionic run start book.txt",
    "psionic run start book.txt --on mesh --codec top-k --watch",
    "psionic run start --manifest run.toml",
    "psionic run start --resume book",
  ],
  place: "daemon",
  endsOnInterrupt: true,
  paths: ["files", "manifest", { key: "tokenizer", words: ["byte", "char", "bpe"] }],
  async run(said, context) {
    const request = await withManifest(said, context);
    const on = await placeOf(request, context);
    const started =
      on === "mesh" ? await startOnMesh(request, context) : await startHere(request, context);
    if (!request.watch) return started;
    context.emit({ type: "run-started", ...started });
    const { watchRun } = await import("./run-description.ts");
    await watchRun(started.run, context);
    return started;
  },
  view(screen) {
    const watch = watchView(screen);
    let isShown = false;
    const show = ({ name, run, mesh }: { name: string; run: string; mesh: MeshStart | null }) => {
      if (isShown) return;
      isShown = true;
      if (mesh === null) screen.print(`${name} (${run}) is training`);
      else for (const line of startLines(name, run, mesh)) screen.print(line);
      screen.note(`how it stands: psionic run status ${name}`);
    };
    return {
      event(event) {
        if (event.type === "run-started") show(event as unknown as Parameters<typeof show>[0]);
        if (event.type === "run") watch(event as unknown as Sight);
        if (event.type === "data") screen.draw([`reading the data: ${String(event["stage"])}`]);
      },
      result(started) {
        if (!isShown) screen.draw([]);
        show(started);
      },
    };
  },
});

/** The request with what a manifest says where the line says nothing; settings come last. */
async function withManifest(
  said: StartRequest,
  { services, configured }: CommandContext,
): Promise<StartRequest> {
  if (said.manifest === undefined) return said;
  if (said.resume !== false)
    throw new Refusal(
      "usage",
      "run start: --manifest begins a run, and --resume goes on with one",
      "Leave one of them out.",
    );
  const { readRunManifest } = await import("./manifest-file.ts");
  const words = await readRunManifest(said.manifest, services.disk);
  const isSaid = ([key, value]: readonly [string, unknown]) =>
    value !== undefined &&
    !configured.has(key) &&
    !(key === "files" && said.files.length === 0) &&
    !(key === "resume");
  return { ...said, ...words, ...Object.fromEntries(Object.entries(said).filter(isSaid)) };
}

/** Where a run is to be. What only a mesh can do is refused for a run of one node. */
async function placeOf(request: StartRequest, { services, configured }: CommandContext) {
  const meshOnly = saidMeshWords(request).filter((key) => !configured.has(key));
  if (request.resume !== false) {
    if (request.on === "mesh")
      throw new Refusal(
        "usage",
        "run start: --resume goes on with a run of this node alone",
        "`psionic run resume RUN` goes on with one of the mesh.",
      );
    return "here";
  }
  if (request.on !== undefined) return request.on;
  const { trainersOf } = await import("./begin-run.ts");
  const { cluster } = services;
  const self = cluster?.standing().node;
  const others =
    cluster === null ? [] : trainersOf(cluster.state()).filter(({ node }) => node !== self);
  if (others.length > 0 || request.manifest !== undefined) return "mesh";
  if (meshOnly.length === 0) return "here";
  throw new Refusal(
    "usage",
    `run start: ${meshOnly.join(", ")}: this node has no other trainer beside it, and alone it needs none of these`,
    "`--on mesh` begins a run that others can join later.",
    { words: meshOnly },
  );
}

async function startHere(request: StartRequest, { services, emit }: CommandContext) {
  const local = Object.entries(request).filter(
    ([key]) => !Object.hasOwn(meshWords, key) && !["on", "manifest", "watch"].includes(key),
  );
  const { trainParameters } = await import("#src/train/train-parameters.ts");
  const { run, name } = await services.trainings.start(
    v.parse(trainParameters, Object.fromEntries(local)),
    emit,
  );
  return { run, name, on: "here" as const, mesh: null };
}

async function startOnMesh(request: StartRequest, context: CommandContext) {
  const { beginMeshRun } = await import("./begin-run.ts");
  const begun = await beginMeshRun(request, context);
  const { run, name, document, index, nodes, parameters, plan, busyWith } = begun;
  const { spec, tokens, windowCount, secondsPerStep } = plan;
  const { slots, windowSteps, segmentSteps, codec } = spec;
  const mesh = {
    ...{ document, index, nodes: [...nodes], parameters, tokens, slots, windowCount },
    nodeBatch: plan.document.manifest.batchSize,
    ...{ windowSteps, segmentSteps, codec, busyWith },
    contributionBytes: begun.contributionBytes,
    denseBytes: begun.denseBytes,
    windowSeconds: windowSteps * secondsPerStep,
  };
  return { run, name, on: "mesh" as const, mesh };
}

function startLines(name: string, run: string, mesh: MeshStart): string[] {
  const { nodes, windowCount, windowSteps, tokens, codec, contributionBytes, denseBytes } = mesh;
  const who = nodes.length === 1 ? "1 node, others may join" : `${nodes.length} nodes`;
  const ratio = (denseBytes / contributionBytes).toFixed(1);
  return [
    `${name} (${run}) begins on ${who}`,
    `model       ${wholeText(mesh.parameters)} parameters, ${countText(tokens)} tokens in ${countText(mesh.slots)} steps of ${mesh.nodeBatch} sequences`,
    `windows     about ${windowCount} of ${windowSteps} steps a node, each some ${secondsText(mesh.windowSeconds)}`,
    `moved       ${bytesText(contributionBytes)} a node and window (${codec}), dense ${bytesText(denseBytes)}: ${ratio} times`,
    ...(mesh.busyWith === null
      ? []
      : [`but         this node trains ${mesh.busyWith} by itself, and joins after it`]),
  ];
}
