import { proveAdmission, tokenKey } from "#src/cluster/admission-proof.ts";
import { memberOf } from "#src/cluster/members.ts";
import type { Member } from "#src/cluster/state.ts";
import { meshVersion } from "#src/cluster/version.ts";
import { AdmissionDesk } from "./admission-desk.ts";
import { knownMember } from "./mesh-book.ts";
import { type FakeNetwork, SessionHome, tickUntil } from "./session.fixture.ts";

/** Two homes of one mesh; the second came with a token for these roles. */
export async function pairOf(
  network: FakeNetwork,
  roles: Member["roles"] = ["host", "coordinator"],
): Promise<[founder: SessionHome, other: SessionHome]> {
  const homes = [await SessionHome.open(network), await SessionHome.open(network)] as const;
  const [one, two] = homes;
  await one.start();
  const secret = "5".repeat(32);
  const token = { token: "door", secret: tokenKey(secret), roles: [...roles], isReusable: false };
  await one.session.submit("owner", { kind: "token-created", ...token, lifetimeMs: 60_000 });
  const desk = new AdmissionDesk({
    ...{ services: one.services, records: one.records, node: one.node },
    session: () => one.session,
  });
  const applicant = {
    ...{ mesh: one.session.row.mesh, node: two.node, key: two.key, epoch: two.epoch + 1 },
    ...{ contact: two.contact, token: "door" },
  };
  const { mesh, founder, index, members } = await desk.admit(
    {
      ...{ ...applicant, proof: proveAdmission(secret, applicant) },
      ...{ roles: [...roles], version: meshVersion, claims: [], clockMs: Date.now() },
    },
    false,
    new AbortController().signal,
  );
  const known = members
    .filter(({ node }) => node !== two.node)
    .map(({ node, contact }) => knownMember(node, contact, 0));
  two.book.enter({ mesh, founder, seenIndex: index }, known);
  await two.start();
  const isReady = (at: SessionHome, of: SessionHome) =>
    memberOf(at.session.state, of.node)?.standing === "ready";
  await tickUntil(network, homes, () => isReady(one, two) && isReady(two, one));
  const isKept = () => {
    const { voters, learners } = one.session.standing();
    return [...voters, ...learners].includes(two.node);
  };
  await tickUntil(network, homes, isKept);
  return [one, two];
}
