/** How much of everything a mesh may hold: every node keeps all of it. */

/** Members, those who are gone included: their epochs are remembered. */
export const memberMaximum = 1024;
/** Members whose owners answer for the mesh. */
export const ownerMaximum = 8;
export const tokenMaximum = 256;
/** The latest orders that are kept; older ones stand in receipts. */
export const orderMaximum = 64;
export const linkMaximum = 4096;
/** Blobs whose holders are known. */
export const blobMaximum = 4096;
export const holderMaximum = 64;
/** Things of which is known who decided on them last: each member and token, and four settings. */
export const provenanceMaximum = memberMaximum + tokenMaximum + 4;
/** Nodes an operator's manifest may name. */
export const manifestMaximum = 256;
/** Addresses of one node, and characters of one. */
export const placeMaximum = 8;
export const placeTextMaximum = 128;
/** Labels of one node. */
export const labelMaximum = 16;
/** Claims that a posture may ask of newcomers. */
export const claimMaximum = 16;
/** Characters of a name: of a node, a mesh, a token, an order. */
export const nameMaximum = 64;
/** Characters of a reason or of what an order asks for. */
export const textMaximum = 256;
/** Any duration: a year. */
export const durationMaximumMs = 31_536_000_000;
/** Any time: the end of the year 9999. What is added to it stays exact and can be shown. */
export const timeMaximumMs = 253_402_300_799_999;
