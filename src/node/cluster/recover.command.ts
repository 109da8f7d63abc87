import * as v from "valibot";
import { shortId } from "#src/cluster/command-parts.ts";
import { standings } from "#src/cluster/node-rows.ts";
import { isLive } from "#src/cluster/state.ts";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";

defineCommand({
  name: "cluster/recover",
  summary: "Go on alone with what this node holds, when most who decide are lost for good.",
  access: "owner",
  localOnly: true,
  flow: "cluster",
  parameters: v.strictObject({
    "others-are-lost": v.optional(
      v.pipe(
        v.boolean(),
        v.description("do it: more than half of those who decide never come back"),
      ),
      false,
    ),
  }),
  result: v.strictObject({
    mesh: v.string(),
    node: v.string(),
    /** False where it was only shown. */
    isDone: v.boolean(),
    /** The end of this node's log: of several survivors the one whose log is longest recovers. */
    lastIndex: v.number(),
    lastTerm: v.number(),
    /** Entries at its end of which this home does not know that they were decided; they count then. */
    unsureCount: v.number(),
    /** The term it goes on in. */
    term: v.number(),
    /** Who decided until now. */
    voters: v.array(v.string()),
    owners: v.array(v.string()),
    members: v.array(
      v.strictObject({
        node: v.string(),
        shortId: v.string(),
        standing: v.picklist(standings),
        isSelf: v.boolean(),
      }),
    ),
  }),
  examples: ["psionic cluster recover", "psionic cluster recover --others-are-lost"],
  run: ({ "others-are-lost": isMeant }, { services }) => recover(services, isMeant),
  view: (screen) => ({
    result({ mesh, isDone, voters, lastIndex, lastTerm, unsureCount, members, owners }) {
      const short = (node: string) =>
        members.find((member) => member.node === node)?.shortId ?? node;
      if (isDone) {
        screen.print(mesh);
        screen.note("this node decides alone and is an owner; start it: psionic up --detach");
        screen.note("members that are left follow by themselves once they reach it");
        screen.note("those that are lost: psionic node own NODE --no, psionic node evict NODE");
        return;
      }
      screen.print(`${mesh}: decided by ${voters.map(short).join(" ")}`);
      screen.print(`owned by ${owners.map(short).join(" ")}`);
      screen.print(`this log ends at ${lastIndex}, of term ${lastTerm}`);
      screen.note(
        "nothing was changed. With --others-are-lost this node alone decides from here on:",
      );
      screen.note(
        `what this log does not hold is lost; its last ${unsureCount} entries count, decided or not`,
      );
      screen.note(
        "look at every machine that is left, and do it on the one whose log ends last (term, then index)",
      );
      screen.note(
        "never while more than half of those who decide may come back: there would be two meshes",
      );
    },
  }),
});

async function recover(services: Services, isMeant: boolean) {
  if (services.daemon !== null) throw locked(services.home.root);
  services.lock();
  const { store, clock } = services;
  const { MeshBook } = await import("./mesh-book.ts");
  const { LogStore } = await import("#src/log/log-store.ts");
  const { planRecovery } = await import("#src/cluster/recovery.ts");
  const { emptyLog } = await import("./empty-log.ts");
  const row = new MeshBook(store).row();
  if (row === null)
    throw new Refusal(
      "recovery_unneeded",
      "this home was never in a mesh: there is nothing to recover",
      "start it: psionic up --detach",
    );
  if (row.standing === "out")
    throw new Refusal(
      "cluster_out",
      `this node is no member of the mesh ${row.mesh} any more`,
      "recover on a machine that is one",
      { mesh: row.mesh },
    );
  const { nodeId: node } = await services.identity.open();
  const log = new LogStore(store);
  const durable = log.open(emptyLog(row.founder));
  const plan = planRecovery(durable, node, clock.wallMs());
  if (isMeant) log.write(plan.write);
  const { state, voters, lastIndex, lastTerm, term } = plan;
  return {
    ...{ mesh: row.mesh, node, isDone: isMeant, lastIndex, lastTerm, term },
    unsureCount: Math.max(0, lastIndex - Math.max(row.recordedIndex, durable.snapshot.index)),
    ...{ voters: [...voters], owners: [...state.owners] },
    members: state.members.filter(isLive).map((member) => ({
      ...{ node: member.node, shortId: shortId(member.node, state) },
      ...{ standing: member.standing, isSelf: member.node === node },
    })),
  };
}

function locked(home: string): Refusal {
  return new Refusal(
    "home_locked",
    `a daemon has ${home} and takes part in its mesh`,
    "`psionic down` ends it; recover then, at a terminal of that machine",
    { home },
  );
}
