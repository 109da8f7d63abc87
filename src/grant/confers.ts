/**
 * True when a capability confers a command: its own name, and what lies below its `/` boundary.
 * `run` confers `run` and `run/status`; `ai/generate` never confers `ai/generatex`.
 */
export function confers(capability: string, commandName: string): boolean {
  return commandName === capability || commandName.startsWith(`${capability}/`);
}
