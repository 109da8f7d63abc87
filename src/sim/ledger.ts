import type { Meaning } from "#src/log/fold.ts";

/** Keys that commands write to and reads ask for. */
export const keys = ["a", "b", "c"] as const;

/** What is known of one key: how many values were appended, and a number that depends on their order. */
export interface Account {
  readonly count: number;
  readonly mix: number;
}

export const emptyAccount: Account = { count: 0, mix: 0 };

/** A command's body: a key and a value that no other command has. */
export function bodyOf(key: string, value: number): string {
  return `${key} ${value}`;
}

/** The account after a value. Order matters: two values swapped give another number. */
export function appended({ count, mix }: Account, value: number): Account {
  return { count: count + 1, mix: (Math.imul(mix ^ value, 0x01000193) + count) >>> 0 };
}

export function accountText({ count, mix }: Account): string {
  return `${count}/${mix}`;
}

/** The simulated application: values appended to a few keys, in the order of the log. */
export class Ledger implements Meaning {
  #accounts = new Map<string, Account>();

  apply(body: string): string {
    const [key, value] = body.split(" ") as [string, string];
    const account = appended(this.#accounts.get(key) ?? emptyAccount, Number(value));
    this.#accounts.set(key, account);
    return accountText(account);
  }

  ask(key: string): string {
    return accountText(this.#accounts.get(key) ?? emptyAccount);
  }

  save(): string {
    return JSON.stringify(keys.map((key) => this.#accounts.get(key) ?? emptyAccount));
  }

  load(text: string): void {
    const accounts = JSON.parse(text) as Account[];
    this.#accounts = new Map(keys.map((key, place) => [key, accounts[place]!]));
  }
}
