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
  if (isTaken) deny("token_exists", `There is a token ${token}`, "Make one of another name.");
  const expiryMs = state.timeMs + lifetimeMs;
  const added = { token, secret, roles, isReusable, isRevoked: false, expiryMs, useCount: 0 };
  return { ...state, tokens: withElement(withRoom(state), nameOf, added) };
}

/** The tokens, without those that ran out where there is no room for one more. */
function withRoom({ tokens, timeMs }: MeshState): readonly Token[] {
  if (tokens.length < tokenMaximum) return tokens;
  const left = tokens.filter(({ expiryMs }) => timeMs < expiryMs);
  if (left.length >= tokenMaximum)
    deny("mesh_full", `There are ${tokenMaximum} tokens`, "Wait until some have run out.");
  return left;
}

export function revokeToken(state: MeshState, { token }: CommandOf<"token-revoked">): MeshState {
  const known = state.tokens.find((each) => each.token === token);
  if (known === undefined)
    return deny("token_wrong", `There is no token ${token}`, "The list of tokens has their names.");
  return withToken(state, { ...known, isRevoked: true });
}

function withToken(state: MeshState, token: Token): MeshState {
  return { ...state, tokens: withElement(state.tokens, nameOf, token) };
}

/** The token a newcomer shows, if it may be used for this. */
export function requireToken(
  { tokens, timeMs }: MeshState,
  { token, secret, roles }: CommandOf<"node-admitted">,
): Token {
  const known = tokens.find((each) => each.token === token);
  const another = "Ask for a new one, made with `token create`.";
  if (known === undefined || known.secret !== secret || known.isRevoked)
    return deny("token_wrong", `The token ${token} does not open this mesh`, another);
  if (timeMs >= known.expiryMs)
    deny("token_expired", `The token ${token} ran out at ${known.expiryMs}`, another);
  if (known.useCount > 0 && !known.isReusable)
    deny("token_used", `The token ${token} was for one node, which has joined`, another);
  if (roles.some((role) => !known.roles.includes(role)))
    deny("token_wrong", `The token ${token} is not for the roles ${roles.join(", ")}`, another);
  return known;
}

export function useToken(state: MeshState, token: Token): MeshState {
  return withToken(state, { ...token, useCount: token.useCount + 1 });
}
