import { artifactTables } from "#src/artifact/tables.ts";
import { clusterTables } from "#src/cluster/tables.ts";
import { journalTables } from "#src/command/journal.ts";
import { grantTables } from "#src/grant/tables.ts";
import { logTables } from "#src/log/tables.ts";
import { peerTables } from "#src/peer/call-ids.ts";
import { policyTables } from "#src/policy/tables.ts";
import type { TableSet } from "#src/port/store.ts";
import { receiptTables } from "#src/receipt/tables.ts";
import { trainTables } from "#src/train/tables.ts";
import { nodeTables } from "./daemon/node-epoch.ts";
import { windowTables } from "./windows/tables.ts";

/** The tables of every room, migrated together when the store is first opened. */
export const tableSets: readonly TableSet[] = [
  receiptTables,
  journalTables,
  nodeTables,
  trainTables,
  grantTables,
  policyTables,
  peerTables,
  logTables,
  artifactTables,
  clusterTables,
  windowTables,
];
