import { trainTables } from "#src/train/tables.ts";
import type { TableSet } from "#src/port/store.ts";

/** The tables of every room, migrated together when the store is first opened. */
export const tableSets: readonly TableSet[] = [trainTables];
