import { encodeBase32 } from "#src/codec/base32.ts";
import type { Random } from "#src/port/random.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { requireOwner } from "./command-parts.ts";
import type { Member } from "./state.ts";
import { tokenKey } from "./admission-proof.ts";
import { secretBytes, tokenText } from "./join-token.ts";
import type { ClusterService } from "./services.ts";

/** 40 bits: eight letters that tell tokens of one mesh apart in lists. */
const nameBytes = 5;

/** Roles a newcomer may take where nobody said which. */
export const defaultTokenRoles: Member["roles"] = ["host", "coordinator", "trainer", "validator"];
/** An hour. */
export const defaultTokenLifetimeMs = 3_600_000;

/** A token that was just made. Its secret is in `text` and `line` and nowhere else in the program. */
export interface MadeToken {
  /** Its name. */
  readonly token: string;
  readonly text: string;
  /** What is typed on the machine that joins. */
  readonly line: string;
  /** Where this node says it is reached, the likeliest first. */
  readonly places: readonly string[];
  readonly roles: Member["roles"];
  readonly isReusable: boolean;
  /** By the clock of the mesh's coordinator. */
  readonly expiryMs: number;
}

/** The line that joins a machine to the mesh. */
export function joinLine(place: string, text: string): string {
  return `psionic join ${place} --token ${text}`;
}

/**
 * Draws a token's name and secret and has the mesh take it: the log gets the secret's digest. Refused
 * with `scope_lacking` on a node that is no owner of the mesh, with `cluster_unreachable` where this node has no
 * address to be joined at, and as `ClusterService.submit` refuses.
 */
export async function makeToken(
  { cluster, random, nowMs }: MakerParts,
  request: Pick<MadeToken, "roles" | "isReusable"> & { readonly lifetimeMs: number },
  signal: AbortSignal,
): Promise<MadeToken> {
  requireOwner(cluster);
  const { mesh } = cluster.standing();
  const { places, certificate } = cluster.contact();
  const [place] = places;
  if (place === undefined) throw unreachable();
  const token = encodeBase32(random.bytes(nameBytes));
  const secret = Buffer.from(random.bytes(secretBytes)).toString("hex");
  const { roles, isReusable, lifetimeMs } = request;
  const command = { roles: [...roles], isReusable, lifetimeMs, secret: tokenKey(secret) };
  await cluster.submit("owner", { kind: "token-created", token, ...command }, signal);
  const text = tokenText({ mesh, certificate, token, secret });
  const known = cluster.state().tokens.find((each) => each.token === token);
  const expiryMs = known?.expiryMs ?? Math.floor(nowMs) + lifetimeMs;
  return { token, text, line: joinLine(place, text), places, roles, isReusable, expiryMs };
}

export interface MakerParts {
  readonly cluster: ClusterService;
  readonly random: Random;
  readonly nowMs: number;
}

function unreachable(): Refusal {
  return new Refusal(
    "cluster_unreachable",
    "this node has no address where another could join: its door for nodes is closed",
    "start it with that door: `psionic down`, then `psionic up --detach`",
  );
}
