import type { IssuedGrants } from "./issued-grants.ts";
import type { PresentedGrants } from "./presented-grants.ts";
import type { TrustRegistry } from "./trust-registry.ts";

declare module "#src/command/define.ts" {
  interface Services {
    /** Whom this node trusts how far. */
    readonly trust: TrustRegistry;
    /** The grants other owners gave this node: stamped on calls to them. */
    readonly presented: PresentedGrants;
    /** The grants this node signed. */
    readonly issued: IssuedGrants;
  }
}
