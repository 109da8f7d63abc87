/** A value as JSON carries it, and whether no half of a character had to be replaced. */
export interface Plain {
  readonly value: unknown;
  readonly isWhole: boolean;
}

/**
 * What is left of a value when JSON carries it. A lone surrogate, which canonical text refuses, becomes
 * U+FFFD: JSON writes such a half, and nothing else, as an escape from d800 to dfff.
 */
export function plainJson(value: unknown): Plain {
  let isWhole = true;
  const text = JSON.stringify(value ?? null).replace(
    /\\(?:u(d[89a-f][0-9a-f]{2})|.)/g,
    (escape: string, half: string | undefined) => {
      if (half === undefined) return escape;
      isWhole = false;
      return "\\ufffd";
    },
  );
  return { value: JSON.parse(text) as unknown, isWhole };
}
