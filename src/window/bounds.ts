/** How much of everything the runs of a mesh may hold: every member keeps all of it. */

/** Runs in the state; when one more begins, the oldest that has ended goes. */
export const runMaximum = 16;
/** Nodes that may work on one run. */
export const workerMaximum = 64;
/** Stretches of slots in a pool or a slice. */
export const intervalMaximum = 256;
/** Segments between commitments of one contribution. */
export const segmentMaximum = 64;
/** Bytes that a contribution may say it has: those of a whole window can still be counted. */
export const contributionBytesMaximum = 2 ** 44;
/** Reasons of one verdict. */
export const reasonMaximum = 8;
/** Steps of one window. */
export const windowStepMaximum = 65_536;
/** Validators of one contribution. */
export const validatorMaximum = 7;
/** How often validators of one window are drawn again before what they have not judged is left out. */
export const redrawMaximum = 3;
/** Slots of a run. */
export const slotMaximum = 2 ** 40;
/** A million: shares and rates in the log are whole numbers of this. */
export const perMillion = 1_000_000;
/** Windows held in a row from which on a run counts as recovering, and after which it has failed. */
export const heldMinimum = 3;
export const heldMaximum = 100;
/** Tasks that a worker may miss beyond those that counted before it rests, and the longest rest: 2^6 windows. */
export const forgivenMisses = 2;
export const restExponentMaximum = 6;
/** Orders about runs that a coordinator gives in one look. */
export const runOrderMaximum = 4;
