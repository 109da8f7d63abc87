import type { Holder } from "./holder.ts";
import type { Shelf } from "./shelf.ts";

/** The artifacts of this home, and the way to those of others. */
export interface ArtifactService {
  /** The home's shelf, its index brought up to date where it was lost. */
  open(): Promise<Shelf>;
  /**
   * A holder by how a person names it: `http://` or `https://` (with `#sha256=…` a pinned certificate),
   * `s3://bucket/prefix`, a daemon's socket, a folder or a home. `tokenOf` gives the bearer token for an
   * origin. Refused with `holder_wrong`.
   */
  openHolder(from: string, tokenOf: (origin: string) => string | null): Promise<Holder>;
}

declare module "#src/command/define.ts" {
  interface Services {
    readonly artifacts: ArtifactService;
  }
}
