import { isProven } from "./admission-proof.ts";
import { tokenMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { withElement } from "./list.ts";
import type { MeshState, Token } from "./state.ts";

const nameOf = ({ token }: Token) => token;

export function createToken(
  state: MeshState,
  { token, secret, roles, isReusable, lifetimeMs }: CommandOf<"token-created">,
): MeshState {
  const isTaken =
    state.tokens.some((each) => each.token === token) ||
    state.members.some((member) => member.token === token);
  if (isTaken) deny("token_exists", `there is a token ${token}`, "make one of another name");
  const expiryMs = state.timeMs + lifetimeMs;
  const added = { token, secret, roles, isReusable, isRevoked: false, expiryMs, useCount: 0 };
  return { ...state, tokens: withElement(withRoom(state), nameOf, added) };
}

/** The tokens, without those that ran out where there is no room for one more. */
function withRoom({ tokens, timeMs }: MeshState): readonly Token[] {
  if (tokens.length < tokenMaximum) return tokens;
  const left = tokens.filter(({ expiryMs }) => timeMs < expiryMs);
  if (left.length >= tokenMaximum)
    deny("mesh_full", `there are ${tokenMaximum} tokens`, "wait until some have run out");
  return left;
}

export function revokeToken(state: MeshState, { token }: CommandOf<"token-revoked">): MeshState {
  const known = state.tokens.find((each) => each.token === token);
  if (known === undefined)
    return deny("token_wrong", `there is no token ${token}`, "`psionic token list` shows them");
  return withToken(state, { ...known, isRevoked: true });
}

function withToken(state: MeshState, token: Token): MeshState {
  return { ...state, tokens: withElement(state.tokens, nameOf, token) };
}

/** The token a newcomer shows, if it may be used for this. */
export function requireToken(
  { tokens, timeMs }: MeshState,
  newcomer: CommandOf<"node-admitted">,
): Token {
  const { token, proof, roles } = newcomer;
  const known = tokens.find((each) => each.token === token);
  const another = "have a new one made there: `psionic token create`";
  if (known === undefined || known.isRevoked || !isProven(known.secret, newcomer, proof))
    return deny(
      "token_wrong",
      `the token ${token} does not open this mesh, or not any more`,
      another,
    );
  if (timeMs >= known.expiryMs)
    deny(
      "token_expired",
      `the token ${token} ran out at ${new Date(known.expiryMs).toUTCString()}`,
      another,
    );
  if (known.useCount > 0 && !known.isReusable)
    deny("token_used", `the token ${token} was for one node, and that one has joined`, another);
  const beyond = roles.filter((role) => !known.roles.includes(role));
  if (beyond.length > 0)
    deny(
      "token_wrong",
      `the token ${token} allows ${known.roles.join(", ")}, not ${beyond.join(", ")}`,
      another,
    );
  return known;
}

export function useToken(state: MeshState, token: Token): MeshState {
  return withToken(state, { ...token, useCount: token.useCount + 1 });
}
