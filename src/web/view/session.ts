import { tokenOfHash } from "../router.ts";
import { Cell } from "./cell.ts";

const tokenKey = "psionic.token";
const themeKey = "psionic.theme";

/** A browser may forbid storage; the page then remembers nothing, and works. */
function remembered(storage: () => Storage, key: string): string | null {
  try {
    return storage().getItem(key);
  } catch {
    return null;
  }
}

function remember(storage: () => Storage, key: string, value: string | null): void {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Nothing to do: see above.
  }
}

/** The operator's token, for this tab only; null until it is known. */
export const token = new Cell<string | null>(remembered(() => sessionStorage, tokenKey));

/** True after the node refused the token. */
export const wasRejected = new Cell(false);

export function signIn(value: string): void {
  remember(() => sessionStorage, tokenKey, value);
  wasRejected.value = false;
  token.value = value;
}

export function signOut(rejected: boolean): void {
  remember(() => sessionStorage, tokenKey, null);
  wasRejected.value = rejected;
  token.value = null;
}

/** Takes the token out of a link that carries one, and out of the address bar and the history. */
export function takeTokenFromAddress(): void {
  const found = tokenOfHash(location.hash);
  if (found === null) return;
  history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  signIn(found);
}

export type Theme = "auto" | "light" | "dark";
const themes: readonly Theme[] = ["auto", "light", "dark"];

const storedTheme = remembered(() => localStorage, themeKey);
export const theme = new Cell<Theme>(themes.find((each) => each === storedTheme) ?? "auto");

export function applyTheme(): void {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? "auto";
  remember(() => localStorage, themeKey, theme.value === "auto" ? null : theme.value);
  applyTheme();
}

/** True while colours are dark, by choice or by the system's. */
export function isDark(): boolean {
  if (theme.value !== "auto") return theme.value === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
