/** What the composition tells the pipe. */
export type FindSocket = () => Promise<string | null>;

declare module "#src/command/define.ts" {
  interface Services {
    /** The socket of the daemon that has this home; null where none answers. */
    readonly findSocket: FindSocket;
  }
}
