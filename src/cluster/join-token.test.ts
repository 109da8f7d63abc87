import { describe, expect, test } from "bun:test";
import { tokenKey } from "./admission-proof.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { readToken, tokenText, tokenTextMaximum, type JoinToken } from "./join-token.ts";

const token: JoinToken = {
  mesh: `psm${"a".repeat(32)}`,
  certificate: digestBytes("a certificate"),
  token: "k3x7qpab",
  secret: "0123456789abcdef0123456789abcdef",
};

function refusalOf(text: string): Refusal {
  try {
    readToken(text);
  } catch (error) {
    if (error instanceof Refusal) return error;
  }
  throw new Error("it was read");
}

describe("C-1 join tokens", () => {
  const text = tokenText(token);

  test("C-1 a token is one word that carries mesh, certificate, name and secret", () => {
    expect(text).toMatch(/^psn1_[A-Za-z0-9_-]+$/);
    expect(readToken(text)).toEqual(token);
    expect(readToken(`  ${text}\n`)).toEqual(token);
  });

  test("C-1 a token with any one character changed, cut off or added is told from a whole one", () => {
    for (let place = 0; place < text.length; place++) {
      const other = text[place] === "a" ? "b" : "a";
      expect(refusalOf(text.slice(0, place) + other + text.slice(place + 1)).code).toBe(
        "token_malformed",
      );
      expect(refusalOf(text.slice(0, place)).code).toBe("token_malformed");
    }
    expect(refusalOf(`${text}a`).code).toBe("token_malformed");
    expect(refusalOf(`psn1_${"a".repeat(tokenTextMaximum)}`).code).toBe("token_malformed");
  });

  test("C-1 what is whole but says nonsense is refused: a mesh, name or secret of another shape", () => {
    for (const wrong of [
      { ...token, mesh: "psmx" },
      { ...token, token: "UPPER" },
      { ...token, token: "" },
      { ...token, secret: "00" },
    ])
      expect(refusalOf(tokenText(wrong)).code).toBe("token_malformed");
  });

  test("C-1 a refusal and the kept key say nothing of the secret", () => {
    const refusal = refusalOf(text.slice(0, -1));
    expect(JSON.stringify(refusal)).not.toContain(text.slice(5, 40));
    expect(tokenKey(token.secret)).not.toContain(token.secret);
    expect(tokenKey(token.secret)).not.toBe(tokenKey(`${token.secret.slice(0, -1)}0`));
  });
});
