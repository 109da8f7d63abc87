import { artifactCodes } from "./codes/artifact.ts";
import { callCodes } from "./codes/call.ts";
import { clusterCodes } from "./codes/cluster.ts";
import { daemonCodes } from "./codes/daemon.ts";
import { dataCodes } from "./codes/data.ts";
import { evidenceCodes } from "./codes/evidence.ts";
import { grantCodes } from "./codes/grant.ts";
import { homeCodes } from "./codes/home.ts";
import { httpCodes } from "./codes/http.ts";
import { identityCodes } from "./codes/identity.ts";
import { peerCodes } from "./codes/peer.ts";
import { logCodes } from "./codes/log.ts";
import { policyCodes } from "./codes/policy.ts";
import { trainingCodes } from "./codes/training.ts";
import { windowCodes } from "./codes/window.ts";
import type { CodeEntry } from "./codes/entry.ts";

export type { CodeEntry };

/**
 * Every expected failure by its permanent code, put together from one table for each area. A code
 * is never renamed or reused: scripts, receipts and `psionic explain` rely on it.
 */
export const codes = {
  ...callCodes,
  ...grantCodes,
  ...daemonCodes,
  ...httpCodes,
  ...homeCodes,
  ...identityCodes,
  ...policyCodes,
  ...peerCodes,
  ...dataCodes,
  ...trainingCodes,
  ...logCodes,
  ...artifactCodes,
  ...clusterCodes,
  ...evidenceCodes,
  ...windowCodes,
} as const satisfies Record<string, CodeEntry>;

export type RefusalCode = keyof typeof codes;
