import type { CommandContext } from "#src/command/define.ts";

/** What training needs of a command's context; a daemon makes one of its own. */
export type TrainContext = Pick<CommandContext, "services" | "signal" | "emit">;
