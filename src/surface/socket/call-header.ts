/** The header by which a caller names its call, to be able to stop it (`daemon/stop-call`). */
export const callHeader = "psionic-call";
